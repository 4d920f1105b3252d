"""Cancel, pause, resume and what is left, with a service at work: in time, and without a trace."""
# SPDX-License-Identifier: Apache-2.0

import os
import threading
import time

import pytest

from cinder_ext import exceptions
from cinder_ext.db import attachments, migration_actions, volume_migrations, volumes
from cinder_ext.drivers import values
from cinder_ext.drivers.file import FileDriver
from cinder_ext.states import migration as states

MIB = values.MIB
SECONDS = 2
"""Within these a pause and a cancel take effect, whatever the limit."""
SLOW = MIB
"""Bytes per second: a unit of 4 MiB is four seconds."""


class Held(FileDriver):
    """Waits before it takes a snapshot, or before it says what it has.

    :ivar begun: set when somebody waits
    :ivar may_go: waited for
    """

    fault = None

    def __init__(self, settings):
        super().__init__(settings)
        self.begun, self.may_go = threading.Event(), threading.Event()
        self.at = 'create_snapshot'

    def _hold(self, name):
        if self.at == name:
            self.begun.set()
            assert self.may_go.wait(30)
            if self.fault:
                raise self.fault

    def create_snapshot(self, snapshot):
        self._hold('create_snapshot')
        super().create_snapshot(snapshot)

    def report(self):
        self._hold('report')
        return super().report()


class Sticky(FileDriver):
    """Gives no volume back until it is mended."""

    is_mended = False

    def delete_volume(self, volume):
        if not self.is_mended:
            raise exceptions.ResourceBusy(reason='stuck')
        super().delete_volume(volume)


@pytest.fixture
def chain(noise):
    """chain(cloud) -> id of a volume with two snapshots: links of 8, 12 and 16 MiB."""
    def fill(cloud):
        volume_id = cloud.volume(1)
        cloud.write(volume_id, 0, noise(8 * MIB))
        cloud.snapshot(volume_id)
        cloud.write(volume_id, 6 * MIB, noise(6 * MIB))
        cloud.snapshot(volume_id)
        cloud.write(volume_id, 90 * MIB, noise(4 * MIB))
        return volume_id
    return fill


def limit(cloud, bytes_per_second, option='bandwidth'):
    cloud.conf.set_override(option, bytes_per_second, 'migration')


def slow_from(cloud, step):
    """Let a migration run freely until a step begins for the first time."""
    def switch(_flow, name, state):
        if (name, state) == (step, 'RUNNING') and (step, state) not in [
                each[1:] for each in cloud.steps]:
            limit(cloud, SLOW)

    cloud.engine._watchers = (switch, cloud._watch)


def until(claim, seconds=60):
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline, 'it does not happen'
        time.sleep(0.01)


def ask(cloud, action, migration_id):
    """Do as the API does: change the record, wake the service.  Returns when that was."""
    began = time.monotonic()
    action(cloud.context, migration_id)
    cloud.endpoints['alpha'].run_migration(cloud.context, migration_id)
    return began


def slowly(cloud, volume_id, step, **columns):
    """Begin a migration that is slow from a step on; returns when it waits there."""
    slow_from(cloud, step)
    migration_id = cloud.migrate(volume_id, wait=False, **columns)
    until(lambda: (step, 'RUNNING') in [each[1:] for each in cloud.steps])
    # The first unit is never waited for: the second one is.
    time.sleep(0.3)
    assert cloud.record(migration_id).phase in states.RUNNING
    return migration_id


def open_files(cloud):
    """Files of both backends that this process has open."""
    found = []
    for descriptor in os.listdir('/proc/self/fd'):
        try:
            path = os.readlink(f'/proc/self/fd/{descriptor}')
        except OSError:
            continue
        if path.startswith((str(cloud.directory / 'alpha'), str(cloud.directory / 'beta'))):
            found.append(path)
    return found


STEPS = pytest.mark.parametrize('step', ['copy-link-0000', 'copy-link-0001', 'verify-chain'])


@pytest.mark.parametrize(('step', 'lock'), [
    ('copy-link-0000', 'retype'), ('copy-link-0001', None), ('verify-chain', 'lock')])
