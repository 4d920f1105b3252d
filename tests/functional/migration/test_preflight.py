"""The preflight of real backends: what is refused before a byte moves, and what two claim at once."""
# SPDX-License-Identifier: Apache-2.0

import subprocess
import threading

import pytest

from cinder_ext.db import migration_claims, volumes
from cinder_ext.drivers import capabilities, values
from cinder_ext.drivers.file import FileDriver
from cinder_ext.volume.migration import destination

MIB = values.MIB


class Unable(FileDriver):
    """Serves no snapshots and no larger volumes."""

    def unserved_calls(self):
        return frozenset({'create_snapshot', 'extend_volume'})


class Mute(FileDriver):
    """Gives no snapshot to be read."""

    def switched_off(self):
        return super().switched_off() | {capabilities.SnapshotConnect}

    def unserved_calls(self):
        return frozenset({'create_volume_from_snapshot'})


class Linked(FileDriver):
    """A volume made from a snapshot needs it."""

    clones_need_their_source = True


def verdicts(record):
    return {check['name']: check['passed'] for check in record.checks}


def refused(cloud, volume_id, **columns):
    """Names of the checks that failed; nothing may have been made or changed."""
    files = cloud.files('alpha')
    record = cloud.record(cloud.migrate(volume_id, **columns))
    assert (record.phase, record.error_code) == ('failed', 'cinder_ext.preflight_failed')
    assert (cloud.files('alpha'), cloud.files('beta')) == (files, [])
    assert volumes.get(cloud.context, volume_id).status == 'available'
    return [name for name, passed in verdicts(record).items() if passed is False]


def test_destination_that_cannot_serve_a_step(cloud_of):
    cloud = cloud_of(beta=Unable)
    volume_id = cloud.volume(1)
    assert cloud.record(cloud.migrate(volume_id)).phase == 'finished'

    volume_id = cloud.volume(1)
    cloud.snapshot(volume_id)
    cloud.extend(volume_id, 2)
    for path in (cloud.directory / 'beta' / 'volumes').iterdir():
        path.unlink()
    assert refused(cloud, volume_id) == ['destination-extends', 'destination-snapshots']


def test_ends_that_cannot_give_their_snapshots_to_be_read(cloud_of):
    cloud = cloud_of(alpha=Mute, beta=Mute)
    volume_id = cloud.volume(1)
    cloud.snapshot(volume_id)
    assert refused(cloud, volume_id) == ['source-reads-snapshots', 'destination-reads-back']
    assert refused(cloud, volume_id, verify='off') == ['source-reads-snapshots']


@pytest.mark.parametrize('kind', [Linked, FileDriver])
def test_clone_that_needs_its_snapshot_keeps_it(cloud_of, kind):
    cloud = cloud_of(alpha=kind)
    volume_id = cloud.volume(1)
    snapshot_id = cloud.snapshot(volume_id)
    clone_id = cloud.volume(1)
    volumes.update(cloud.context, clone_id, {'snapshot_id': snapshot_id})
    if kind is Linked:
        assert refused(cloud, volume_id) == ['no-dependent-clones']
        volumes.mark_deleted(cloud.context, clone_id)
    assert cloud.record(cloud.migrate(volume_id)).phase == 'finished'


def test_every_snapshot_that_is_missing_is_named(cloud):
    volume_id = cloud.volume(1)
    taken = [cloud.snapshot(volume_id) for _ in range(3)]
    for snapshot_id in taken[:2]:
        cloud.path(snapshot_id, 'alpha', 'snapshot').unlink()
    record = cloud.record(cloud.migrate(volume_id))
    assert [each in record.error for each in taken] == [True, True, False]
    assert verdicts(record)['physical-capacity'] is None
    assert verdicts(record)['destination-answers'] is True


def test_destination_of_another_version(cloud, monkeypatch):
    monkeypatch.setattr(destination.DestinationEndpoint.target, 'version', '0.9')
    record = cloud.record(cloud.migrate(cloud.volume(1)))
    found = verdicts(record)
    assert (found['destination-answers'], found['destination-version']) == (True, False)
    assert found['physical-capacity'] is None
    assert 'Upgrade' in record.remedy


def test_destination_that_does_not_say_what_it_serves(cloud, monkeypatch):
    """One of before: it serves every call, as all did."""
    examine = destination.examine
    monkeypatch.setattr(destination, 'examine', lambda driver: {
        key: value for key, value in examine(driver).items() if key != 'calls'})
    assert cloud.record(cloud.migrate(cloud.volume(1))).phase == 'finished'


class Gate(FileDriver):
    """Lets nobody make a volume before it is opened."""

    def __init__(self, settings):
        super().__init__(settings)
        self.opened = threading.Event()

    def create_volume(self, volume):
        assert self.opened.wait(60)
        super().create_volume(volume)


@pytest.fixture
def small(cloud_of):
    """A cloud whose destination has room for one chain of 24 MiB and not for two."""
    cloud = cloud_of(beta=Gate)
    cloud.conf.set_override('max_over_subscription_ratio', '1000', 'beta')
    directory = cloud.directory / 'beta'
    subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=40m', 'tmpfs', str(directory)], check=True)
    for room in ('volumes', 'snapshots'):
        (directory / room).mkdir()
    yield cloud
    cloud.drivers['beta'].opened.set()
    subprocess.run(['umount', '-l', str(directory)], check=True)


def _ready(cloud, noise):
    cloud.drivers['beta'].opened.set()
    volume_id = cloud.volume(1)
    cloud.write(volume_id, 0, noise(12 * MIB))
    cloud.snapshot(volume_id)
    cloud.drivers['beta'].opened.clear()
    return volume_id


def test_of_two_that_fit_alone_and_not_together_one_is_refused(small, noise):
    cloud = small
    chains = [_ready(cloud, noise) for _ in range(2)]
    migrations = [cloud.migrate(volume_id, wait=False) for volume_id in chains]
    loser = _until(lambda: next(
        (each for each in migrations if cloud.record(each).phase == 'failed'), None))
    [winner] = [each for each in migrations if each != loser]
    record = cloud.record(loser)
    assert [name for name, passed in verdicts(record).items() if passed is False] == [
        'physical-capacity']
    assert 'claimed' in record.error
    held = migration_claims.outstanding(cloud.context, 'host@beta#beta')
    assert held == {winner: migration_claims.Claim(24 * MIB, values.GIB)}

    cloud.drivers['beta'].opened.set()
    assert cloud.wait(winner).phase == 'finished'
    assert migration_claims.outstanding(cloud.context, 'host@beta#beta') == {}
    assert migration_claims.loads(cloud.context) == {}


def _until(claim, seconds=30):
    waiting = threading.Event()
    for _ in range(int(seconds / 0.05)):
        found = claim()
        if found:
            return found
        waiting.wait(0.05)
    raise AssertionError('it did not come true in time')
