"""Which notifications a change has."""
# SPDX-License-Identifier: Apache-2.0

import pytest

from cinder_ext.rpc import notifications
from cinder_ext.states import attachment, migration, replication, snapshot, volume


@pytest.mark.parametrize(('change', 'names'), [
    (('volume', 'insert'), ['volume.create.start']),
    (('volume', 'insert-managing'), ['volume.manage_existing.start']),
    (('snapshot', 'unmanaged'), ['snapshot.unmanage.end']),
    (('volume', 'created'), ['volume.create.end']),
    (('volume', 'deleted'), ['volume.delete.end']),
    (('volume', 'extended'), ['volume.resize.end']),
    (('snapshot', 'create-failed'), ['snapshot.create.error']),
    (('attachment', 'complete'), ['volume.attach.end']),
    (('migration', 'insert', 'retype'), ['volume.migrate.start']),
    (('migration', 'pause', 'retype'), ['volume.migrate.pause']),
    (('migration', 'resume-unplanned', 'migrate'), ['volume.migrate.resume']),
    (('migration', 'cancel', 'migrate'), ['volume.migrate.cancel.start']),
    (('migration', 'cancel-unplaced', 'migrate'), ['volume.migrate.cancel.end']),
    (('migration', 'committed', 'retype'), ['volume.migrate.commit', 'volume.retype']),
    (('migration', 'committed', 'migrate'), ['volume.migrate.commit']),
    (('migration', 'finish', 'retype'), ['volume.migrate.end']),
    (('migration', 'acknowledge', 'migrate'), ['volume.migrate.end']),
    (('migration', 'retype-in-place', 'retype'), ['volume.migrate.end', 'volume.retype']),
    (('migration', 'refuse', 'retype'), ['volume.migrate.error']),
    (('migration', 'verify', 'retype'), []),
    (('volume', 'failover-failed'), ['volume.replication.failover.error']),
    (('replication', 'breached'), ['replication.objective.error']),
    (('replication_operation', 'end-partly'), ['replication_operation.error']),
    (('replication_operation_member', 'member-done'), ['replication_operation.member.end']),
    (('unheard-of', 'insert'), []),
])
def test_names_of_a_change(change, names):
    assert notifications.event_types(*change) == names


@pytest.mark.parametrize(('kind', 'machine'), [
    ('volume', volume.MACHINE), ('snapshot', snapshot.MACHINE),
    ('attachment', attachment.MACHINE), ('migration', migration.MACHINE),
], ids=['volume', 'snapshot', 'attachment', 'migration'])
def test_every_named_event_exists(kind, machine):
    known = {row.event for row in machine} | {'insert', 'deleted', 'update', 'unmanaged',
                                                   'insert-managing',
                                                   'revert', 'reverted', 'revert-failed',
                                                   'adopted'}
    if kind == 'volume':
        known |= {row.event for row in replication.VOLUME}
    assert set(notifications._STARTS_AND_ENDS[kind]) <= known


@pytest.mark.parametrize(('kind', 'machine', 'besides'), [
    ('replication', replication.MACHINE, {'insert', 'insert-failed-over', 'insert-error', 'condition',
                                          'breached', 'healed'}),
    ('replication_operation', replication.OPERATION, {'insert'}),
    ('replication_operation_member', replication.MEMBER, set()),
    ('volume', replication.VOLUME, set(notifications._STARTS_AND_ENDS['volume'])),
], ids=['replication', 'operation', 'member', 'volume'])
def test_every_change_of_replication_is_told(kind, machine, besides):
    assert {row.event for row in machine} | besides == set(notifications._STARTS_AND_ENDS[kind])


def test_the_two_statuses_of_a_volume_have_no_event_in_common():
    assert not {row.event for row in replication.VOLUME} & {row.event for row in volume.MACHINE}


def test_every_migration_that_is_told_to_begin_is_told_to_end():
    last = {row.event for row in migration.MACHINE if row.target in migration.ENDED}
    for event in last:
        name, = notifications.event_types('migration', event)
        assert name in ('volume.migrate.end', 'volume.migrate.cancel.end', 'volume.migrate.error')
