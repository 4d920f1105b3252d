"""What is special about the sides of the file driver; the contract is tested by the conformance."""
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import os
import pathlib
import shutil
import threading
import time
import uuid

import pytest

from cinder_ext import exceptions
from cinder_ext.drivers import capabilities, values
from cinder_ext.drivers.conformance import media, workbench
from cinder_ext.drivers.generic import partials

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


@pytest.fixture(params=['off', 'auto'], ids=['plain', 'shared'])
def active(request, tmp_path, xfs):
    """A driver whose new volumes are made on the target, while home is gone."""
    directory = xfs if request.param == 'auto' else tmp_path / 'arrays'
    for name in ('home', 'dr'):
        os.makedirs(directory / name)
    driver = workbench.started(
        'file', file_path=directory / 'home', file_reflink=request.param,
        replication_device=f'backend_id:dr,path:{directory}/dr')
    shutil.rmtree(directory / 'home')
    settings = dataclasses.replace(driver.settings, active_backend_id='dr')
    again = type(driver)(settings)
    again.start()
    return again


@pytest.fixture
def xfs(tmp_path_factory):
    with media.mounted_xfs(str(tmp_path_factory.mktemp('xfs'))) as point:
        yield pathlib.Path(point)


def test_every_method_works_on_the_side_of_its_resource(active):
    volume = values.Volume(str(uuid.uuid4()), 64 * MIB)
    volume = dataclasses.replace(volume, location=active.create_volume(volume))
    assert volume.location == 'side:dr'
    write(active, volume, MIB, b'first')
    snapshot = values.Snapshot(str(uuid.uuid4()), volume.name_id, 64 * MIB)
    snapshot = dataclasses.replace(snapshot, location=active.create_snapshot(snapshot))
    write(active, volume, MIB, b'later')
    made = [values.Volume(str(uuid.uuid4()), 64 * MIB) for _each in range(3)]
    places = [active.create_volume_from_snapshot(made[0], snapshot),
              active.clone_volume(made[1], volume),
              active.supersede([(volume, made[2])])[0], snapshot.location]
    assert set(places) == {'side:dr'}
    made = [dataclasses.replace(each, location='side:dr') for each in made]
    assert [read(active, each, MIB, 5) for each in (snapshot, *made)] == [
        b'first', b'first', b'later', b'later']
    assert values.Range(MIB, 4096) in active.allocated_ranges(volume)
    active.revert_to_snapshot(volume, snapshot)
    active.extend_volume(volume, 128 * MIB)
    assert read(active, volume, MIB, 5) == b'first'
    assert read(active, volume, 128 * MIB - 1, 2) == b'\0'
    found = {each.name_id for each in active.manageable_volumes()}
    assert found == {each.name_id for each in (volume, *made)}
    if capabilities.has(active, capabilities.ChangedRanges):
        write(active, volume, 2 * MIB, b'changed')
        changed = active.changed_ranges(snapshot, dataclasses.replace(volume, size_bytes=128 * MIB))
        assert changed == [values.Range(2 * MIB, 4096)]
        members = [values.Snapshot(str(uuid.uuid4()), each.name_id, each.size_bytes,
                                   volume_location=each.location) for each in (volume, made[0])]
        assert active.create_group_snapshot(members) == ['side:dr', 'side:dr']
        for each in members:
            active.delete_snapshot(dataclasses.replace(each, location='side:dr'))
    again = values.Volume(str(uuid.uuid4()), 64 * MIB)
    reference = {'source-name': f'volume-{made[0].name_id}.raw'}
    active.unmanage_volume(made[0])
    assert active.manage_volume(again, reference) == 'side:dr'
    for each in (volume, again, *made):
        active.delete_volume(dataclasses.replace(each, location='side:dr'))
    active.delete_snapshot(snapshot)
    assert active.manageable_volumes() == active.manageable_snapshots() == []
    assert active.report()[0].provisioned_bytes == 0


def test_what_lies_at_home_is_down_with_it(active):
    volume = values.Volume(str(uuid.uuid4()), 64 * MIB)
    snapshot = values.Snapshot(str(uuid.uuid4()), volume.name_id, 64 * MIB)
    for call in (lambda: active.connect_volume(volume, {}), lambda: active.delete_volume(volume),
                 lambda: active.connect_snapshot(snapshot, {}), lambda: active.side(volume, None),
                 lambda: active.extend_volume(volume, 128 * MIB), lambda: active.replicas(None)):
        with pytest.raises(exceptions.BackendDown):
            call()
    active.activate(None)
    with pytest.raises(exceptions.BackendDown):
        active.report()


