"""The failover of a whole backend as the old calls know it: by the row of its service.

The operation does the work; the row shows where it stands, in ``replication_status``.
"""
# SPDX-License-Identifier: Apache-2.0

import sqlalchemy as sa

from cinder_ext import exceptions
from cinder_ext.db import (
    models,
    replication_claims,
    replication_models,
    replication_operations,
    replications,
    services,
    session,
    transition,
)
from cinder_ext.states import replication as states

HOME = 'default'
"""The word of the old calls for the backend itself."""

FORCE_IF_NEEDED = 'force_if_needed'
"""In the facts of an operation: the caller could not say ``force``, and means it where the source
does not answer."""

FORMER = 'former_service_status'
"""In the facts of an operation: what its backend's service showed before."""

_GIVEN_BACK = {states.ENABLED: 'failed-back', states.FAILED_OVER: 'failed-over',
               states.FAILOVER_ERROR: 'failover-failed'}

_Replication = replication_models.Replication
_Service = models.Service


@session.writer
def announce(context, host, is_able):
    """A driver was started: whether its backend can be failed over.  What is shown of a failover
    stays as it is.  Idempotent.

    :param host: ``host@backend``
    """
    service = services.get(context, services.VOLUME_BINARY, host)
    wanted = states.ENABLED if is_able else states.DISABLED
    if service.replication_status != wanted:
        transition.try_move(context, states.SERVICE, service.id, 'able' if is_able else 'unable')


@session.writer
def ask(context, host, target, known=()):
    """Record that a backend is to be failed over, or back.

    :param host: ``host@backend``
    :param target: a backend_id, ``default`` for the way back; None: where its volumes are
        replicated to
    :param known: its targets in the order of its configuration, where they can be told: there are
        no others, and of several places the first is meant
    :returns: replication_models.ReplicationOperation
    :raises InvalidInput: its replication_status does not allow it, or the target is none
    :raises ReplicationOperationActive: names the operation that is in the way
    """
    replication_claims.lock(context, host)
    service = services.get(context, services.VOLUME_BINARY, host)
    if service.replication_status not in states.SERVICE.row('ask').sources:
        raise exceptions.InvalidInput(
            reason=f'No service could be changed: replication_status in {host} must be enabled '
                   f"or failed-over, it is {service.replication_status or 'not-capable'}.")
    is_back = target == HOME
    if not is_back:
        target = target or _first_target(context, host, known)
    _refuse_target(service, target, known)
    found = _protecting(context, host, None if is_back else target)
    row = replication_operations.create(context, {
        'verb': 'failback' if is_back else 'failover', 'scope': 'backend', 'protected_id': host,
        'home': host, 'target': None if is_back else target, 'allow_attached': True,
        'consistency': 'best-effort', 'facts': {
            FORMER: service.replication_status, FORCE_IF_NEEDED: not is_back}}, found)
    transition.move(context, states.SERVICE, service.id, 'ask')
    return row


def _refuse_target(service, target, known):
    """
    :raises InvalidInput: the backend has no such target, or is there already
    """
    if known and target not in (HOME, *known):
        raise exceptions.InvalidInput(
            reason=f'Invalid Replication Target: {target[:255]} is no target of {service.host}; '
                   f'there are {", ".join(known)}.')
    active = service.active_backend_id or HOME
    if service.replication_status != states.FAILOVER_ERROR and active == target:
        raise exceptions.InvalidInput(
            reason=f'Invalid Replication Target: {service.host} is used at {active} already.')


def _first_target(context, host, known):
    found = {row.target for row in replications.of_home(context, host) if not row.cross_os}
    if len(found) == 1:
        return found.pop()
    for target in known:
        if target in found or not found:
            return target
    raise exceptions.InvalidInput(
        reason=f'Invalid Replication Target: {host} replicates to {", ".join(sorted(found)) or "none"}'
               '; name a target as backend_id.')


def _protecting(context, host, target):
    """The members: each replicated volume of the backend once, with its oldest replication."""
    member = replication_models.ReplicationMember
    query = (sa.select(member.volume_id, _Replication.id)
             .join(_Replication, _Replication.id == member.replication_id)
             .join(models.Volume, models.Volume.id == member.volume_id)
             .where(_Replication.home == host, _Replication.deleted_at.is_(None),
                    models.Volume.deleted_at.is_(None))
             .order_by(_Replication.created_at, _Replication.id))
    if target is not None:
        query = query.where(_Replication.target == target)
    found = {}
    for volume_id, replication_id in context.session.execute(query):
        found.setdefault(volume_id, replication_id)
    return [{'volume_id': volume_id, 'replication_id': replication_id}
            for volume_id, replication_id in found.items()]


@session.writer
def give_back(context, operation):
    """An operation that the old calls asked for was not begun: its service shows what it did.

    Idempotent; of another operation nothing happens.

    :param operation: replication_models.ReplicationOperation
    """
    former = (operation.facts or {}).get(FORMER)
    if former in _GIVEN_BACK:
        service = services.get(context, services.VOLUME_BINARY, operation.home)
        transition.try_move(context, states.SERVICE, service.id, _GIVEN_BACK[former],
                            where=(_Service.replication_status == states.FAILING_OVER,))


@session.writer
def decide_force(context, operation_id, is_forced):
    """Whether an operation is forced that was to be where needed: decided once."""
    row = replication_operations.lock(context, operation_id)
    replication_operations.update(context, operation_id, {
        'force': is_forced, 'facts': {**(row.facts or {}), FORCE_IF_NEEDED: False}})


def columns(service, event):
    """What else changes in a service's row with its ``replication_status``.

    A backend that is failed over, or half of it, gets nothing new until an operator enables it.

    :param event: of states.SERVICE
    """
    if event == 'failed-back':
        return {'disabled': service.frozen, 'disabled_reason': 'frozen' if service.frozen else None}
    return {'disabled': True, 'disabled_reason': event if event == 'failed-over' else
            'failover-error'}