def test_cancel_is_done_in_time_and_leaves_no_trace(cloud, chain, step, lock, record_property):
    volume_id = chain(cloud)
    rows, files = cloud.rows(volume_id), [cloud.bytes_of_files(name) for name in ('alpha', 'beta')]
    migration_id = slowly(cloud, volume_id, step, lock=lock)
    assert cloud.bytes_of_files('beta') != files[1]

    began = ask(cloud, migration_actions.cancel, migration_id)
    record = cloud.wait(migration_id, (states.CANCELLED,))
    seconds = time.monotonic() - began

    record_property('seconds', round(seconds, 3))
    assert seconds < SECONDS
    assert cloud.rows(volume_id) == rows
    assert [cloud.bytes_of_files(name) for name in ('alpha', 'beta')] == files
    assert not record.leftovers
    assert record.error is None
    assert record.finished_at is not None
    cloud.idle(migration_id)
    assert open_files(cloud) == []
    again = migration_actions.retry(cloud.context, migration_id)
    assert again.phase == 'scheduling'


@STEPS
def test_pause_is_done_in_time_holds_nothing_and_goes_on(cloud, chain, step, record_property):
    limit(cloud, 1, 'concurrent')
    volume_id = chain(cloud)
    before = cloud.contents(volume_id)
    migration_id = slowly(cloud, volume_id, step)

    began = ask(cloud, migration_actions.pause, migration_id)
    cloud.idle(migration_id)
    seconds = time.monotonic() - began

    record_property('seconds', round(seconds, 3))
    assert seconds < SECONDS
    assert open_files(cloud) == []
    assert cloud.record(migration_id).phase == 'paused'
    limit(cloud, 0)
    other = cloud.volume(1)
    assert cloud.record(cloud.migrate(other)).phase == 'finished', 'its place is free'
    standing = cloud.record(migration_id).as_dict()
    cloud.endpoints['alpha'].resume()
    time.sleep(0.2)
    assert cloud.record(migration_id).as_dict() == standing, 'a sweep leaves it alone'

    ask(cloud, migration_actions.resume, migration_id)
    record = cloud.wait(migration_id)

    assert record.phase == 'finished', record.error
    assert record.seconds_paused > 0.2
    assert record.paused_at is None
    assert record.bytes_read == record.bytes_total, 'nothing was read twice'
    assert cloud.contents(volume_id) == before


def beginning(path):
    with open(path, 'rb') as stream:
        return stream.read(16 * MIB)


def test_a_paused_migration_goes_on_after_a_restart_from_its_checkpoint(cloud, chain):
    volume_id = chain(cloud)
    before = cloud.contents(volume_id)
    migration_id = slowly(cloud, volume_id, 'copy-link-0001')
    ask(cloud, migration_actions.pause, migration_id)
    cloud.idle(migration_id)
    first, second, head = volume_migrations.links(cloud.context, migration_id)
    assert first.sealed_at is not None
    assert head.position == 0
    destination = cloud.path(cloud.record(migration_id).destination_name_id, 'beta')
    assert 0 < second.position <= 12 * MIB
    read = cloud.record(migration_id).bytes_read
    held = beginning(destination)
    assert not held[max(second.position, 8 * MIB):].strip(b'\0'), 'all that was written counts'

    cloud.restart()

    time.sleep(0.3)
    assert cloud.record(migration_id).phase == 'paused'
    assert beginning(destination) == held
    limit(cloud, 0)
    ask(cloud, migration_actions.resume, migration_id)
    record = cloud.wait(migration_id)
    assert record.phase == 'finished', record.error
    assert 0 < read < record.bytes_read == record.bytes_total
    assert cloud.contents(volume_id) == before


