"""What interrupts a migration and is no fault of either end: it goes on, or it ends; never stuck."""
# SPDX-License-Identifier: Apache-2.0

import threading
import time

import pytest
from oslo_db import exception as oslo_db_exception
from sqlalchemy import event
from taskflow import task
from taskflow.patterns import linear_flow

from cinder_ext.db import session, transition, volume_migrations, volumes
from cinder_ext.drivers import values
from cinder_ext.drivers.file import FileDriver
from cinder_ext.rpc import transport
from cinder_ext.states import migration as states
from cinder_ext.volume import engine
from cinder_ext.volume.migration import copies, flow, journey, outcome, tasks

MIB = values.MIB


class Slow(FileDriver):
    """Takes its time with snapshots.

    :ivar begun: set when a snapshot is being made
    """

    seconds = 4

    def __init__(self, settings):
        super().__init__(settings)
        self.begun = threading.Event()

    def create_snapshot(self, snapshot):
        self.begun.set()
        time.sleep(self.seconds)
        super().create_snapshot(snapshot)


class Broken(FileDriver):
    """Falls over itself when something is deleted, until it is mended."""

    is_mended = False

    def delete_volume(self, volume):
        if not self.is_mended:
            raise TypeError('a programming error')
        super().delete_volume(volume)

    def extend_volume(self, volume, size_bytes):
        raise TypeError('a programming error')


LOOK_AT_THE_FENCE = ('SELECT volume_migrations.attempt, volume_migrations.phase FROM',)
"""What the destination's service asks the database before each call."""
LOOKS = 4
"""How often it looks when its connection is lost each time."""


class Outage:
    """The database is away for one migration's thread, while ``is_on``."""

    def __init__(self):
        self.is_on = False
        self.count = 0

    def __call__(self, conn, cursor, statement, parameters, context, many):
        if self.is_on and threading.current_thread().name.count('-') == 4:
            self.count += 1
            raise oslo_db_exception.DBConnectionError()


class Absence(Outage):
    """The database is away for whoever says what the pattern of words is in, as ``fates`` say.

    :param fates: of each such statement, whether it is lost
    """

    def __init__(self, words, fates):
        super().__init__()
        self._words, self._fates = words, iter(fates)

    def __call__(self, conn, cursor, statement, parameters, context, many):
        said = f'{" ".join(statement.split())} {parameters}'
        if all(word in said for word in self._words) and next(self._fates, False):
            self.count += 1
            raise oslo_db_exception.DBConnectionError()


@pytest.fixture
def chain(noise):
    def fill(cloud):
        volume_id = cloud.volume(1)
        cloud.write(volume_id, 0, noise(6 * MIB))
        cloud.snapshot(volume_id)
        cloud.write(volume_id, 3 * MIB, noise(2 * MIB))
        return volume_id
    return fill


def test_snapshot_may_take_longer_than_an_answer(cloud_of, chain):
    """The destination gives signs of life meanwhile."""
    cloud = cloud_of(beta=Slow)
    cloud.conf.set_override('destination_timeout', 2, 'migration')
    record = cloud.record(cloud.migrate(chain(cloud)))
    assert record.phase == 'finished', record.error


def test_stop_in_the_middle_of_a_call_undoes_nothing(cloud_of, chain):
    cloud = cloud_of(beta=Slow)
    volume_id = chain(cloud)
    before = cloud.contents(volume_id)
    migration_id = cloud.migrate(volume_id, wait=False)
    assert cloud.drivers['beta'].begun.wait(20)

    cloud.endpoints['alpha'].stop(0.1)
    transport.cleanup()
    cloud.restart()

    assert cloud.wait(migration_id).phase == 'finished'
    assert not [step for step in cloud.steps if step[2] == 'REVERTING']
    assert cloud.contents(volume_id) == before


def test_backend_with_a_programming_error_ends_the_migration(cloud_of, chain):
    cloud = cloud_of(beta=Broken)
    volume_id = chain(cloud)
    cloud.extend(volume_id, 2)

    record = cloud.record(cloud.migrate(volume_id))

    assert record.phase == 'failed'
    assert [left['kind'] for left in record.leftovers] == ['volume']
    assert 'Traceback' not in record.error
    assert volumes.get(cloud.context, volume_id).status == 'available'
    cloud.drivers['beta'].is_mended = True
    cloud.endpoints['alpha'].resume()
    deadline = time.monotonic() + 60
    while cloud.files('beta') and time.monotonic() < deadline:
        time.sleep(0.05)
    assert cloud.files('beta') == []


@pytest.mark.parametrize('step', ['create-target', 'copy-link-0000', 'copy-link-0001',
                                  'verify-chain', 'swap-records'])
