"""Two at work on the same volumes: a promotion in the middle of a shipment, and two shipments."""
# SPDX-License-Identifier: Apache-2.0

import concurrent.futures
import os
import time
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
        replication_device=f'backend_id:dr,path:{tmp_path}/dr,control_file:{tmp_path}/control')


@pytest.fixture
def members(driver):
    made = [values.Member(values.Volume(str(uuid.uuid4()), 64 * MIB)) for _each in range(2)]
    for member in made:
        driver.create_volume(member.volume)
        fill(driver, member.volume, b'a')
    driver.pair(made, None, 'dr', 1)
    return made


def fill(driver, volume, byte):
    with open(driver.connect_volume(volume, {}).data['device_path'], 'r+b') as device:
        device.write(byte * 16 * MIB)


def read(driver, volume, side):
    there = values.Volume(volume.name_id, volume.size_bytes, side and f'side:{side}')
    with open(driver.connect_volume(there, {}).data['device_path'], 'rb') as device:
        return device.read(16 * MIB)


@pytest.fixture
def pool():
    with concurrent.futures.ThreadPoolExecutor() as made:
        yield made


def is_half_way(tmp_path, member):
    """Wait until something of a volume is being received."""
    room = tmp_path / 'dr' / 'replication' / 'volumes' / member.volume.name_id
    until = time.monotonic() + 30
    while not any(path.name.count('.raw.') for path in room.iterdir()):
        assert time.monotonic() < until
        time.sleep(0.001)


def test_a_promotion_wins_over_a_shipment_that_is_half_way(driver, members, tmp_path, pool):
    first = driver.ship(members, None, 'dr', str(uuid.uuid4()), 2)
    for member in members:
        fill(driver, member.volume, b'b')
    (tmp_path / 'control').write_text(f'{{"bytes_per_second": {24 * MIB}}}')
    shipped = pool.submit(driver.ship, members, None, 'dr', str(uuid.uuid4()), 2)
    is_half_way(tmp_path, members[0])
    promoted = [driver.promote(member, 'dr', 2) for member in members]
    with pytest.raises(exceptions.SplitBrain):
        shipped.result(60)
    assert [each.point for each in promoted] == [first, first]
    for member in members:
        assert read(driver, member.volume, 'dr') == b'a' * 16 * MIB
        assert driver.side(member.volume, 'dr').points == (first,)
    (tmp_path / 'control').unlink()
    driver.resync(members, 'dr', None, 2)
    driver.ship(members, 'dr', None, str(uuid.uuid4()), 2)
    left = [path.name for path in (tmp_path / 'dr').rglob('*') if path.name.count('.raw.')]
    assert left == []


def test_two_shipments_of_one_point_are_one(driver, members, tmp_path, pool):
    (tmp_path / 'control').write_text(f'{{"bytes_per_second": {100 * MIB}}}')
    point_id = str(uuid.uuid4())
    others = [pool.submit(driver.ship, members, None, 'dr', point_id, 2) for _each in range(3)]
    found = {(each.result(60).id, each.result().taken_at) for each in others}
    assert len(found) == 1
    for member in members:
        fill(driver, member.volume, b'b')
        driver.promote(member, 'dr', 2)
        assert read(driver, member.volume, 'dr') == b'a' * 16 * MIB


def test_a_shipment_of_nothing_but_zeros_leaves_holes(driver, members, tmp_path):
    driver.ship(members, None, 'dr', str(uuid.uuid4()), 1)
    for member in members:
        fill(driver, member.volume, b'\0')
    driver.ship(members, None, 'dr', str(uuid.uuid4()), 1)
    taken = sum(os.stat(path).st_blocks * 512 for path in (tmp_path / 'dr').rglob('*.raw'))
    assert taken < MIB
