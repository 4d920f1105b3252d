"""What may be asked of a migration, and what becomes of its record and of its volume."""
# SPDX-License-Identifier: Apache-2.0

import concurrent.futures
import datetime

import pytest
import sqlalchemy as sa
from oslo_utils import timeutils

from cinder_ext import context as contexts
from cinder_ext import exceptions
from cinder_ext.db import (
    attach_requests,
    attachments,
    messages,
    migration_actions,
    models,
    placement,
    session,
    transition,
    volume_migrations,
    volumes,
)
from cinder_ext.states import messages as words
from cinder_ext.states import migration as states

SERVER = {'instance_id': '11111111-1111-4111-8111-111111111111', 'attached_host': None}
LEFT = {'host': 'node@beta#beta', 'kind': 'volume', 'name_id': 'x', 'size_bytes': 1, 'reason': 'no'}
WAYS = {
    'scheduling': [], 'preflight': ['schedule'], 'copying': ['schedule', 'copy'],
    'verifying': ['schedule', 'copy', 'verify'], 'paused': ['schedule', 'copy', 'pause'],
    'swapping': ['schedule', 'copy', 'swap'], 'committing': ['schedule', 'copy', 'commit'],
    'committed': ['schedule', 'copy', 'commit', 'committed'],
    'tidying': ['schedule', 'copy', 'commit', 'committed', 'tidy'],
    'leftovers': ['schedule', 'copy', 'commit', 'committed', 'tidy', 'leave'],
    'finished': ['schedule', 'copy', 'commit', 'committed', 'tidy', 'finish'],
    'reverting': ['schedule', 'copy', 'revert'], 'failed': ['schedule', 'copy', 'revert', 'fail'],
    'cancelling': ['schedule', 'copy', 'cancel'], 'yielding': ['schedule', 'copy', 'yield'],
    'cancelled': ['schedule', 'copy', 'cancel', 'cancelled'], 'refused': ['refuse'],
    'unneeded': ['retype-in-place'],
}
"""Phase -> events that lead there."""
RUNNING = {'preflight', 'copying', 'verifying'}
UNDONE = {'failed', 'cancelled', 'refused'}


@pytest.fixture
def migrating(make_volume, ctxt):
    """migrating(phase, lock=None, **columns) -> id of a migration in a phase."""
    def make(phase, lock=None, volume_id=None, **columns):
        values = {'operation': 'retype' if lock == 'retype' else 'migrate',
                  'destination_host': 'node@beta#beta', **columns}
        record = volume_migrations.start(ctxt, volume_id or make_volume(), values, lock)
        for event in WAYS[phase]:
            transition.move(ctxt, states.MACHINE, record.id, event)
        assert volume_migrations.get(ctxt, record.id).phase == phase
        return record.id

    return make


def _volume(ctxt, migration_id):
    row = volumes.get(ctxt, volume_migrations.get(ctxt, migration_id).volume_id)
    return row.status, row.migration_status


def _dump():
    with session.get_engine().connect() as connection:
        return [connection.execute(sa.select(table)).mappings().all() for table in (
            models.VolumeMigration.__table__, models.Volume.__table__, models.Message.__table__)]


def _link(ctxt, migration_id):
    with session.get_engine().begin() as connection:
        connection.execute(models.MigrationLink.__table__.insert().values(
            migration_id=migration_id, number=0, size_bytes=1, source_name_id='a',
            destination_name_id='b', created_at=timeutils.utcnow()))


def test_ways_lead_to_every_phase():
    assert sorted(WAYS) == states.MACHINE.states


@pytest.mark.parametrize(('action', 'allowed'), [
    (migration_actions.cancel, {'scheduling', 'paused', 'cancelling', 'yielding', 'cancelled',
                                *RUNNING}),
    (migration_actions.pause, {'paused', *RUNNING}),
    (migration_actions.resume, {'paused'}),
    (migration_actions.retry, UNDONE),
    (migration_actions.retry_cleanup, {'leftovers', 'failed', 'cancelled'}),
    (migration_actions.acknowledge, {'leftovers', 'failed', 'cancelled', 'finished'}),
    (lambda *of: migration_actions.set_bandwidth(*of, 7), {'scheduling', 'paused', *RUNNING}),
], ids=['cancel', 'pause', 'resume', 'retry', 'retry-cleanup', 'acknowledge', 'bandwidth'])
def test_an_action_is_done_or_refused_with_a_reason_and_no_change(
        migrating, ctxt, action, allowed):
    for phase in WAYS:
        migration_id = migrating(phase)
        volume_migrations.note_leftover(ctxt, migration_id, LEFT)
        if phase in allowed:
            action(ctxt, migration_id)
            continue
        before = _dump()
        with pytest.raises(exceptions.MigrationActionRefused) as refused:
            action(ctxt, migration_id)
        assert f'its phase is {phase}' in refused.value.message
        assert refused.value.http_status == 409
        assert _dump() == before