def test_who_waits_for_a_place_is_cancelled_and_paused_at_once(cloud, chain):
    limit(cloud, 1, 'concurrent')
    ids = [chain(cloud) for _ in range(4)]
    rows = cloud.rows(ids[1])
    first = slowly(cloud, ids[0], 'copy-link-0000')
    cancelled, paused, last = [cloud.migrate(each, wait=False) for each in ids[1:]]
    until(lambda: len(cloud.endpoints['alpha']._places._waiting) == 3)

    began = ask(cloud, migration_actions.cancel, cancelled)
    cloud.wait(cancelled, (states.CANCELLED,))
    ask(cloud, migration_actions.pause, paused)
    cloud.idle(paused)

    assert time.monotonic() - began < SECONDS
    assert cloud.rows(ids[1]) == rows
    assert cloud.record(first).phase == 'copying'
    assert [cloud.record(each).phase for each in (paused, last)] == ['paused', 'preflight']
    limit(cloud, 2, 'concurrent')
    cloud.wait(last, ('copying',), seconds=SECONDS)
    limit(cloud, 0)
    ask(cloud, migration_actions.resume, paused)
    for each in (first, paused, last):
        assert cloud.wait(each).phase == 'finished'


def test_what_was_asked_while_the_service_was_dead_is_done_at_its_start(cloud, chain):
    ids = [chain(cloud) for _ in range(2)]
    rows = cloud.rows(ids[0])
    alpha = cloud.bytes_of_files('alpha')
    doomed = slowly(cloud, ids[0], 'copy-link-0001')
    halted = cloud.migrate(ids[1], wait=False)
    cloud.wait(halted, ('copying',))
    assert cloud.endpoints['alpha'].stop()
    migration_actions.cancel(cloud.context, doomed)
    migration_actions.pause(cloud.context, halted)

    cloud.restart()

    cloud.wait(doomed, (states.CANCELLED,))
    assert cloud.rows(ids[0]) == rows
    assert cloud.bytes_of_files('alpha') == alpha
    assert cloud.record(halted).phase == 'paused'
    ask(cloud, migration_actions.cancel, halted)
    cloud.wait(halted, (states.CANCELLED,))
    assert cloud.files('beta') == []


def test_resumed_right_after_a_pause_it_goes_on(cloud, chain):
    """Also when its worker was still on the way out."""
    volume_id = chain(cloud)
    before = cloud.contents(volume_id)
    migration_id = slowly(cloud, volume_id, 'copy-link-0000')
    for number in range(12):
        ask(cloud, migration_actions.pause, migration_id)
        time.sleep(0.05 * number)
        ask(cloud, migration_actions.resume, migration_id)
    limit(cloud, 0)
    record = cloud.wait(migration_id)
    assert record.phase == 'finished', record.error
    assert cloud.contents(volume_id) == before


@pytest.mark.parametrize('action', ['cancel', 'pause'])
@pytest.mark.parametrize(('at', 'fault'), [
    ('create_snapshot', None), ('create_snapshot', exceptions.NoSpace(reason='full')),
    ('report', None)], ids=['seal', 'seal-full', 'examine'])
def test_asked_while_the_destination_is_at_work(cloud_of, chain, action, at, fault):
    """A call is not interrupted; what it did counts, and what it could not matters no more."""
    cloud = cloud_of(beta=Held)
    volume_id = chain(cloud)
    rows, before = cloud.rows(volume_id), cloud.contents(volume_id)
    beta = cloud.drivers['beta']
    beta.at = at
    migration_id = cloud.migrate(volume_id, wait=False)
    assert beta.begun.wait(60)
    getattr(migration_actions, action)(cloud.context, migration_id)
    beta.fault = fault
    beta.may_go.set()
    if action == 'cancel':
        cloud.wait(migration_id, (states.CANCELLED,))
        assert cloud.rows(volume_id) == rows
        assert cloud.files('beta') == []
        return
    cloud.idle(migration_id)
    if fault:
        assert cloud.record(migration_id).phase == 'failed', 'the fault is not kept for later'
        return
    assert cloud.record(migration_id).phase == 'paused'
    ask(cloud, migration_actions.resume, migration_id)
    assert cloud.wait(migration_id).phase == 'finished'
    assert cloud.contents(volume_id) == before


