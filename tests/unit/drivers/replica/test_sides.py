"""A volume goes to the other side and back, with its snapshot."""
# SPDX-License-Identifier: Apache-2.0

import os
import uuid

import pytest

from cinder_ext import exceptions
from cinder_ext.drivers import values
from cinder_ext.drivers.conformance import workbench

MIB = values.MIB


@pytest.fixture
def driver(tmp_path):
    for name in ('home', 'dr'):
        (tmp_path / name).mkdir()
    return workbench.started(
        'file', file_path=tmp_path / 'home', file_reflink='off',
        replication_device=f'backend_id:dr,path:{tmp_path}/dr,modes:sync|async,'
                           f'control_file:{tmp_path}/control')


@pytest.fixture
def member(driver, tmp_path):
    volume = values.Volume(str(uuid.uuid4()), 64 * MIB)
    assert driver.create_volume(volume) is None
    snapshot = values.Snapshot(str(uuid.uuid4()), volume.name_id, 64 * MIB)
    write(driver, volume, 0, b'before')
    driver.create_snapshot(snapshot)
    write(driver, volume, 0, b'after!')
    return values.Member(volume, (snapshot,))


def write(driver, volume, offset, data):
    path = driver.connect_volume(volume, {}).data['device_path']
    with open(path, 'r+b') as device:
        device.seek(offset)
        device.write(data)


def read(driver, resource, offset, length):
    connect = (driver.connect_snapshot if isinstance(resource, values.Snapshot)
               else driver.connect_volume)
    with open(connect(resource, {}).data['device_path'], 'rb') as device:
        device.seek(offset)
        return device.read(length)


def point():
    return str(uuid.uuid4())


def test_a_volume_goes_there_and_comes_back(driver, member):
    volume, (snapshot,) = member.volume, member.snapshots
    driver.pair([member], None, 'dr', 1)
    driver.ship([member], None, 'dr', point(), 2)
    driver.fence(member, None, 1)
    with pytest.raises(exceptions.ResourceBusy, match='fenced'):
        driver.connect_volume(volume, {})
    last = driver.ship([member], None, 'dr', point(), 2)
    promoted = driver.promote(member, 'dr', 2)
    assert promoted.point.id == last.id
    driver.demote(member, None, 2)
    there = values.Volume(volume.name_id, volume.size_bytes, promoted.location)
    frozen = values.Snapshot(snapshot.name_id, volume.name_id, snapshot.size_bytes,
                             promoted.snapshots[snapshot.name_id])
    assert promoted.location == frozen.location == 'side:dr'
    assert read(driver, there, 0, 6) == b'after!'
    assert read(driver, frozen, 0, 6) == b'before'
    write(driver, there, MIB, b'there')
    back = values.Member(there, (frozen,))
    driver.pair([back], 'dr', None, 2)
    driver.fence(back, 'dr', 2)
    driver.ship([back], 'dr', None, point(), 2)
    assert driver.promote(back, None, 3).location is None
    driver.demote(back, 'dr', 3)
    assert read(driver, volume, MIB, 5) == b'there'
    assert read(driver, snapshot, 0, 6) == b'before'
    assert driver.side(volume, 'dr').role == 'secondary'


def test_two_primaries_are_found_out(driver, member):
    driver.pair([member], None, 'dr', 1)
    driver.ship([member], None, 'dr', point(), 2)
    driver.promote(member, 'dr', 2)
    with pytest.raises(exceptions.SplitBrain):
        driver.ship([member], None, 'dr', point(), 2)
    driver.resync([member], 'dr', None, 2)
    driver.ship([member], 'dr', None, point(), 2)
    assert driver.side(member.volume, None).role == 'secondary'


def test_a_target_that_is_cut_off_is_down(driver, member, tmp_path):
    (tmp_path / 'control').write_text('{"cut": true}')
    with pytest.raises(exceptions.BackendDown):
        driver.pair([member], None, 'dr', 1)
    os.unlink(tmp_path / 'control')
    driver.pair([member], None, 'dr', 1)
