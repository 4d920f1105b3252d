"""What is asked of replications that takes its time: from a body to the record of an operation."""
# SPDX-License-Identifier: Apache-2.0

import datetime

from oslo_utils import timeutils

from cinder_ext import exceptions
from cinder_ext.api import pagination
from cinder_ext.api.resources import replication_rules
from cinder_ext.api.resources.replication_view import HOME
from cinder_ext.db import (
    attachments,
    replication_operations,
    replication_views,
    replications,
    volume_types,
)

FLAGS = ('force', 'dry_run', 'allow_attached', 'reattach')
TEST_SECONDS = 3600
"""How long the volumes of a test are kept, unless the request says."""
MOST_SELECTED = 1000

_MOVES = ('failover', 'failback')


def begin(call, row, verb, body):
    """Record an operation on one replication, and have its service look.

    :param row: replication_models.Replication
    :returns: replication_models.ReplicationOperation
    :raises InvalidInput: a side that the replication does not have
    :raises Conflict: its state, another operation or an attachment does not allow it
    """
    values = {'verb': verb, 'replication_id': row.id, **_options(body)}
    if verb == 'resync':
        values['discard'] = _side(row, body['discard'])
    if verb == 'test':
        seconds = body.get('expires_in_seconds') or TEST_SECONDS
        values['expires_at'] = timeutils.utcnow() + datetime.timedelta(seconds=seconds)
    if verb in _MOVES:
        _refuse_attached(call, row, values)
    return _recorded(call, values)


def _options(body):
    """Columns of an operation that a body says."""
    found = {name: pagination.truth(name, str(body[name])) for name in FLAGS
             if body.get(name) is not None}
    return {**found, **{name: body[name] for name in ('consistency', 'point_id')
                        if body.get(name) is not None}}


def _side(row, name):
    if name not in (HOME, row.target):
        raise exceptions.InvalidInput(
            reason=f'discard: {name} is no side of replication {row.id}; it has {HOME} and '
                   f'{row.target}.')
    return name


def _refuse_attached(call, row, values):
    """What is moved as one, or not at all, is refused here; of wider things, and with force, each
    volume by itself.

    :raises ReplicationActionRefused: a volume has attachments and the request does not allow that
    """
    if row.scope not in ('volume', 'group') or any(
            values.get(word) for word in ('allow_attached', 'dry_run', 'force')):
        return
    members = [each.volume_id for each in replications.members(call.context, row.id)]
    for volume_id, found in sorted(attachments.of_volumes(call.context, members).items()):
        if found:
            raise exceptions.ReplicationActionRefused(
                id=row.id, action=replication_operations.DONE[values['verb']], state=row.state,
                reason=f'volume {volume_id} has attachments: detach it, or set allow_attached')


def begin_any(call, body):
    """Record a failover of whatever a body names; to ``home`` it is a failback.

    :returns: replication_models.ReplicationOperation
    """
    target = body.get('target')
    verb = 'failback' if target == HOME else 'failover'
    target = None if target == HOME else target
    if 'selector' in body:
        return _recorded(call, *_selected(call, verb, target, body))
    thing = replication_rules.protected(call, body['scope'], body['id'],
                                        replication_rules.FAILOVER_ANY)
    call.authorize(replication_rules.FAILOVER, thing.row)
    own = [row for row in replications.of_thing(call.context, thing.scope, thing.id)
           if target in (None, row.target)]
    if len(own) > 1:
        raise exceptions.InvalidInput(
            reason=f"target: {thing.scope} {thing.id} is replicated to "
                   f"{', '.join(row.target for row in own)}; name one of them.")
    if own:
        return begin(call, own[0], verb, body)
    return _recorded(call, *_looped(call, thing, verb, target, body))


def _looped(call, thing, verb, target, body):
    """Values and members of an operation on what has no replication of its own: those of what is
    in it serve, one after the other.

    :raises InvalidInput: nothing in it is replicated, or nobody said that the moments may differ
    """
    members, wider = replication_views.within(call.context, thing.scope, thing.id, target)
    if not members:
        where = f' to {target}' if target else ''
        instead = f', but with its {wider[0]}' if wider else ''
        raise exceptions.InvalidInput(
            reason=f'{thing.scope} {thing.id} is not replicated as such{where}{instead}.')
    if len({each['replication_id'] for each in members}) > 1 and (
            body.get('consistency') != 'best-effort'):
        raise exceptions.InvalidInput(
            reason=f'{thing.scope} {thing.id} is replicated in parts, which have no moment in common: '
                   'set consistency to best-effort.')
    return {'verb': verb, 'scope': thing.scope, 'protected_id': thing.id, 'home': thing.backend,
            'target': target, 'project_id': getattr(thing.row, 'project_id', None),
            **_options(body)}, members


def _selected(call, verb, target, body):
    """Values and members of an operation on the volumes that a selector chooses.

    :raises InvalidInput: it chooses none, too many, or volumes of several backends
    """
    call.authorize(replication_rules.FAILOVER_ANY)
    if body['scope'] != 'volume':
        raise exceptions.InvalidInput(reason='scope: a selector chooses volumes.')
    selector = dict(body['selector'])
    wanted = dict(selector)
    if 'volume_type' in wanted:
        wanted['volume_type'] = volume_types.get_by_name_or_id(
            call.context, wanted['volume_type'], call.scope).id
    found = replication_views.selected(call.context, wanted, target, MOST_SELECTED + 1)
    _refuse_selection(found, selector)
    ids = sorted({each['volume_id'] for each in found})
    return {'verb': verb, 'scope': 'volume', 'home': found[0]['home'], 'target': target,
            'selector': {**selector, 'volume_ids': ids},
            'project_id': selector.get('project_id'), **_options(body)}, [
        {name: each[name] for name in ('volume_id', 'replication_id')} for each in found]


def _refuse_selection(found, selector):
    missing = sorted(set(selector.get('volume_ids', ())) - {each['volume_id'] for each in found})
    homes = sorted({each['home'] for each in found})
    reason = None
    if missing:
        reason = f'volume {missing[0]} is not replicated by itself, or not as the selector says.'
    elif not found:
        reason = 'it chooses no volume that is replicated by itself.'
    elif len(found) > MOST_SELECTED:
        reason = f'it chooses more than {MOST_SELECTED} volumes.'
    elif len(homes) > 1:
        reason = f"its volumes are of several backends, {', '.join(homes)}: name one as host."
    if reason:
        raise exceptions.InvalidInput(reason=f'selector: {reason}')


def _recorded(call, values, members=()):
    row = replication_operations.create(call.context, values, members)
    # Every service looks: the one of its home may be the one that is gone.
    call.tell(call.rpc.replication.look)
    return row