def test_database_that_is_away_for_a_while(cloud, chain, step):
    volume_id = chain(cloud)
    before = cloud.contents(volume_id)
    outage = Outage()
    event.listen(session.get_engine(), 'before_cursor_execute', outage)

    def switch(_flow, name, state):
        outage.is_on = outage.is_on or ((name, state) == (step, 'RUNNING') and not outage.count)

    cloud.engine._watchers = (switch, cloud._watch)
    migration_id = cloud.migrate(volume_id, wait=False)
    cloud.idle(migration_id)
    assert outage.count
    assert cloud.record(migration_id).phase in states.MOVING
    outage.is_on = False
    cloud.endpoints['alpha'].resume()

    assert cloud.wait(migration_id).phase == 'finished'
    assert not [step for step in cloud.steps if step[2] == 'REVERTING']
    assert cloud.contents(volume_id) == before


def test_database_that_is_away_when_it_is_undone(cloud_of, chain):
    """Which leaves taskflow's flow in a state that it never leaves by itself."""
    cloud = cloud_of(beta=Broken)
    cloud.drivers['beta'].is_mended = True
    volume_id = chain(cloud)
    cloud.extend(volume_id, 2)
    before = cloud.contents(volume_id)
    outage = Outage()
    event.listen(session.get_engine(), 'before_cursor_execute', outage)

    def switch(_flow, _name, state):
        outage.is_on = outage.is_on or (state == 'REVERTING' and not outage.count)

    cloud.engine._watchers = (switch,)
    migration_id = cloud.migrate(volume_id, wait=False)
    cloud.idle(migration_id)
    assert outage.count
    outage.is_on = False
    cloud.endpoints['alpha'].resume()

    assert cloud.wait(migration_id).phase == 'failed'
    assert cloud.files('beta') == []
    assert cloud.contents(volume_id) == before
    assert volumes.get(cloud.context, volume_id).status == 'available'


def _go_on(cloud, migration_id):
    """Take it up again until it has ended, as the sweeps do."""
    rounds = 0
    cloud.idle(migration_id)
    while cloud.record(migration_id).phase not in states.ENDED:
        rounds += 1
        cloud.endpoints['alpha'].resume()
        cloud.idle(migration_id)
    return rounds


def test_database_that_is_away_for_each_call_of_the_destination(cloud, chain):
    """As if it were the source's: nothing is undone, and nothing fails."""
    volume_id = chain(cloud)
    before = cloud.contents(volume_id)
    away = Absence(LOOK_AT_THE_FENCE, [
        is_lost for passing in range(12) for is_lost in [True] * LOOKS + [False] * passing])
    event.listen(session.get_engine(), 'before_cursor_execute', away)
    migration_id = cloud.migrate(volume_id, wait=False)

    rounds = _go_on(cloud, migration_id)

    assert cloud.record(migration_id).phase == 'finished', cloud.record(migration_id).error
    assert rounds * LOOKS == away.count >= 5 * LOOKS
    assert not [step for step in cloud.steps if step[2] == 'REVERTING']
    assert cloud.contents(volume_id) == before


def test_database_that_is_away_when_the_destination_undoes_leaves_nothing(cloud_of, chain):
    """What could not be removed for it is no leftover: the removal waits."""
    cloud = cloud_of(beta=Broken)
    cloud.drivers['beta'].is_mended = True
    volume_id = chain(cloud)
    cloud.extend(volume_id, 2)
    away = Absence(LOOK_AT_THE_FENCE, [])
    event.listen(session.get_engine(), 'before_cursor_execute', away)

    def switch(_flow, _name, state):
        if state == 'REVERTING' and not away.count:
            away._fates = iter([True] * LOOKS)

    cloud.engine._watchers = (switch,)
    migration_id = cloud.migrate(volume_id, wait=False)
    _go_on(cloud, migration_id)

    record = cloud.record(migration_id)
    assert away.count == LOOKS
    assert (record.phase, record.leftovers or []) == ('failed', [])
    assert 'extend' in record.error
    assert cloud.files('beta') == []


def test_database_that_never_takes_the_commit_is_waited_for(cloud, chain):
    volume_id = chain(cloud)
    away = Absence(('UPDATE volume_migrations', "'committed'"), [True] * 5)
    event.listen(session.get_engine(), 'before_cursor_execute', away)
    migration_id = cloud.migrate(volume_id, wait=False)

    assert _go_on(cloud, migration_id) == 1

    assert away.count == 5
    assert cloud.record(migration_id).phase == 'finished'


