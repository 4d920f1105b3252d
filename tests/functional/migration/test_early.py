"""What is read back while later links are copied, and what has to wait for them."""
# SPDX-License-Identifier: Apache-2.0

import os
import threading

import pytest

from cinder_ext import exceptions
from cinder_ext.db import transition, volume_migrations
from cinder_ext.drivers import values
from cinder_ext.drivers.file import FileDriver
from cinder_ext.drivers.generic import reading
from cinder_ext.states import migration as states
from cinder_ext.volume.migration import early, flow, journey, tasks

MIB = values.MIB
LAST = 4
"""The blocks 0 to 4 are written; block 1 by each link."""


class Spoils(FileDriver):
    """Flips a bit of the first snapshot, in the block that it is told."""

    block = 0

    def create_snapshot(self, snapshot):
        super().create_snapshot(snapshot)
        if len(os.listdir(os.path.join(self._base, 'snapshots'))) == 1:
            with open(self._array_of(snapshot).path(snapshot), 'r+b') as stream:
                stream.seek(self.block * MIB + 77)
                found = stream.read(1)
                stream.seek(self.block * MIB + 77)
                stream.write(bytes([found[0] ^ 4]))
                os.fsync(stream.fileno())

    create_snapshot_unflushed = create_snapshot


class Names(FileDriver):
    """Its snapshots are other names of the volume, which goes on to be written."""

    def create_snapshot(self, snapshot):
        volume = values.Volume(snapshot.volume_name_id, snapshot.size_bytes)
        array = self._array_of(volume)
        os.link(array.path(volume), array.path(snapshot))

    create_snapshot_unflushed = create_snapshot


class Refuses(FileDriver):
    """Fails once in a call that concerns a snapshot.

    :ivar call: its name
    """

    call = None

    def _once(self, name):
        if self.call == name:
            self.call = None
            raise exceptions.BackendDown(reason=f'{name} is refused')

    def connect_snapshot(self, snapshot, connector):
        self._once('connect')
        return super().connect_snapshot(snapshot, connector)

    def disconnect_snapshot(self, snapshot, connector):
        self._once('disconnect')
        super().disconnect_snapshot(snapshot, connector)


@pytest.fixture
def chain(noise):
    def fill(cloud):
        volume_id = cloud.volume(1)
        cloud.write(volume_id, 0, noise((LAST + 1) * MIB))
        for _ in range(2):
            cloud.snapshot(volume_id)
            cloud.write(volume_id, MIB + 4096, noise(8192))
        return volume_id
    return fill


def copied(cloud, volume_id, **columns):
    """A migration whose links are copied, and nothing more: work.Work."""
    record = volume_migrations.start(cloud.context, volume_id, {
        'operation': 'retype', 'include_snapshots': True, **columns}, 'retype')
    transition.move(cloud.context, states.MACHINE, record.id, 'schedule',
                    {'destination_host': 'host@beta#beta'})
    work = cloud.work(record.id)
    work.obey()
    journey.prepare(work)
    for step in [step for step, _ in flow.move(work).iter_nodes()][:3]:
        step.execute()
    return work


def left(work):
    """What is left of each link when all that was begun has been read."""
    seen = []
    work.early.wait(work.control, seen.append)
    return [work.early.left(link.number, range(LAST + 1)) for link in work.links]


def test_all_is_read_when_the_links_are_copied(reflink_cloud_of, chain):
    """What a later link changed too: a migration of some links has nothing left for the end."""
    cloud = reflink_cloud_of()
    work = copied(cloud, chain(cloud))
    assert left(work) == [[], [0, 2, 3, 4], [0, 2, 3, 4]]
    assert work.early.read_bytes == (LAST + 1 + 1 + 1) * MIB
    assert [work.early.length(number) for number in range(3)] == [(LAST + 1) * MIB, MIB, MIB]
    assert not any(row.verified_at for row in work.rows())
    tasks.VerifyChain('verify-chain', work).do()
    record, rows = cloud.record(work.id), work.rows()
    assert record.bytes_verified == (LAST + 1 + 1 + 1) * MIB
    assert record.read_back
    assert all(row.verified_at for row in rows)


def test_only_pages_that_were_written_are_read_of_what_later_links_change_too(
        reflink_cloud_of, chain, monkeypatch):
    """Two pages of block 1, of a snapshot, after the next one is frozen; not all of the block."""
    seen, read_unit = [], reading.read_unit

    def noted(descriptor, path, part, view):
        seen.append((os.path.basename(path), part))
        return read_unit(descriptor, path, part, view)
    cloud = reflink_cloud_of()
    volume_id = chain(cloud)
    monkeypatch.setattr(reading, 'read_unit', noted)
    work = copied(cloud, volume_id)
    left(work)
    pages = values.Range(MIB + 4096, 8192)
    for link, expected in zip(work.links, (
            [values.Range(0, MIB), values.Range(2 * MIB, 3 * MIB), values.Range(MIB, MIB)],
            [pages], [pages]), strict=True):
        name = os.path.basename(cloud.drivers['beta'].connect_snapshot(
            link.destination, {}).data['device_path'])
        assert [part for found, part in seen if found == name] == expected