@pytest.mark.parametrize('action', [
    'cancel', 'pause', 'resume', 'retry', 'retry_cleanup', 'acknowledge', 'set_bandwidth'])
def test_an_unknown_migration_is_not_found(database, ctxt, action):
    arguments = [1] if action == 'set_bandwidth' else []
    with pytest.raises(exceptions.MigrationNotFound):
        getattr(migration_actions, action)(ctxt, 'nowhere', *arguments)


@pytest.mark.parametrize('lock', [None, 'retype', 'lock'])
def test_cancelled_before_it_is_placed_it_has_ended_at_once(migrating, ctxt, lock):
    migration_id = migrating('scheduling', lock)
    record = migration_actions.cancel(ctxt, migration_id)
    assert (record.phase, record.finished_at is not None) == ('cancelled', True)
    assert _volume(ctxt, migration_id) == ('available', None)
    assert not placement.schedule(ctxt, migration_id, 'node@beta#beta')
    told, = messages_of(ctxt, record.volume_id)
    assert told.detail_id == words.MIGRATION_CANCELLED


def messages_of(ctxt, volume_id):
    with session.get_engine().connect() as connection:
        table = models.Message.__table__
        return connection.execute(
            sa.select(table).where(table.c.resource_uuid == volume_id)).all()


@pytest.mark.parametrize(('phase', 'lock'), [
    ('preflight', None), ('copying', 'retype'), ('verifying', 'lock'), ('paused', 'retype')])
def test_a_cancelled_migration_keeps_its_volume_until_it_is_undone(migrating, ctxt, phase, lock):
    migration_id = migrating(phase, lock)
    status = _volume(ctxt, migration_id)[0]
    assert migration_actions.cancel(ctxt, migration_id).phase == 'cancelling'
    assert _volume(ctxt, migration_id) == (status, 'migrating')
    record = volume_migrations.get(ctxt, migration_id)
    with pytest.raises(exceptions.MigrationActive):
        attachments.reserve(ctxt, record.volume_id)
    assert migration_actions.cancel(ctxt, migration_id).phase == 'cancelling'

    migration_actions.end_called_off(ctxt, migration_id)

    record = migration_actions.cancel(ctxt, migration_id)
    assert (record.phase, record.finished_at is not None) == ('cancelled', True)
    assert _volume(ctxt, migration_id) == ('available', None)
    assert len(messages_of(ctxt, record.volume_id)) == 1
    with pytest.raises(exceptions.TransitionRefused):
        migration_actions.end_called_off(ctxt, migration_id)


def test_paused_seconds_add_up_and_never_shrink(migrating, ctxt):
    migration_id = migrating('copying')
    _link(ctxt, migration_id)
    for ago, total in ((10, 10), (5, 15), (-100, 15)):
        paused = migration_actions.pause(ctxt, migration_id)
        assert (paused.phase, paused.paused_at is not None) == ('paused', True)
        since = timeutils.utcnow() - datetime.timedelta(seconds=ago)
        volume_migrations.update(ctxt, migration_id, {'paused_at': since})
        assert migration_actions.pause(ctxt, migration_id).paused_at == since
        record = migration_actions.resume(ctxt, migration_id)
        assert (record.phase, record.paused_at) == ('copying', None)
        assert total <= record.seconds_paused < total + 2
    migration_actions.pause(ctxt, migration_id)
    record = migration_actions.cancel(ctxt, migration_id)
    assert (record.paused_at, record.seconds_paused >= 15) == (None, True)


def test_paused_before_its_plan_it_is_planned_again(migrating, ctxt):
    migration_id = migrating('preflight')
    assert migration_actions.pause(ctxt, migration_id).phase == 'paused'
    assert _volume(ctxt, migration_id) == ('available', 'migrating')
    assert migration_actions.resume(ctxt, migration_id).phase == 'preflight'
    assert _volume(ctxt, migration_id) == ('available', 'starting')


