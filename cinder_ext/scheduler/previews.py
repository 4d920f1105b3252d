"""What a migration would meet, found out without beginning it: the scheduler's part of the dry run."""
# SPDX-License-Identifier: Apache-2.0

import oslo_messaging
from oslo_log import log

from cinder_ext.db import migration_preview, volumes
from cinder_ext.rpc import transport
from cinder_ext.scheduler import migrations
from cinder_ext.states import checks

LOG = log.getLogger(__name__)


class Previewer:
    """Chooses a destination without consuming anything and has the source examine the rest.

    :param backends: backends.Backends
    :param volume_api: rpc.volume.VolumeAPI
    :param placer: migrations.MigrationPlacer, whose rules hold here too
    """

    def __init__(self, backends, volume_api, placer):
        self._backends = backends
        self._volume_api = volume_api
        self._placer = placer

    def preview(self, context, request):
        """As rpc.scheduler.SchedulerAPI.preview_migration says.

        :raises VolumeNotFound: there is no such volume
        """
        record = migration_preview.record_of(context, request)
        volume = volumes.get(context, record.volume_id)
        pools = self._backends.pools(context)
        reason, change = None, []
        if record.operation == 'retype':
            here = next((pool for pool in pools if pool.host == volume.host), None)
            change = [_change(migrations.replication_fault(context, record, volume))]
            reason = self._placer.reason_to_move(context, record, volume, here)
            if reason is None:
                return _in_place(volume, change[0])
        choice = self._placer.choose(context, record, volume, pools)
        host = choice.pool.host if choice.pool is not None else None
        asked = [*_destination(choice), *_policy(record, reason), *change]
        found = self._examined(context, volume, pools, {**request, 'destination_host': host})
        asked += found['checks']
        return {**found, 'checks': asked, 'destination_host': host,
                'passed': all(each['passed'] for each in asked)}

    def _examined(self, context, volume, pools, request):
        """What the source's service says; a check that failed when it does not answer."""
        is_down = any(pool.host == volume.host and not pool.is_alive for pool in pools)
        if is_down or volume.host is None:
            return _unanswered(f'the volume service of {volume.host} is down')
        try:
            found = self._volume_api.preflight_migration(context, volume.host, request)
        except (oslo_messaging.MessagingTimeout, oslo_messaging.MessageDeliveryFailure) as fault:
            LOG.warning('the preflight of volume %s got no answer: %s', volume.id, fault)
            return _unanswered(f'the volume service of {volume.host} did not answer')
        except oslo_messaging.RemoteError as fault:
            if not transport.is_unsupported(fault):
                raise
            return _unanswered(f'the volume service of {volume.host} is of a version without it')
        answers = _check('source-answers', True, f'the volume service of {volume.host}: found')
        return {**found, 'checks': [answers, *found['checks']]}


def _unanswered(detail):
    return {'method': None, 'bytes_total': 0, 'checks': [_check('source-answers', False, detail)]}


def _change(fault):
    return _check('replication-changes', fault is None,
                  'nothing is in the way' if fault is None else fault.message)


def _in_place(volume, change):
    """No byte has to move; but the replication may have to stay as it is."""
    here = _check('destination', True, f'{volume.host} serves the new type: no byte has to move')
    return {'passed': change['passed'], 'destination_host': volume.host, 'method': None,
            'bytes_total': 0, 'checks': [here, *([] if change['passed'] else [change])]}


def _policy(record, reason):
    """Whether a retype that needs a move may move."""
    if reason is None:
        return
    is_allowed = record.requested_policy != 'never'
    yield _check('move-allowed', is_allowed, f'the new type needs another pool: {reason}')


def _destination(choice):
    if choice.pool is not None:
        return [_check('destination', True, f'{choice.pool.host} was chosen')]
    return migrations.refusals(choice) or [_check('destination', False, choice.summary)]


def _check(name, passed, detail):
    return checks.verdict(name, passed, detail).as_document()
