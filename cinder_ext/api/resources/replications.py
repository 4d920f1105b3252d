"""Replications (3.76): what is kept on a second array, how far that is behind, and failing over to it.

Projects see the replications of their own volumes and groups; those of pools and backends are for
administrators.  What takes its time is an operation (replication_operations.py): its record is
the answer.
"""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext import exceptions
from cinder_ext.api import filters, pagination, rules, validation
from cinder_ext.api.operation import Operation
from cinder_ext.api.resources import (
    replication_operations,
    replication_requests,
    replication_rules,
)
from cinder_ext.api.resources import replication_view as view
from cinder_ext.db import listing, replication_models, replication_views
from cinder_ext.db import replications as records
from cinder_ext.states import replication as states

BASE = replication_rules.BASE
GET_ALL, GET = f'{BASE}:get_all', f'{BASE}:get'
ONE = '/replications/{replication_id}'

POLICIES = (
    rules.rule(GET_ALL, rules.READER, 'List replications.', 'GET /replications'),
    rules.rule(GET, rules.READER, 'Show a replication.', f'GET {ONE}'),
    rules.rule(replication_rules.CREATE, rules.MEMBER,
               'Have a group replicated whose group type asks for it.', 'POST /replications'),
    rules.rule(replication_rules.CREATE_ANY, rules.ADMIN,
               'Have a volume, any group, a pool or a backend replicated.', 'POST /replications'),
    rules.rule(replication_rules.DELETE, rules.MEMBER, 'End the replication of a group.',
               f'DELETE {ONE}'),
    rules.rule(replication_rules.DELETE_ANY, rules.ADMIN,
               'End the replication of a volume, a pool or a backend.', f'DELETE {ONE}'),
    rules.rule(replication_rules.FAILOVER, rules.MEMBER,
               'Fail a volume or group over, or say what that would do.',
               f'POST {ONE}/action (failover)', 'POST /replications/failover'),
    rules.rule(replication_rules.FAILOVER_ANY, rules.ADMIN,
               'Fail over a pool, a backend, or the volumes that a selector chooses.',
               'POST /replications/failover'),
    *(rules.rule(f'{BASE}:{action}', rules.MEMBER, description, f'POST {ONE}/action ({action})')
      for action, description in (
          ('failback', 'Fail a volume or group back.'),
          ('reprotect', 'Have a volume or group that was failed over replicated back.'),
          ('resync', 'Give up what one side of a replication has in favour of the other one.'),
          ('pause', 'Have a replication stand still.'),
          ('resume', 'Have a paused replication go on.'),
          ('sync_now', 'Have a point made at once.'),
          ('test', 'Have volumes made of a point, to be looked at for a while.'))),
)

# SCHEMAS

SIDE = {'oneOf': [{'type': 'null'}, validation.NAME]}
"""The name of a target; ``home`` for the backend itself."""
_OPTIONAL = {'oneOf': [{'type': 'null'}, validation.BOOLEAN]}
_WORD = {'type': ['string', 'null'], 'maxLength': 255}
_NUMBER = {'type': ['integer', 'null'], 'minimum': 1, 'maximum': validation.MAX_INT}
CONSISTENCY = {'enum': [None, 'strict', 'best-effort']}
_HOW = {'dry_run': _OPTIONAL, 'force': _OPTIONAL, 'allow_attached': _OPTIONAL, 'reattach': _OPTIONAL,
        'consistency': CONSISTENCY}
SELECTOR = {'type': 'object', 'additionalProperties': False, 'minProperties': 1, 'properties': {
    'volume_ids': {'type': 'array', 'minItems': 1, 'maxItems': 1000, 'uniqueItems': True,
                   'items': validation.UUID},
    'project_id': validation.NAME, 'volume_type': validation.NAME, 'host': validation.HOST}}
"""Which volumes; what is named together must be true together."""


def _schemas(document):
    return validation.schemas({'3.76': document})


def _action_body(properties, required=()):
    return _schemas({'type': ['object'] if required else ['object', 'null'],
                     'properties': properties, 'required': list(required),
                     'additionalProperties': False})


CREATE_BODY = _schemas(validation.wrapped('replication', {
    'scope': {'enum': list(states.SCOPES)}, 'id': validation.NAME, 'target': SIDE,
    'mode': {'enum': [None, *states.MODES]}, 'rpo_seconds': _NUMBER, 'schedule': _WORD,
    'retention': _NUMBER}, ['scope', 'id']))
FAILOVER_BODY = _schemas({
    'type': 'object', 'required': ['failover'], 'additionalProperties': False,
    'properties': {'failover': {
        'type': 'object', 'additionalProperties': False, 'required': ['scope'],
        'properties': {'scope': {'enum': list(states.SCOPES)}, 'id': validation.NAME,
                       'selector': SELECTOR, 'target': SIDE, 'point_id': validation.OPTIONAL_UUID,
                       **_HOW},
        'oneOf': [{'required': ['id']}, {'required': ['selector']}]}}})
NOTHING = _action_body({})
FAILOVER_ACTION = _action_body({**_HOW, 'point_id': validation.OPTIONAL_UUID})
FAILBACK_ACTION = _action_body(_HOW)
RESYNC_ACTION = _action_body({'discard': validation.NAME}, ['discard'])
TEST_ACTION = _action_body({'point_id': validation.OPTIONAL_UUID, 'expires_in_seconds': _NUMBER})