@pytest.mark.parametrize('phase', sorted(UNDONE))
@pytest.mark.parametrize(('lock', 'columns'), [
    (None, {'include_snapshots': True, 'bandwidth': 5, 'yield_to_attach': True,
            'force_copy': True, 'verify': 'full'}),
    ('lock', {'destination_host': 'node@beta'}),
    ('retype', {'requested_policy': 'on-demand', 'destination_type_id': 'other'}),
])
def test_a_retry_asks_for_the_same(migrating, ctxt, phase, lock, columns):
    first = volume_migrations.get(ctxt, migrating(phase, lock, **columns))
    volume_migrations.release(ctxt, first)
    locked = _volume(ctxt, first.id)
    assert locked[0] == 'available'
    again = migration_actions.retry(ctxt, first.id)
    assert (again.phase, again.retry_of, again.volume_id) == (
        'scheduling', first.id, first.volume_id)
    for name in migration_actions._AGAIN:
        assert getattr(again, name) == getattr(first, name), name
    assert again.destination_host == (None if lock == 'retype' else first.destination_host)
    assert again.destination_name_id != first.destination_name_id
    assert _volume(ctxt, first.id) == (
        {'lock': 'maintenance', 'retype': 'retyping', None: 'available'}[lock], 'starting')
    with pytest.raises(exceptions.MigrationActive):
        migration_actions.retry(ctxt, first.id)


def test_a_volume_that_went_there_meanwhile_is_not_sent_there(migrating, ctxt):
    migration_id = migrating('cancelled')
    record = volume_migrations.get(ctxt, migration_id)
    volumes.update(ctxt, record.volume_id, {'host': 'node@beta#beta'})
    with pytest.raises(exceptions.MigrationActionRefused, match='already'):
        migration_actions.retry(ctxt, migration_id)


@pytest.mark.parametrize(('phase', 'then'), [
    ('leftovers', 'finished'), ('failed', 'failed'), ('cancelled', 'cancelled')])
def test_what_is_acknowledged_is_listed_and_left_alone(migrating, ctxt, phase, then):
    migration_id = migrating(phase)
    for action in (migration_actions.acknowledge, migration_actions.retry_cleanup):
        with pytest.raises(exceptions.MigrationActionRefused, match='nothing'):
            action(ctxt, migration_id)
    volume_migrations.note_leftover(ctxt, migration_id, LEFT)
    assert migration_actions.retry_cleanup(ctxt, migration_id).phase == phase

    record = migration_actions.acknowledge(ctxt, migration_id)

    assert (record.phase, record.leftovers) == (then, [{**LEFT, 'acknowledged': True}])
    assert volume_migrations.failed_with_leftovers(ctxt, 'node@alpha') == []
    volume_migrations.note_leftover(ctxt, migration_id, {**LEFT, 'reason': 'still'})
    assert volume_migrations.get(ctxt, migration_id).leftovers == record.leftovers
    with pytest.raises(exceptions.MigrationActionRefused):
        migration_actions.retry_cleanup(ctxt, migration_id)


@pytest.mark.parametrize('phase', ['failed', 'cancelled'])
def test_what_an_undone_migration_left_is_found_by_its_source(migrating, ctxt, phase):
    migration_id = migrating(phase)
    volume_migrations.note_leftover(ctxt, migration_id, LEFT)
    assert volume_migrations.failed_with_leftovers(ctxt, 'node@alpha') == [migration_id]


def test_a_limit_is_set_lifted_and_never_negative(migrating, ctxt):
    migration_id = migrating('copying')
    for wanted, stored in ((2 ** 40, 2 ** 40), (0, None), (5, 5), (None, None)):
        assert migration_actions.set_bandwidth(ctxt, migration_id, wanted).bandwidth == stored
        assert migration_actions.command(ctxt, migration_id) == ('copying', 0, stored)
    with pytest.raises(exceptions.InvalidInput):
        migration_actions.set_bandwidth(ctxt, migration_id, -1)
    assert migration_actions.command(ctxt, 'nowhere') is None


def _reserve(ctxt, volume_id):
    attachments.reserve(ctxt, volume_id, SERVER['instance_id'])


def _begin(ctxt, volume_id):
    attach_requests.reserve(ctxt, volume_id)


def _attach(ctxt, volume_id):
    attach_requests.attach(ctxt, volume_id, SERVER, '/dev/vdb', 'rw')


TAKING = pytest.mark.parametrize(('take', 'status'), [
    (_reserve, 'reserved'), (_begin, 'attaching'), (_attach, 'in-use')],
    ids=['reserve', 'os-reserve', 'os-attach'])


@TAKING
def test_a_migration_that_is_to_yield_lets_its_volume_be_taken(migrating, ctxt, take, status):
    for phase in ('scheduling', *RUNNING, 'paused'):
        _is_taken(migrating, ctxt, take, status, phase)


