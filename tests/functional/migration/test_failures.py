"""What fails at the destination: the source stays, the record says why, nothing is left."""
# SPDX-License-Identifier: Apache-2.0

import json
import os
import pathlib
import subprocess
import sys
import time

import pytest

from cinder_ext.db import volumes
from cinder_ext.drivers import values

MIB = values.MIB
HERE = pathlib.Path(__file__).parent


@pytest.fixture
def volume_id(cloud, noise):
    """A volume with two snapshots and 24 MiB of data."""
    made = cloud.volume(1)
    cloud.write(made, 0, noise(16 * MIB))
    cloud.snapshot(made)
    cloud.write(made, 8 * MIB, noise(8 * MIB))
    cloud.snapshot(made)
    cloud.write(made, 100 * MIB, noise(8 * MIB))
    return made


def fails(cloud, volume_id, code, migration_id=None):
    """Migrate; the volume must be as before and the record must say what happened."""
    before = cloud.contents(volume_id)
    old = volumes.get(cloud.context, volume_id).as_dict()
    migration_id = migration_id or cloud.migrate(volume_id)
    record = cloud.wait(migration_id)
    volume = volumes.get(cloud.context, volume_id).as_dict()
    changed = {key for key in old if old[key] != volume[key]} - {'updated_at'}
    assert (record.phase, record.error_code) == ('failed', code), record.as_dict()
    assert record.error
    assert record.remedy
    assert changed <= {'migration_status', 'status'}
    assert (volume['status'], volume['migration_status']) == ('available', 'error')
    assert cloud.contents(volume_id) == before
    assert [message.resource_uuid for message in cloud.messages()] == [volume_id]
    assert cloud.messages()[0].user_message == record.remedy
    return record


def test_full_destination(cloud, volume_id):
    directory = cloud.directory / 'beta'
    subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=40m', 'tmpfs', str(directory)], check=True)
    try:
        for room in ('volumes', 'snapshots'):
            (directory / room).mkdir()
        record = fails(cloud, volume_id, 'cinder_ext.preflight_failed')
        assert 'physical-capacity' in record.error
        assert cloud.files('beta') == []
    finally:
        subprocess.run(['umount', '-l', str(directory)], check=True)


def test_destination_that_fills_up_while_copying(cloud, volume_id):
    directory = cloud.directory / 'beta'
    subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=400m', 'tmpfs', str(directory)], check=True)
    try:
        for room in ('volumes', 'snapshots'):
            (directory / room).mkdir()

        def fill(flow, step, state):
            if (step, state) == ('copy-link-0001', 'RUNNING'):
                (directory / 'ballast').write_bytes(bytes(os.statvfs(directory).f_bavail * 4096))

        cloud.engine._watchers = (fill,)
        fails(cloud, volume_id, 'cinder_ext.no_space')
        assert cloud.files('beta') == ['ballast']
    finally:
        subprocess.run(['umount', '-l', str(directory)], check=True)


def test_destination_that_vanishes(cloud, volume_id):
    directory = cloud.directory / 'beta'
    away = cloud.directory / 'away'

    def vanish(flow, step, state):
        if (step, state) == ('copy-link-0001', 'RUNNING'):
            directory.rename(away)

    cloud.engine._watchers = (vanish,)
    record = fails(cloud, volume_id, 'cinder_ext.backend_down')
    assert {(left['host'], left['kind']) for left in record.leftovers} == {
        ('host@beta#beta', 'volume'), ('host@beta#beta', 'snapshot')}

    away.rename(directory)
    cloud.endpoints['alpha'].resume()

    deadline = time.monotonic() + 60
    while cloud.record(record.id).leftovers and time.monotonic() < deadline:
        time.sleep(0.05)
    assert cloud.record(record.id).leftovers == []
    assert cloud.files('beta') == []


def test_destination_that_returns_eio_for_a_range(cloud, volume_id, tmp_path):
    mount, mirror, control = cloud.directory / 'beta', tmp_path / 'mirror', tmp_path / 'control'
    mirror.mkdir()
    for room in ('volumes', 'snapshots'):
        (mirror / room).mkdir()
    control.write_text(json.dumps({'eio': [12 * MIB + 4096, 12 * MIB + 8192]}))
    server = subprocess.Popen([sys.executable, str(HERE / 'faultfs.py'), str(mirror), str(mount),
                               str(control)])
    try:
        deadline = time.monotonic() + 60
        while not os.path.ismount(mount) and time.monotonic() < deadline:
            time.sleep(0.05)
        record = fails(cloud, volume_id, 'cinder_ext.backend_down')
        assert str(12 * MIB) in record.error
        assert not [name for name in os.listdir(mirror / 'volumes')]
        assert not [name for name in os.listdir(mirror / 'snapshots')]
    finally:
        subprocess.run(['umount', '-l', str(mount)], check=True)
        server.wait(10)


@pytest.mark.parametrize(('kind', 'offset'), [('snapshot', 9 * MIB + 5), ('volume', 103 * MIB)])
def test_flipped_bit_at_the_destination(cloud, volume_id, kind, offset):
    def flip(flow, step, state):
        if (step, state) == ('verify-chain', 'RUNNING'):
            path = max((cloud.directory / 'beta' / f'{kind}s').iterdir(),
                       key=lambda path: path.stat().st_mtime)
            with open(path, 'r+b') as stream:
                stream.seek(offset)
                byte = stream.read(1)[0]
                stream.seek(offset)
                stream.write(bytes([byte ^ 1]))

    cloud.engine._watchers = (flip,)
    record = fails(cloud, volume_id, 'cinder_ext.verify_failed')
    assert str(offset // MIB * MIB) in record.error
    assert cloud.files('beta') == []


def test_missing_destination_service(cloud, volume_id):
    cloud.conf.set_override('destination_timeout', 1, 'migration')
    cloud.servers[1].stop()
    cloud.servers[1].wait()
    record = fails(cloud, volume_id, 'cinder_ext.preflight_failed')
    assert 'destination-answers' in record.error


def test_snapshot_that_is_missing_at_the_source(cloud, volume_id):
    for path in (cloud.directory / 'alpha' / 'snapshots').iterdir():
        path.rename(cloud.directory / path.name)
    cloud.contents = lambda volume_id: None
    record = fails(cloud, volume_id, 'cinder_ext.preflight_failed')
    assert 'source-readable' in record.error
    assert cloud.files('beta') == []