# filters


def _checked_only(name, _column, value):
    """Its condition depends on the time and on what is in the table: see index."""
    pagination.truth(name, value)
    return []


FILTERS = {
    'scope': filters.text('scope'),
    'protected_id': filters.text('protected_id'),
    'state': filters.text('state'),
    'mode': filters.text('mode'),
    'target': filters.text('target'),
    'over_objective': filters.Filter('rpo_seconds', _checked_only),
    'project_id': filters.text('project_id'),
    'host': filters.text('home'),
    'created_at': filters.time('created_at'),
    'last_consistent_at': filters.time('last_consistent_at'),
}
"""All are for administrators; which of them are for others is in filter_names.py."""
SORTABLE = frozenset({'id', 'created_at', 'updated_at', 'scope', 'protected_id', 'state', 'mode',
                      'target', 'last_consistent_at', 'bytes_pending', 'rpo_seconds'})
ALIASES = {'host': 'home'}

# targets


def load(call):
    """The replication of the path, if the caller may know of it."""
    return records.get(call.context, call.path['replication_id'], call.scope)


# handlers


def index(call):
    """List replications, newest first; of all projects for administrators.

    With over_objective=true those that are further behind than they may be.
    """
    page = pagination.page(call, SORTABLE, aliases=ALIASES if call.context.is_admin else None)
    wanted = filters.conditions(call, FILTERS, 'replication')
    if 'over_objective' in call.query:
        wanted.append(replication_views.over_objective(
            call.context, pagination.truth('over_objective', call.query['over_objective'])))
    model = replication_models.Replication
    rows = listing.rows(call.context, model, page, wanted, call.scope,
                        exceptions.ReplicationNotFound)
    document = pagination.body(call, 'replications', [view.record(call, row) for row in rows],
                               rows[-1].id if rows else None, page)
    if pagination.truth('with_count', call.query.get('with_count', '0')):
        document['count'] = listing.count(call.context, model, wanted, call.scope)
    return document


def show(call):
    """Show a replication: what is protected, where it is, and how far behind the other side is."""
    return _shown(call, call.target)


def _shown(call, row):
    return {'replication': view.record(call, row)}


def create(call):
    """Have a group, pool, backend or volume replicated to one target.

    What is not said follows from the group type, the volume type and the defaults, in this order.
    """
    return _shown(call, replication_rules.enable(call, call.body['replication']))


def delete(call):
    """End a replication: what the target holds of it is removed, unless it is used there."""
    replication_rules.disable(call, call.target)


def pause(call):
    """Have a replication stand still; its points stay."""
    return _shown(call, replication_rules.pause(call, call.target))


def resume(call):
    """Have a paused replication go on."""
    return _shown(call, replication_rules.resume(call, call.target))


def failover(call):
    """Fail over to the target: planned, which loses nothing, or with force when home is gone.

    With dry_run nothing is changed: the operation says of each volume what would be done.
    """
    return _begun(call, 'failover')


def failback(call):
    """Fail back to the backend itself."""
    return _begun(call, 'failback')


def reprotect(call):
    """Have what was failed over replicated the other way, as far as nothing has to be given up."""
    return _begun(call, 'reprotect')


def resync(call):
    """Give up what one side has in favour of the other one; the side to discard must be named."""
    return _begun(call, 'resync')


def sync_now(call):
    """Have a point made at once."""
    return _begun(call, 'sync_now')


def test(call):
    """Have volumes made of a point, attached nowhere, that are removed by themselves."""
    return _begun(call, 'test')


def _begun(call, verb):
    row = replication_requests.begin(call, call.target, verb, call.body or {})
    return {'operation': replication_operations.detail(call, row)}


def failover_any(call):
    """Fail over a volume, a group, a pool, a backend, or the volumes that a selector chooses.

    The target ``home`` fails back.
    """
    row = replication_requests.begin_any(call, call.body['failover'])
    return {'operation': replication_operations.detail(call, row)}


# OPERATIONS

LIST = Operation('replications.list', policy=GET_ALL, handler=index, since='3.76')
SHOW = Operation('replications.show', target=load, policy=GET, handler=show, since='3.76')
CREATE = Operation('replications.create', policy=replication_rules.CREATE, body=CREATE_BODY,
                   handler=create, success=202, since='3.76')
DELETE = Operation('replications.delete', target=load, policy=replication_rules.DELETE,
                   handler=delete, success=202, since='3.76')
FAILOVER_ANY = Operation('replications.failover_any', policy=replication_rules.FAILOVER,
                         body=FAILOVER_BODY, handler=failover_any, success=202, since='3.76')


def _action(name, handler, body=NOTHING):
    return Operation(f'replications.{name}', target=load, policy=f'{BASE}:{name}', body=body,
                     handler=handler, success=202, since='3.76')


ACTIONS = {
    'failover': _action('failover', failover, FAILOVER_ACTION),
    'failback': _action('failback', failback, FAILBACK_ACTION),
    'reprotect': _action('reprotect', reprotect),
    'resync': _action('resync', resync, RESYNC_ACTION),
    'pause': _action('pause', pause),
    'resume': _action('resume', resume),
    'sync_now': _action('sync_now', sync_now),
    'test': _action('test', test, TEST_ACTION),
}
