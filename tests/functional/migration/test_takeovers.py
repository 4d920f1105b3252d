"""Taking over from an owner that may live: other names, or a new beginning; and no write unfenced."""
# SPDX-License-Identifier: Apache-2.0

import ast
import collections
import contextlib
import pathlib
import threading

import pytest
import sqlalchemy as sa

from cinder_ext import exceptions
from cinder_ext.db import lease, session, transition, volume_migrations
from cinder_ext.drivers import capabilities, values
from cinder_ext.drivers.file import FileDriver
from cinder_ext.states import migration as states
from cinder_ext.volume import engine, migration
from cinder_ext.volume.migration import copies, flow, journey, takeover

MIB = values.MIB


class Unable(FileDriver):
    """Cannot give other names."""

    def switched_off(self):
        return super().switched_off() | {capabilities.Supersede}

    def supersede(self, pairs):
        raise AssertionError('it was asked for what it cannot')


class Full(FileDriver):
    """Has room for the volume's second name and no more."""

    def supersede(self, pairs):
        super().supersede(pairs[:1])
        raise exceptions.NoSpace(reason='the snapshots do not fit')


class NoSnapshotConnect(FileDriver):
    """Reads snapshots through temporary volumes."""

    def switched_off(self):
        return super().switched_off() | {capabilities.SnapshotConnect}


@pytest.fixture
def fill(noise):
    def make(cloud):
        volume_id = cloud.volume(1)
        cloud.write(volume_id, 0, noise(6 * MIB))
        cloud.snapshot(volume_id)
        cloud.write(volume_id, 3 * MIB, noise(2 * MIB))
        cloud.snapshot(volume_id)
        cloud.write(volume_id, 4 * MIB, noise(3 * MIB))
        return volume_id
    return make


def frozen(cloud, volume_id, steps):
    """An owner that stands still after two steps of *move*, and some links; returns work.Work."""
    record = volume_migrations.start(cloud.context, volume_id, {
        'operation': 'retype', 'include_snapshots': True}, 'retype')
    transition.move(cloud.context, states.MACHINE, record.id, 'schedule',
                    {'destination_host': 'host@beta#beta'})
    work = cloud.work(record.id,
                      take(cloud, record.id, 'frozen', False))
    journey.prepare(work)
    for step, _ in list(flow.move(work).iter_nodes())[:min(steps, 2)]:
        step.execute()
    rows = work.rows()
    for number in range(steps - 2):
        copies.copy(work, number, rows)
    return work


def take(cloud, migration_id, owner, is_doubtful):
    standing, = lease.standings(cloud.context, [migration_id])
    return lease.take(cloud.context, standing, owner, is_doubtful)


def succeed(cloud, work, times=1):
    """Others take over, who do not know whether the owner before is dead; the last one works."""
    for _ in range(times):
        fence = take(cloud, work.id, 'a successor', True)
    lease.release(cloud.context, fence)
    cloud.endpoints['alpha'].resume()
    return cloud.wait(work.id)


def expected(cloud, record):
    links = volume_migrations.links(cloud.context, record.id)
    return sorted([f'volume-{record.destination_name_id}.raw',
                   *(f'snapshot-{link.destination_name_id}.raw' for link in links
                     if link.snapshot_id)])


@pytest.mark.parametrize('kind', [FileDriver, Unable, Full, NoSnapshotConnect])
@pytest.mark.parametrize('steps', [1, 2, 3, 5])
def test_destination_has_other_names_and_is_whole(cloud_of, fill, kind, steps):
    cloud = cloud_of(beta=kind)
    volume_id = fill(cloud)
    before = cloud.contents(volume_id)
    work = frozen(cloud, volume_id, steps)
    former = [link.destination_name_id for link in work.links]

    record = succeed(cloud, work)

    assert (record.phase, record.leftovers) == ('finished', [])
    assert (record.attempt, record.doubtful_attempt, record.superseded_attempt) == (3, 2, 2)
    assert cloud.contents(volume_id) == before
    assert cloud.files('beta') == expected(cloud, record)
    assert not set(former) & {link.destination_name_id
                              for link in volume_migrations.links(cloud.context, work.id)}