def test_only_so_many_stay_connected(reflink_cloud_of, chain, monkeypatch):
    monkeypatch.setattr(early, '_MOST_CONNECTED', 1)
    cloud = reflink_cloud_of()
    work = copied(cloud, chain(cloud))
    assert left(work) == [[], list(range(LAST + 1)), [0, 2, 3, 4]]
    tasks.VerifyChain('verify-chain', work).do()
    assert all(row.verified_at for row in work.rows())


def test_all_is_read_back_after_a_restart(reflink_cloud_of, chain):
    cloud = reflink_cloud_of()
    before = copied(cloud, chain(cloud))
    left(before)
    before.close()
    work = cloud.work(before.id, before.fence)
    assert left(work)[0] == list(range(LAST + 1))


@pytest.mark.parametrize('call', ['connect', 'disconnect'])
def test_one_that_is_refused_is_left_and_the_others_are_read(reflink_cloud_of, noise, call):
    cloud = reflink_cloud_of(beta=Refuses)
    volume_id = cloud.volume(1)
    cloud.write(volume_id, 0, noise((LAST + 1) * MIB))
    for block in (0, 1, 0):
        cloud.snapshot(volume_id)
        cloud.write(volume_id, block * MIB, noise(MIB))
    cloud.drivers['beta'].call = call
    work = copied(cloud, volume_id)
    everything = list(range(LAST + 1))
    # What waited for later links is read also of the one that could not be connected at first.
    # The first that is let go is one for which nothing waits.
    first, third = {'connect': ([2, 3, 4], [0, 2, 3, 4]), 'disconnect': ([], everything)}[call]
    assert left(work) == [first, [1, 2, 3, 4], third, [1, 2, 3, 4]]
    assert cloud.drivers['beta'].call is None
    tasks.VerifyChain('verify-chain', work).do()
    assert all(row.verified_at for row in work.rows())


@pytest.mark.parametrize('columns', [{'verify': 'off'}, {'bandwidth': 1024 * MIB}],
                         ids=['off', 'limited'])
def test_nothing_is_read_early(reflink_cloud_of, chain, columns):
    cloud = reflink_cloud_of()
    work = copied(cloud, chain(cloud), **columns)
    assert left(work)[0] == list(range(LAST + 1))


def test_work_that_is_let_go_reads_no_more(reflink_cloud_of, chain):
    cloud = reflink_cloud_of()
    work = copied(cloud, chain(cloud))
    read = early.Early(work)
    read.close()
    link = work.links[0]
    read.begin(link, work.maps.after(work.links, 0), range(LAST + 1))
    read.wait(work.control, print)
    assert read.left(0, range(LAST + 1)) == list(range(LAST + 1))


@pytest.mark.parametrize('block', [0, 1])
def test_bit_that_was_flipped_is_found(reflink_cloud_of, chain, block):
    """In a block that is read early, and in one that is read at the end."""
    cloud = reflink_cloud_of(beta=Spoils)
    cloud.drivers['beta'].block = block
    record = cloud.record(cloud.migrate(chain(cloud)))
    assert record.error_code == exceptions.VerifyFailed.code, record.as_dict()
    assert record.phase == 'failed'
    assert f'at offset {block * MIB}.' in record.error
    assert cloud.files('beta') == []


def test_snapshot_that_later_links_write_to_is_found(reflink_cloud_of, chain):
    """What was equal when it was frozen, and would be taken for it if it were not read later."""
    cloud = reflink_cloud_of(beta=Names)
    record = cloud.record(cloud.migrate(chain(cloud)))
    assert record.error_code == exceptions.VerifyFailed.code, record.as_dict()
    assert record.phase == 'failed'
    assert cloud.files('beta') == []


def test_threads_that_copy_are_as_many_as_are_configured_now(reflink_cloud_of, chain):
    cloud = reflink_cloud_of()
    work = cloud.begun(chain(cloud))
    for workers in (1, 3):
        cloud.conf.set_override('workers', workers, 'migration')
        met, pool = threading.Barrier(workers), work.pool
        for each in [pool.submit(met.wait, 10) for _ in range(workers)]:
            each.result()
        assert work.pool is pool
    work.close()
    with pytest.raises(RuntimeError):
        pool.submit(print)
