"""Who takes part in an operation, by which replication, and whether it may begin at all."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext import exceptions
from cinder_ext.db import operation_members, replication_operations
from cinder_ext.states import replication as states
from cinder_ext.volume.replication import scopes
from cinder_ext.volume.replication import work as works


def find(work):
    """Find the members, once; those that cannot take part end here.

    :raises CinderExtError: the operation cannot be done at all
    """
    if work.facts.get('is_planned'):
        return
    asked = work.operation()
    _refuse_target(work, asked)
    chosen, refused = _chosen(work, asked)
    used = {each.id: each for each in chosen.values()}
    if scopes.needs_best_effort(asked, used.values()):
        raise exceptions.ReplicationActionRefused(
            id=asked.replication_id or asked.protected_id, action=asked.verb.replace('_', ' '),
            reason=(f'{len(used)} replications serve the {asked.scope} one after the other, without '
                    'a common moment; consistency best-effort allows that'),
            state=', '.join(sorted({each.state for each in used.values()})))
    _store(work, asked, chosen, refused)
    operation_members.note_facts(work.context, work.id, is_planned=True)


def _refuse_target(work, asked):
    """
    :raises InvalidInput: the backend has no such target
    """
    if asked.verb != 'failover' or asked.target is None:
        return
    driver = work.tools.driver_of(work.context, asked.home)
    names = [each.backend_id for each in driver.replication_targets()]
    if asked.target not in names:
        raise exceptions.InvalidInput(
            reason=f'{asked.home} has no target {asked.target}; it has {", ".join(names)}.')


def _chosen(work, asked):
    """(volume id -> replication, volume id -> why it does not take part; None: not replicated)."""
    listed = replication_operations.members(work.context, work.id)
    ids = sorted({row.volume_id for row in listed} | set(scopes.members(work.context, asked)))
    protecting = operation_members.protecting(work.context, ids, _target(asked))
    chosen, refused = {}, {}
    for volume_id in ids:
        candidates = [each for each in protecting[volume_id]
                      if asked.replication_id in (None, each.id)
                      and (asked.replication_id or scopes.may_serve(asked, each))]
        if candidates:
            chosen[volume_id] = min(candidates, key=lambda each: _rank(asked, each))
        else:
            refused[volume_id] = _why_not(asked, volume_id, protecting[volume_id])
    return chosen, refused


def _target(asked):
    return asked.target if asked.verb == 'failover' else None


def _rank(asked, replication):
    """The one that was failed over comes first, then the one of just this thing.

    One that leads to another cloud comes last: there the volumes would be records of nobody.
    """
    return (asked.verb != 'failover' and replication.source_side is None,
            not scopes.of(asked).serves(replication, asked.protected_id), replication.cross_os)


def _why_not(asked, volume_id, protecting):
    if protecting:
        wider = protecting[0]
        return exceptions.MemberRefused(id=volume_id, reason=(
            f'replication {wider.id} protects it, with the {wider.scope} {wider.protected_id}: '
            'what is done is done for that one'))
    if asked.selector or asked.scope in ('volume', 'group') or asked.replication_id:
        return exceptions.MemberRefused(id=volume_id, reason=(
            'it is not replicated' + (f' to {asked.target}' if asked.target else '')))
    return None


def _store(work, asked, chosen, refused):
    found = [(volume_id, replication.id) for volume_id, replication in chosen.items()]
    found += [(volume_id, None) for volume_id in refused]
    for row in {row.id: row for row in chosen.values()}.values():
        if fault := refusal(asked, row):
            refused |= {each: fault for each, by in chosen.items() if by.id == row.id}
    if asked.verb == 'failback':
        # What has no point yet never left.
        of_ids = operation_members.volumes(work.context, list(chosen))
        refused |= {each: None for each, volume in of_ids.items()
                    if volume.replication_status == states.ENABLING}
    operation_members.complete(work.context, work.id, found, refused)


def refusal(asked, replication):
    """Why a replication cannot be used for an operation now; None when it can."""
    source, destination = works.sides(asked, replication)
    admitted = replication_operations.FROM[asked.verb]
    if replication.state not in admitted:
        reason = f"expected one of {', '.join(admitted)}"
    elif asked.verb == 'resync' and replication.target not in (source, destination):
        reason = f'it has no side {asked.discard}'
    elif asked.verb == 'failover' and source == destination:
        reason = f'it is used at {destination} already'
    else:
        return None
    return exceptions.ReplicationActionRefused(
        id=replication.id, action=replication_operations.DONE[asked.verb], reason=reason,
        state=replication.state)
