"""Places migrations: retypes in place what needs no move, finds a destination for the rest."""
# SPDX-License-Identifier: Apache-2.0

import dataclasses

from oslo_log import log

from cinder_ext import exceptions
from cinder_ext.db import (
    placement,
    snapshots,
    volume_migrations,
    volume_types,
    volumes,
)
from cinder_ext.scheduler import pick, request
from cinder_ext.scheduler.volumes import (
    GIB,
    log_passed_over,
    log_refusals,
    properties,
    qos,
    wanted_replication,
)
from cinder_ext.states import checks
from cinder_ext.states import messages as words
from cinder_ext.states import migration as states

LOG = log.getLogger(__name__)

UNCHANGEABLE = ('failing-over', 'failed-over', 'failover-error', 'error', 'disabling')
"""Values of a volume's replication_status with which its replication stays what it is."""


@dataclasses.dataclass(frozen=True)
class View:
    """What a decision is made from: the pools, and whether a refusal may be final."""

    is_settled: bool
    pools: list


class MigrationPlacer:
    """Chooses or checks the destination of a migration and has it run at its source.

    :param backends: backends.Backends
    :param volume_api: rpc.volume.VolumeAPI
    :param is_settled: callable: whether a refusal may be final
    :param rules: pick.Rules
    :param look: rpc.replication.ReplicationAPI.look, or None
    """

    def __init__(self, backends, volume_api, is_settled, rules=pick.DEFAULT, look=None):
        self._backends = backends
        self._volume_api = volume_api
        self._is_settled = is_settled
        self._rules = rules
        self._look = look

    def place(self, context, migration_id):
        """Place one recorded migration.  Harmless when it is placed or gone already."""
        try:
            record = volume_migrations.get(context, migration_id)
            if record.phase != states.SCHEDULING:
                return
            volume = volumes.get(context, record.volume_id)
        except exceptions.NotFound as fault:
            LOG.warning('migration %s cannot be placed: %s', migration_id, fault.message)
            return
        # Asked first: a report that comes in between must not make a refusal final.
        view = View(self._is_settled(context), self._backends.pools(context))
        if record.operation == 'retype':
            self._retype(context, record, volume, view)
        else:
            self._move(context, record, volume, view, 'fail')

    def _retype(self, context, record, volume, view):
        """In place, refused, or moved."""
        here = next((pool for pool in view.pools if pool.host == volume.host), None)
        if here is None and not view.is_settled:
            return
        fault = replication_fault(context, record, volume)
        if fault is not None:
            check = checks.verdict('replication-changes', False, fault.message)
            self._end(context, record, 'refuse', fault, words.REPLICATION_STAYS,
                      [check.as_document()])
            return
        reason = self.reason_to_move(context, record, volume, here)
        if reason is None:
            if placement.retype_in_place(context, record.id):
                LOG.info('migration %s: volume %s was retyped in place', record.id, volume.id)
                if self._look is not None:
                    # Its replication begins or ends by the new type.
                    self._look(context, volume.host)
        elif record.requested_policy in (None, 'never'):
            self._end(context, record, 'refuse', exceptions.MoveNotAskedFor(reason=reason),
                      words.MOVE_NOT_ASKED_FOR)
        else:
            self._move(context, record, volume, view, 'refuse')

    def reason_to_move(self, context, record, volume, here):
        """Why the present pool cannot have the new type; None if it can."""
        if here is None:
            return 'its present backend is not known to the scheduler'
        return pick.refusal(here, self._request(context, record, volume),
                            self._rules.of_present_place)

    def choose(self, context, record, volume, pools):
        """The destination: pick.Choice.  Nothing is consumed."""
        return pick.pick(pools, self._request(context, record, volume), self._rules)

    def _move(self, context, record, volume, view, refusal_event):
        """Schedule it, or end it with ``refusal_event``."""
        chain = snapshots.of_volume(context, volume.id)
        if chain and not record.include_snapshots:
            self._end(context, record, refusal_event, exceptions.SnapshotsNotIncluded(count=len(chain)),
                      words.SNAPSHOTS_NOT_INCLUDED)
            return
        choice = self.choose(context, record, volume, view.pools)
        if choice.pool is not None:
            log_passed_over('migration', record.id, choice)
            self._send(context, record, volume, choice.pool)
        elif view.is_settled:
            log_refusals('migration', record.id, choice)
            self._end(context, record, refusal_event,
                      exceptions.NoValidBackend(reason=choice.summary), words.NO_DESTINATION,
                      refusals(choice))

    def _request(self, context, record, volume):
        """What is looked for: request.Request."""
        type_id = record.destination_type_id or volume.volume_type_id
        specs = volume_types.extra_specs(context, type_id)
        return request.Request(
            size_bytes=volume.size * GIB, physical_bytes=record.bytes_total or None,
            extra_specs=specs, replication=wanted_replication(context, specs, volume.group_id),
            availability_zone=volume.availability_zone,
            named=record.destination_host, excluded=volume.host,
            volume={**properties(volume), 'volume_type_id': type_id},
            qos=qos(context, type_id))

    def _send(self, context, record, volume, pool):
        if not placement.schedule(context, record.id, pool.host):
            return
        LOG.info('migration %s: volume %s goes from %s to %s', record.id, volume.id, volume.host,
                 pool.host)
        self._volume_api.run_migration(context, volume.host, record.id)

    def _end(self, context, record, event, fault, detail_id, refused=None):
        if placement.end(context, record.id, event, fault, detail_id, refused):
            LOG.warning('migration %s is not begun: %s', record.id, fault.message)


def replication_fault(context, record, volume):
    """Why a volume's replication cannot become what its new type asks for; None if it can.

    Whether a backend serves it is asked of the backends.  A volume in a group gets no new type.

    :returns: exceptions.CinderExtError
    """
    old, new = (wanted_replication(context, volume_types.extra_specs(context, type_id))
                for type_id in (volume.volume_type_id, record.destination_type_id))
    if old == new or volume.replication_status not in UNCHANGEABLE:
        return None
    return exceptions.InvalidState(
        kind='volume', reason=f'volume {volume.id} cannot get another replication: its '
                              f'replication_status is {volume.replication_status}.')


def refusals(choice):
    """The refusals in the form of the record's checks."""
    return [checks.verdict('destination', False, f'{host}: {reason}').as_document()
            for host, reason in choice.refusals.items()]