@pytest.mark.parametrize('kind', [FileDriver, Unable, Full, NoSnapshotConnect])
@pytest.mark.parametrize('verify', ['off', 'written', 'full'])
def test_links_that_were_copied_and_not_stored_are_whole(reflink_cloud_of, fill, kind, verify):
    """The volume holds all of them by then; also when the first who goes on stops again."""
    cloud = reflink_cloud_of(beta=kind)
    cloud.conf.set_override('verify', verify, 'migration')
    volume_id = fill(cloud)
    before = cloud.contents(volume_id)
    work = frozen(cloud, volume_id, 2)
    rows = work.rows()
    for number in range(3):
        copies.copy_unstored(work, number, rows)
    assert [row.position for row in work.rows()] == [0, 0, 0]
    stopped = cloud.work(work.id, take(cloud, work.id, 'a successor', True))
    with contextlib.suppress(engine.Parked):
        takeover.settle(stopped, cloud.engine)

    record = succeed(cloud, work)

    assert (record.phase, record.leftovers) == ('finished', [])
    assert cloud.contents(volume_id) == before
    assert cloud.files('beta') == expected(cloud, record)


def test_what_was_copied_is_not_copied_again(cloud, fill):
    volume_id = fill(cloud)
    work = frozen(cloud, volume_id, 4)
    copied = cloud.record(work.id).bytes_written
    assert copied == 8 * MIB
    record = succeed(cloud, work, times=3)
    assert record.bytes_written == copied + 3 * MIB


@pytest.mark.parametrize('kind', [FileDriver, Unable])
def test_old_owner_writes_into_nothing(cloud_of, fill, kind):
    """It had the destination open, and seals and creates when it wakes up."""
    cloud = cloud_of(beta=kind)
    volume_id = fill(cloud)
    before = cloud.contents(volume_id)
    work = frozen(cloud, volume_id, 3)
    link = work.links[1]
    with work.destination.opened(link.destination_volume) as path, open(path, 'r+b') as late:
        record = succeed(cloud, work)
        late.write(b'late' * MIB)
        late.flush()
        for call in (lambda: work.destination.create(link.destination_volume),
                     lambda: work.destination.seal(link.destination),
                     lambda: work.destination.remove(work.links[0].destination),
                     lambda: work.destination.supersede([]),
                     lambda: work.destination.extend(link.destination_volume, values.GIB)):
            with pytest.raises(exceptions.RecordLost):
                call()
        # What it would be disconnected by is refused too.
        with pytest.raises(exceptions.RecordLost):
            work.destination._api.disconnect(work.context, work.destination.host,
                                             link.destination_volume, {})
        work.destination._context = cloud.context
    assert cloud.contents(volume_id) == before
    assert cloud.files('beta') == expected(cloud, record)


def test_successor_that_dies_while_it_renames_leaves_nothing(cloud, fill):
    volume_id = fill(cloud)
    before = cloud.contents(volume_id)
    work = frozen(cloud, volume_id, 4)
    second = cloud.work(work.id, take(cloud, work.id, 'second', True))
    new = [plan_link.destination for plan_link in (
        takeover.plan.renamed(link, second.fence, 'superseded') for link in second.links)]
    takeover._note(second, [new[-1], *new[:2]])
    cloud.drivers['beta'].supersede([(second.links[-1].destination, new[-1])])

    fence = take(cloud, work.id, 'third', False)
    lease.release(cloud.context, fence)
    cloud.endpoints['alpha'].resume()
    record = cloud.wait(work.id)

    assert (record.phase, record.leftovers) == ('finished', [])
    assert record.superseded_attempt == 2
    assert cloud.contents(volume_id) == before
    assert cloud.files('beta') == expected(cloud, record)


def test_migration_that_is_undone_needs_no_other_names(cloud, fill):
    volume_id = fill(cloud)
    before = cloud.contents(volume_id)
    work = frozen(cloud, volume_id, 3)
    transition.move(cloud.context, states.MACHINE, work.id, 'cancel')
    record = succeed(cloud, work)
    assert (record.phase, record.leftovers or []) == ('cancelled', [])
    assert cloud.files('beta') == []
    assert cloud.contents(volume_id) == before