def test_a_side_that_is_configured_no_more_is_down(driver):
    volume = values.Volume(str(uuid.uuid4()), 64 * MIB, 'side:gone')
    for call in (lambda: driver.connect_volume(volume, {}), lambda: driver.side(volume, 'gone'),
                 lambda: driver.activate('gone'), lambda: driver.replication_interval('gone', 60)):
        with pytest.raises(exceptions.BackendDown, match='gone'):
            call()


def test_a_report_says_what_can_be_replicated_to(driver, tmp_path):
    said = driver.report()[0].capabilities
    assert {key: said[key] for key in said if key.startswith('replication')} == {
        'replication': True, 'replication_enabled': True, 'replication_type': ['async'],
        'replication_count': 1, 'replication_targets': ['dr']}
    (tmp_path / 'alone').mkdir()
    alone = workbench.started('file', file_path=tmp_path / 'alone').report()[0].capabilities
    assert not any(key.startswith('replication') for key in alone)


def test_points_are_not_asked_for_too_often(driver):
    assert driver.replication_interval('dr', 10) == 10
    assert driver.replication_interval('dr', None) == 60
    assert driver.replication_interval(None, 5) == 5
    with pytest.raises(exceptions.NotCapable, match='at most every'):
        driver.replication_interval('dr', 0.5)


def test_the_target_of_one_cloud_is_home_of_another(driver, member, tmp_path):
    other = workbench.started('file', file_path=tmp_path / 'dr', file_reflink='off',
                              replication_device=f'backend_id:west,path:{tmp_path}/home')
    driver.pair([member], None, 'dr', 1)
    point_id = driver.ship([member], None, 'dr', point(), 2,
                           {member.volume.name_id: b'manifest'}).id
    (tmp_path / 'control').write_text('{"cut": true}')
    side, size_bytes, group, manifest = other.replicas(None)[member.volume.name_id]
    assert (side.role, [each.id for each in side.points]) == ('secondary', [point_id])
    assert (size_bytes, group, manifest) == (64 * MIB, [member.volume.name_id], b'manifest')
    with pytest.raises(exceptions.ResourceBusy, match='secondary'):
        other.connect_volume(member.volume, {})
    promoted = other.promote(member, None, 2)
    assert (promoted.location, promoted.snapshots) == (None, {member.snapshots[0].name_id: None})
    write(other, member.volume, MIB, b'adopted')
    os.unlink(tmp_path / 'control')
    with pytest.raises(exceptions.SplitBrain):
        driver.ship([member], None, 'dr', point(), 2)
    other.resync([member], None, 'west', 2)
    other.ship([member], None, 'west', point(), 2)
    assert driver.side(member.volume, None).role == 'secondary'
    with pytest.raises(exceptions.ResourceBusy):
        driver.connect_volume(member.volume, {})


def test_two_targets_have_their_own_points(tmp_path):
    for name in ('home', 'near', 'far'):
        (tmp_path / name).mkdir()
    driver = workbench.started('file', file_path=tmp_path / 'home', file_reflink='off')
    options = driver.settings.options
    devices = [{'backend_id': name, 'path': str(tmp_path / name)} for name in ('near', 'far')]
    settings = dataclasses.replace(driver.settings, options=_With(options, devices))
    driver = type(driver)(settings)
    member = values.Member(values.Volume(str(uuid.uuid4()), 64 * MIB))
    driver.create_volume(member.volume)
    for name in ('near', 'far'):
        driver.pair([member], None, name, 1)
        driver.ship([member], None, name, point(), 3)
    for _turn in range(3):
        write(driver, member.volume, 0, os.urandom(MIB))
        driver.ship([member], None, 'near', point(), 3)
    write(driver, member.volume, 8 * MIB, b'x')
    assert driver.ship([member], None, 'near', point(), 3).bytes_shipped < MIB
    # The far one has its own base still: only what changed since is moved.
    assert driver.ship([member], None, 'far', point(), 3).bytes_shipped < 2 * MIB
    assert len(driver.side(member.volume, None).points) == 2
    driver.promote(member, 'near', 2)
    there = values.Member(dataclasses.replace(member.volume, location='side:near'))
    driver.pair([there], 'near', 'far', 2)
    driver.ship([there], 'near', 'far', point(), 3)
    assert driver.unpair([there], 'near', 'far') == []
    assert read(driver, there.volume, 8 * MIB, 1) == b'x'


class _With:
    """Options with other targets."""

    def __init__(self, options, devices):
        self._options, self.replication_device = options, devices

    def __getattr__(self, name):
        return getattr(self._options, name)