def _is_taken(migrating, ctxt, take, status, phase):
    then = 'cancelled' if phase == 'scheduling' else 'yielding'
    migration_id = migrating(phase, yield_to_attach=True)
    record = volume_migrations.get(ctxt, migration_id)

    take(ctxt, record.volume_id)

    record = volume_migrations.get(ctxt, migration_id)
    assert (record.phase, record.error_code) == (then, 'cinder_ext.migration_yielded')
    assert _volume(ctxt, migration_id) == (status, None)
    if then == 'yielding':
        migration_actions.end_called_off(ctxt, migration_id)
    assert _volume(ctxt, migration_id) == (status, None)
    told, = messages_of(ctxt, record.volume_id)
    assert told.detail_id == words.MIGRATION_YIELDED


def test_a_volume_is_used_while_its_migration_is_being_undone(migrating, ctxt):
    migration_id = migrating('copying', yield_to_attach=True)
    volume_id = volume_migrations.get(ctxt, migration_id).volume_id
    row = attachments.reserve(ctxt, volume_id, SERVER['instance_id'])
    attachments.connect(ctxt, row.id, {'host': 'compute'})
    attachments.complete(ctxt, row.id)
    assert _volume(ctxt, migration_id) == ('in-use', None)
    migration_actions.end_called_off(ctxt, migration_id)
    assert _volume(ctxt, migration_id) == ('in-use', None)


@pytest.mark.parametrize(('phase', 'lock', 'option'), [
    ('copying', None, False), ('copying', 'lock', True), ('scheduling', 'retype', True),
    ('copying', 'retype', True), ('committing', None, True), ('reverting', None, True),
    ('cancelling', None, True)])
def test_others_do_not_yield(migrating, ctxt, phase, lock, option):
    migration_id = migrating(phase, lock, yield_to_attach=option)
    before = _dump()
    for take in (_reserve, _begin, _attach):
        with pytest.raises((exceptions.MigrationActive, exceptions.InvalidState)):
            take(ctxt, volume_migrations.get(ctxt, migration_id).volume_id)
    assert _dump() == before


def test_an_attached_volume_is_not_yielded(migrating, make_volume, ctxt):
    volume_id = make_volume(status='in-use', attach_status='attached', multiattach=True)
    migration_id = migrating('copying', volume_id=volume_id, yield_to_attach=True)
    with pytest.raises(exceptions.MigrationActive):
        attachments.reserve(ctxt, volume_id, 'another')
    assert volume_migrations.get(ctxt, migration_id).phase == 'copying'


def test_a_volume_that_is_refused_leaves_its_migration_alone(migrating, ctxt):
    """Both happen or neither."""
    migration_id = migrating('copying', yield_to_attach=True)
    volume_id = volume_migrations.get(ctxt, migration_id).volume_id

    @session.writer
    def reserve_and_fail(context):
        attachments.reserve(context, volume_id)
        raise exceptions.InvalidInput(reason='of another thing')

    with pytest.raises(exceptions.InvalidInput):
        reserve_and_fail(ctxt)
    assert volume_migrations.get(ctxt, migration_id).phase == 'copying'
    assert _volume(ctxt, migration_id) == ('available', 'migrating')


def test_the_commit_and_the_cancel_race_and_one_wins(migrating, ctxt):
    for number in range(6):
        migration_id = migrating('verifying', yield_to_attach=True)
        volume_id = volume_migrations.get(ctxt, migration_id).volume_id

        def commit(migration_id=migration_id):
            context = contexts.admin_context()
            return transition.try_move(context, states.MACHINE, migration_id, 'commit')

        def end(migration_id=migration_id, volume_id=volume_id, is_taken=bool(number % 2)):
            context = contexts.admin_context()
            try:
                if is_taken:
                    attachments.reserve(context, volume_id)
                else:
                    migration_actions.cancel(context, migration_id)
            except exceptions.Conflict:
                return False
            return True

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            committed, ended = pool.submit(commit), pool.submit(end)
            assert committed.result() != ended.result()
        assert volume_migrations.get(ctxt, migration_id).phase == (
            'committing' if committed.result() else 'yielding' if number % 2 else 'cancelling')


def test_messages_are_no_errors(migrating, ctxt):
    migration_id = migrating('scheduling')
    record = migration_actions.cancel(ctxt, migration_id)
    row, = messages_of(ctxt, record.volume_id)
    assert messages.get(ctxt, row.id).message_level == 'INFO'