@pytest.mark.parametrize('steps', [2, 3, 4])
def test_flow_whose_memory_is_lost_goes_on_by_the_record(cloud, chain, steps):
    """taskflow's store is not synced: a loss of power may take what it knew last, or all."""
    volume_id = chain(cloud)
    before = cloud.contents(volume_id)
    work = _planned(cloud, volume_id)
    built = [step for step, _ in flow.move(work).iter_nodes()]
    assert built[steps].name == {2: 'copy-links', 3: 'verify-chain', 4: 'swap-records'}[steps]
    for step in built[:steps]:
        step.execute()
    if steps == 2:
        copies.copy(work, 0, work.rows())
    if steps == 4:
        outcome.enter(work, 'commit')

    cloud.endpoints['alpha'].resume()

    assert cloud.wait(work.id).phase == 'finished'
    assert cloud.contents(volume_id) == before


def test_sealed_snapshot_that_vanished_is_not_made_again(cloud, chain):
    """It would get the content of a later link."""
    work = _planned(cloud, chain(cloud))
    create, copy, copy_head = [step for step, _ in flow.move(work).iter_nodes()][1:4]
    for step in (create, copy, copy_head):
        step.execute()
    snapshot, = (cloud.directory / 'beta' / 'snapshots').iterdir()
    snapshot.unlink()

    copy.execute()

    assert not snapshot.exists()


def _planned(cloud, volume_id):
    """A migration in phase copying that nobody works on: work.Work."""
    record = volume_migrations.start(cloud.context, volume_id, {
        'operation': 'retype', 'include_snapshots': True}, 'retype')
    transition.move(cloud.context, states.MACHINE, record.id, 'schedule',
                    {'destination_host': 'host@beta#beta'})
    work = cloud.work(record.id)
    journey.prepare(work)
    return work


def test_leftovers_are_tried_again_at_intervals(cloud_of, chain):
    cloud = cloud_of(beta=Broken)
    volume_id = chain(cloud)
    cloud.extend(volume_id, 2)
    migration_id = cloud.migrate(volume_id)
    served = cloud.endpoints['alpha']
    attempts = []
    for _ in range(3):
        served.resume()
        cloud.idle(migration_id)
        attempts.append(cloud.record(migration_id).attempt)
    assert attempts == [2, 2, 2]
    served._retry_at = 0
    served.resume()
    cloud.idle(migration_id)
    assert cloud.record(migration_id).attempt == 3


@pytest.mark.parametrize('word', ['fresh_reads_zeros', 'extended_reads_zeros',
                                  'snapshots_share_blocks'])
@pytest.mark.parametrize('then', [True, False])
def test_promise_counts_when_it_held_from_the_plan_on(cloud, chain, word, then):
    """A backend that learnt to share blocks has made the first snapshots as copies."""
    work = _planned(cloud, chain(cloud))
    now = work.destination.examined['promises']
    now[word] = True
    volume_migrations.update(cloud.context, work.id, {'promises': {**now, word: then}})
    assert getattr(work.promises, word) is then
    now[word] = False
    del work.__dict__['promises']
    assert getattr(work.promises, word) is False


def test_link_that_was_copied_and_not_frozen_is_frozen(cloud, chain):
    """As a version left it that stored the two apart."""
    volume_id = chain(cloud)
    before = cloud.contents(volume_id)
    work = _planned(cloud, volume_id)
    create = [step for step, _ in flow.move(work).iter_nodes()][1]
    create.execute()
    copies.copy(work, 0, work.rows())
    snapshot, = (cloud.directory / 'beta' / 'snapshots').iterdir()
    snapshot.unlink()
    volume_migrations.update_link(work.context, work.id, 0, {'sealed_at': None})

    cloud.endpoints['alpha'].resume()

    assert cloud.wait(work.id).phase == 'finished'
    assert cloud.contents(volume_id) == before


@pytest.mark.parametrize('steps', [3, 4])
def test_flow_of_a_version_whose_links_were_steps_goes_on(cloud, chain, steps):
    """Also one that had copied all links."""
    volume_id = chain(cloud)
    before = cloud.contents(volume_id)
    work = _planned(cloud, volume_id)
    done = []

    class Step(task.Task):
        def execute(self):
            if len(done) == steps:
                raise engine.Parked
            done.append(self.name)
            if self.name == 'create-target':
                tasks.create_target(work).do()
            if self.name.startswith('copy-link'):
                copies.copy(work, len(done) - 3, work.rows())

    def build():
        made = linear_flow.Flow(flow.MOVE)
        made.add(*(Step(name) for name in ('own-failure', 'create-target', 'copy-link-0000',
                                           'copy-link-0001', 'verify-chain', 'swap-records')))
        return made

    with pytest.raises(engine.Parked):
        cloud.engine.run(flow.MOVE, work.flow_key, build, {'migration_id': work.id})
    assert len(done) == steps
    work.close()

    cloud.endpoints['alpha'].resume()

    assert cloud.wait(work.id).phase == 'finished'
    assert cloud.contents(volume_id) == before