def test_a_point_fails_as_its_arrays_do(driver, member, tmp_path):
    driver.pair([member], None, 'dr', 1)
    before = driver.ship([member], None, 'dr', point(), 2)
    write(driver, member.volume, 0, os.urandom(8 * MIB))
    control, name_id = tmp_path / 'control', member.volume.name_id
    for said, fault in (('{"cut": true}', exceptions.BackendDown),
                        ('{"full": true}', exceptions.NoSpace),
                        (f'{{"fail": ["{name_id}"]}}', exceptions.DriverError)):
        control.write_text(said)
        with pytest.raises(fault):
            driver.ship([member], None, 'dr', point(), 2)
    control.unlink()
    assert driver.side(member.volume, 'dr').points == (before,)
    control.write_text(f'{{"bytes_per_second": {32 * MIB}}}')
    began = time.monotonic()
    driver.ship([member], None, 'dr', point(), 2)
    assert time.monotonic() - began > 0.1


def test_ending_with_a_side_that_is_down_names_it(driver, member, tmp_path):
    driver.pair([member], None, 'dr', 1)
    driver.ship([member], None, 'dr', point(), 2)
    (tmp_path / 'control').write_text('{"cut": true}')
    assert driver.unpair([member], None, 'dr') == ['dr']
    assert driver.side(member.volume, None) == values.Side(exists=True)
    write(driver, member.volume, 0, b'plain')
    (tmp_path / 'control').unlink()
    driver.pair([member], None, 'dr', 1)
    driver.ship([member], None, 'dr', point(), 2)
    driver.promote(member, 'dr', 2)
    assert read(driver, values.Volume(member.volume.name_id, 64 * MIB, 'side:dr'), 0, 5) == b'plain'


def test_a_replication_is_not_ended_in_the_middle_of_a_failover(driver, member):
    driver.pair([member], None, 'dr', 1)
    driver.demote(member, None, 1)
    with pytest.raises(exceptions.ResourceBusy, match='neither'):
        driver.unpair([member], None, 'dr')
    driver.ship([member], None, 'dr', point(), 2)
    assert driver.promote(member, 'dr', 2).snapshots


def test_a_fenced_source_gets_its_volume_back_at_the_end(driver, member):
    driver.pair([member], None, 'dr', 1)
    driver.fence(member, None, 1)
    assert driver.unpair([member], None, 'dr') == []
    assert read(driver, member.volume, 0, 6) == b'after!'


def test_an_ending_that_was_killed_is_ended_when_it_is_repeated(driver, member, tmp_path):
    driver.pair([member], None, 'dr', 1)
    driver.ship([member], None, 'dr', point(), 2)
    rooms = [tmp_path / side / 'replication' / 'volumes' for side in ('home', 'dr')]
    for room in rooms:
        (room / member.volume.name_id / 'role.json').unlink()
    assert driver.unpair([member], None, 'dr') == []
    assert [list(room.iterdir()) for room in rooms] == [[], []]
    assert read(driver, member.volume, 0, 6) == b'after!'


def test_a_start_removes_what_killed_writers_of_points_left(driver, member, tmp_path):
    driver.pair([member], None, 'dr', 1)
    shipped = driver.ship([member], None, 'dr', point(), 2)
    rooms = [tmp_path / side / 'replication' / 'points' for side in ('home', 'dr')]
    for room in rooms:
        pathlib.Path(partials.new_name(str(room / f'{point()}.json'))).touch()
    driver.start()
    assert [[path.name for path in room.iterdir()] for room in rooms] == 2 * [[f'{shipped.id}.json']]


def test_a_volume_of_that_name_is_never_overwritten(driver, member, tmp_path):
    other = workbench.started('file', file_path=tmp_path / 'dr')
    other.create_volume(member.volume)
    write(other, member.volume, 0, b'its own')
    with pytest.raises(exceptions.SplitBrain, match='its own'):
        driver.pair([member], None, 'dr', 1)
    with pytest.raises(exceptions.SplitBrain):
        driver.resync([member], None, 'dr', 1)
    assert read(other, member.volume, 0, 7) == b'its own'