def test_owner_that_lives_is_let_alone(cloud, fill):
    work = frozen(cloud, fill(cloud), 2)
    for _ in range(3):
        cloud.endpoints['alpha'].resume()
        cloud.endpoints['alpha'].run_migration(cloud.context, work.id)
        cloud.idle(work.id)
    record = cloud.record(work.id)
    assert (record.attempt, record.owner, record.phase) == (1, 'frozen', 'copying')


def test_what_somebody_else_has_ended_is_not_taken(cloud, fill):
    """Who was frozen before it looked at the lease must look at the work again."""
    migration_id = cloud.migrate(fill(cloud))
    before = cloud.record(migration_id).as_dict()
    tools = cloud.endpoints['alpha']._tools
    journey.go(tools, cloud.engine, cloud.context, migration_id)
    with tools.ownership.held(cloud.context, migration_id, lambda: False) as fence:
        assert fence is None
    assert cloud.record(migration_id).as_dict() == before


def test_each_transaction_of_a_worker_begins_with_its_fence(cloud_of, fill):
    """Whatever it stores: links, figures, phases, leftovers, messages, the volume."""
    cloud = cloud_of(alpha=NoSnapshotConnect, beta=NoSnapshotConnect)
    volume_id = fill(cloud)
    transactions, open_ones = [], collections.defaultdict(list)
    engine = session.get_engine()

    @sa.event.listens_for(engine, 'before_cursor_execute')
    def follow(connection, _cursor, statement, _parameters, _context, _many):
        if threading.current_thread().name == migration_of.get(volume_id):
            if statement.startswith(('UPDATE', 'INSERT', 'DELETE')):
                open_ones[id(connection)].append(statement)

    @sa.event.listens_for(engine, 'commit')
    def close(connection):
        transactions.append(open_ones.pop(id(connection), []))

    migration_of = {}
    record = volume_migrations.start(cloud.context, volume_id, {
        'operation': 'retype', 'include_snapshots': True}, 'retype')
    migration_of[volume_id] = record.id
    transition.move(cloud.context, states.MACHINE, record.id, 'schedule',
                    {'destination_host': 'host@beta#beta'})
    cloud.endpoints['alpha'].run_migration(cloud.context, record.id)
    assert cloud.wait(record.id).phase == 'finished'
    cloud.idle(record.id)

    writing = [statements for statements in transactions if statements]
    owning = [statements for statements in writing if 'owner=' in statements[0].partition('WHERE')[0]]
    held = [statements for statements in writing if statements[0].startswith(
        'UPDATE volume_migrations SET beat=(volume_migrations.beat +')]
    assert len(owning) == 2, 'taken and given back'
    assert all(len(statements) == 1 for statements in owning)
    assert len(held) == len(writing) - 2 > 20
    tables = {statement.split()[1 if statement.startswith('UPDATE') else 2]
              for statements in held for statement in statements[1:]}
    assert tables >= {'volume_migrations', 'volume_migration_links', 'volume_migration_deltas',
                      'volumes', 'snapshots'}


CONTEXTS = {'admin_context', 'RequestContext', 'from_dict', 'get_admin_context', 'get_engine',
            'release', 'renew', 'fenced', 'Fence'}
"""What makes a context, or goes to the database without one."""
HAVE_THEM = {'endpoint.py': {'admin_context'}, 'work.py': {'Fence', 'fenced'}}
"""The endpoint's own context is for reading and for journey.go, which holds it to a fence."""


def test_nothing_else_in_the_room_makes_a_context_of_its_own():
    found = {}
    for path in sorted(pathlib.Path(migration.__path__[0]).glob('*.py')):
        called = {getattr(node.func, 'attr', getattr(node.func, 'id', None))
                  for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)}
        if called & CONTEXTS:
            found[path.name] = called & CONTEXTS
    assert found == HAVE_THEM
