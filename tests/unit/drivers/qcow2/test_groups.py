"""Group snapshots of layers: all or none, whatever a killed or failed call has left."""
# SPDX-License-Identifier: Apache-2.0

import subprocess

import pytest

from cinder_ext import exceptions
from cinder_ext.drivers import values
from cinder_ext.drivers.qcow2 import driver as qcow2_driver

GIB = values.GIB


@pytest.fixture
def group(bench):
    """(volumes, a snapshot of each that is not there yet)"""
    volumes = [bench.volume() for _ in range(3)]
    for number, volume in enumerate(volumes):
        bench.write(volume, 0, b'%d' % number)
    return volumes, [bench.new_snapshot(volume) for volume in volumes]


def held(bench, members):
    return b''.join(bench.read(member, 0, 1) for member in members)


def test_a_volume_that_is_written_to_refuses_all_and_leaves_nothing(bench, group, writer):
    volumes, members = group
    before = (bench.layers(), bench.links())
    writer(bench.layer(volumes[1]))
    with pytest.raises(exceptions.ResourceBusy):
        bench.driver.create_group_snapshot(members)
    assert (bench.layers(), bench.links()) == before


def test_a_member_that_cannot_be_frozen_undoes_the_others(bench, group):
    volumes, members = group
    before = (bench.layers(), bench.links())
    broken = bench.layer(volumes[2])
    whole = broken.read_bytes()
    broken.write_bytes(b'broken' + whole[6:])
    with pytest.raises(exceptions.DriverError, match='no fit qcow2 layer'):
        bench.driver.create_group_snapshot(members)
    assert (bench.layers(), bench.links()) == before
    broken.write_bytes(whole)
    bench.driver.create_group_snapshot(members)
    assert held(bench, members) == b'012'


def test_what_a_killed_call_has_begun_is_made_anew(bench, group):
    """One member was frozen, of another only the link was there."""
    volumes, members = group
    bench.driver.create_snapshot(members[0])
    (bench.directory / 'snapshots' / f'snapshot-{members[1].name_id}').symlink_to(
        f'../layers/{bench.layer(volumes[1]).name}')
    for volume in volumes:
        bench.write(volume, 0, b'x')
    bench.driver.create_group_snapshot(members)
    assert held(bench, members) == b'xxx'
    assert len(bench.layers()) == 6


def test_what_a_killed_call_has_left_goes_also_when_a_volume_is_written_to(bench, group, writer):
    volumes, members = group
    bench.driver.create_snapshot(members[0])
    writer(bench.layer(volumes[0]))
    with pytest.raises(exceptions.ResourceBusy):
        bench.driver.create_group_snapshot(members)
    assert [name for name in bench.links() if name.startswith('snapshot')] == []


def test_volumes_that_share_a_lock_are_frozen_together(bench):
    names = {}
    for number in range(200):
        names.setdefault(qcow2_driver._slot(f'twin-{number}'), []).append(f'twin-{number}')
    twins = [values.Volume(name, GIB) for name in
             next(found for found in names.values() if len(found) > 1)[:2]]
    for twin in twins:
        bench.driver.create_volume(twin)
    members = [bench.new_snapshot(twin) for twin in twins]
    bench.driver.create_group_snapshot(members)
    assert held(bench, members) == bytes(len(twins))
    bench.clear()
    for twin in twins:
        bench.driver.delete_volume(twin)


def test_members_are_whole_images(bench, group):
    volumes, members = group
    bench.driver.create_group_snapshot(members)
    for volume in volumes:
        subprocess.run(['qemu-img', 'check', '-q', '-f', 'qcow2', bench.layer(volume)], check=True)