def test_a_large_shipment_goes_on_where_it_was_cut_off(driver, tmp_path):
    size_bytes = 80 * MIB
    member = values.Member(values.Volume(str(uuid.uuid4()), size_bytes))
    driver.create_volume(member.volume)
    write(driver, member.volume, 0, os.urandom(4 * MIB) * 20)
    driver.pair([member], None, 'dr', 1)
    control, point_id = tmp_path / 'control', point()
    control.write_text(f'{{"bytes_per_second": {100 * MIB}}}')
    failed = []

    def ship():
        try:
            driver.ship([member], None, 'dr', point_id, 1)
        except exceptions.BackendDown as fault:
            failed.append(fault)

    thread = threading.Thread(target=ship)
    thread.start()
    room = tmp_path / 'dr' / 'replication' / 'volumes' / member.volume.name_id
    while thread.is_alive() and not (room / f'{point_id}.raw.staged.json').exists():
        time.sleep(0.001)
    control.write_text('{"cut": true}')
    thread.join()
    assert failed
    taken_at = driver.side(member.volume, None).points[-1].taken_at
    control.unlink()
    found = driver.ship([member], None, 'dr', point_id, 1)
    assert found.taken_at == taken_at
    assert 0 < found.bytes_shipped <= size_bytes - 64 * MIB
    driver.promote(member, 'dr', 2)
    there = dataclasses.replace(member.volume, location='side:dr')
    assert read(driver, there, 0, size_bytes) == read(driver, member.volume, 0, size_bytes)


def test_without_shared_blocks_it_is_known_that_nothing_is_pending(driver, member):
    driver.pair([member], None, 'dr', 1)
    assert driver.pending_bytes([member], None, 'dr') > 0
    driver.ship([member], None, 'dr', point(), 2)
    assert driver.pending_bytes([member], None, 'dr') == 0
    driver.create_snapshot(values.Snapshot(str(uuid.uuid4()), member.volume.name_id, 64 * MIB))
    assert driver.pending_bytes([member], None, 'dr') == 0
    write(driver, member.volume, 0, b'more')
    assert driver.pending_bytes([member], None, 'dr') is None
    driver.ship([member], None, 'dr', point(), 2)
    driver.fence(member, None, 1)
    assert driver.pending_bytes([member], None, 'dr') in (0, None)


def test_of_a_fenced_destination_only_what_is_nowhere_else_is_left(driver, member, tmp_path):
    driver.pair([member], None, 'dr', 1)
    driver.ship([member], None, 'dr', point(), 2)
    alone = values.Snapshot(str(uuid.uuid4()), member.volume.name_id, 64 * MIB)
    driver.create_snapshot(alone)
    before = member
    driver.promote(member, 'dr', 2)
    driver.fence(before, None, 2)
    assert driver.unpair([values.Member(member.volume)], 'dr', None) == []
    left = [path.name for path in (tmp_path / 'home').rglob('*.*') if path.is_file()]
    assert left == [f'snapshot-{alone.name_id}.raw']
    assert read(driver, dataclasses.replace(member.volume, location='side:dr'), 0, 6) == b'after!'


def test_one_directory_under_two_names_is_no_pair(tmp_path):
    (tmp_path / 'home').mkdir()
    (tmp_path / 'same').symlink_to('home')
    driver = workbench.started('file', file_path=tmp_path / 'home',
                               replication_device=f'backend_id:dr,path:{tmp_path}/same')
    volume = values.Volume(str(uuid.uuid4()), 64 * MIB)
    driver.create_volume(volume)
    with pytest.raises(exceptions.DriverError, match='same array'):
        driver.pair([values.Member(volume)], None, 'dr', 1)
    assert driver.side(volume, None) == values.Side(exists=True)


def test_what_was_never_started_says_what_it_can_do(driver, tmp_path):
    again = type(driver)(driver.settings)
    shutil.rmtree(tmp_path / 'home')
    for _twice in range(2):
        assert capabilities.has(again, capabilities.Replication)
        assert not capabilities.has(again, capabilities.ChangedRanges)
    (tmp_path / 'home').mkdir()
    again.start()
    assert capabilities.of(again) == capabilities.of(driver)


def test_what_a_killed_promotion_brought_out_goes_back(driver, member, tmp_path):
    driver.pair([member], None, 'dr', 1)
    driver.ship([member], None, 'dr', point(), 2)
    name_id, snapshot = member.volume.name_id, member.snapshots[0]
    room, there = tmp_path / f'dr/replication/volumes/{name_id}', tmp_path / 'dr'
    head = there / f'volumes/volume-{name_id}.raw'
    head.write_bytes(b'half')
    os.rename(room / f'snapshot-{snapshot.name_id}.raw',
              there / f'snapshots/snapshot-{snapshot.name_id}.raw')
    assert driver.ship([member], None, 'dr', point(), 2).bytes_shipped == 0
    assert not head.exists()
    assert list((there / 'snapshots').iterdir()) == []
    promoted = driver.promote(member, 'dr', 2)
    there = dataclasses.replace(snapshot, location=promoted.snapshots[snapshot.name_id])
    assert read(driver, there, 0, 6) == b'before'