def test_a_limit_is_changed_while_it_runs(cloud, chain):
    volume_id = chain(cloud)
    began = time.monotonic()
    migration_id = cloud.migrate(volume_id, wait=False, bandwidth=8 * MIB)
    # Links of 8, 12 and 16 MiB, the last unit of which is not waited for.
    cloud.wait(migration_id, (states.VERIFYING,))
    assert 3 <= time.monotonic() - began < 30
    migration_actions.set_bandwidth(cloud.context, migration_id, SLOW)
    time.sleep(1)
    began = time.monotonic()
    migration_actions.set_bandwidth(cloud.context, migration_id, 10 ** 12)
    assert cloud.wait(migration_id).phase == 'finished'
    assert time.monotonic() - began < 15


def test_the_migrations_of_a_backend_share_its_limit(cloud, chain):
    ids = [chain(cloud) for _ in range(2)]
    limit(cloud, 16 * MIB, 'backend_bandwidth')
    began = time.monotonic()
    asked = [cloud.migrate(each, wait=False, verify='off') for each in ids]
    for each in asked:
        cloud.wait(each)
    # 72 MiB, of which one unit and a moment's credit are not waited for.
    assert time.monotonic() - began > (72 - 4 - 4) / 16


def test_cleaning_up_is_tried_at_once_when_asked(cloud_of, chain):
    cloud = cloud_of(beta=Sticky)
    volume_id = chain(cloud)
    rows = cloud.rows(volume_id)
    migration_id = slowly(cloud, volume_id, 'copy-link-0001')
    ask(cloud, migration_actions.cancel, migration_id)
    record = cloud.wait(migration_id)
    assert [left['kind'] for left in record.leftovers] == ['volume']
    assert cloud.rows(volume_id) == rows, 'its owner has it back'
    cloud.drivers['beta'].is_mended = True
    cloud.conf.set_override('tidy_retry_interval', 10 ** 6, 'migration')

    ask(cloud, migration_actions.retry_cleanup, migration_id)

    until(lambda: cloud.record(migration_id).leftovers == [])
    assert cloud.files('beta') == []


def test_what_was_acknowledged_is_never_tried_again(cloud_of, chain):
    cloud = cloud_of(beta=Sticky)
    migration_id = slowly(cloud, chain(cloud), 'copy-link-0000')
    ask(cloud, migration_actions.cancel, migration_id)
    cloud.wait(migration_id)
    kept = cloud.files('beta')
    assert kept
    record = migration_actions.acknowledge(cloud.context, migration_id)
    cloud.drivers['beta'].is_mended = True
    cloud.endpoints['alpha']._retry_at = 0
    cloud.endpoints['alpha'].resume()
    cloud.endpoints['alpha'].run_migration(cloud.context, migration_id)
    cloud.idle(migration_id)
    assert cloud.files('beta') == kept
    assert cloud.record(migration_id).attempt == record.attempt
    assert cloud.record(migration_id).phase == 'cancelled'


@STEPS
def test_a_volume_is_taken_from_a_migration_that_yields(cloud, chain, step):
    volume_id = chain(cloud)
    before, alpha = cloud.contents(volume_id), cloud.bytes_of_files('alpha')
    migration_id = slowly(cloud, volume_id, step, lock=None, operation='migrate',
                          yield_to_attach=True)

    began = time.monotonic()
    row = attachments.reserve(cloud.context, volume_id, 'server')
    attachments.connect(cloud.context, row.id, {'host': 'compute'})
    attachments.complete(cloud.context, row.id)
    assert time.monotonic() - began < SECONDS
    record = cloud.wait(migration_id, (states.CANCELLED,))

    assert time.monotonic() - began < SECONDS
    assert record.error_code == 'cinder_ext.migration_yielded'
    volume = volumes.get(cloud.context, volume_id)
    assert (volume.status, volume.migration_status) == ('in-use', None)
    assert cloud.contents(volume_id) == before
    assert cloud.bytes_of_files('alpha') == alpha
    assert cloud.files('beta') == []
