"""The clock of the machine jumps, there and back: what is done next is whole, and is the latest."""
# SPDX-License-Identifier: Apache-2.0

import os

import pytest
import rest

MIB = 1024 ** 2
HOUR, DAY = 3600, 86400


class Clock:
    """The time of one service, as an offset that is changed while it runs.

    libfaketime does not serve: with a true monotonic clock its clock_nanosleep(2) fails, and with
    a false one Python waits for ever.
    """

    def __init__(self, service):
        self._file = service.state_dir.parent / 'offset'
        self.jump(0)
        service.lasting = {'OFFSET': str(self._file)}

    def jump(self, offset_seconds):
        made = self._file.with_suffix('.new')
        made.write_text(str(offset_seconds))
        os.rename(made, self._file)


@pytest.fixture
def clock(service):
    return Clock(service)


def heard(service):
    """Return when the volume services have said that they live, by the clock as it is now.

    Until then they count as down after a jump forwards, and nothing is placed on them.
    """
    def all_up():
        found = service.api.get('/os-services?binary=cinder-volume')['services']
        return all(each['state'] == 'up' for each in found)
    rest.wait_for(all_up, 'the services to be up')


@pytest.mark.parametrize('service', ['plain'], indirect=True)
def test_the_clock_jumps_between_migrations_and_in_them(service, clock, travel, record_property):
    service.options = {'DEFAULT': {'sweep_interval': 1, 'report_interval': 1},
                       'migration': {'checkpoint_mib': 4},
                       'alpha': {'file_copy_bytes_per_second': 24 * MIB},
                       'beta': {'file_copy_bytes_per_second': 24 * MIB}}
    traveller, records = travel(), []
    for offset in (-2 * HOUR, -1 * DAY, 3 * DAY, -400 * DAY):
        clock.jump(offset)
        heard(service)
        traveller.depart()
        traveller.wait(('copying', 'verifying'))
        clock.jump(offset - HOUR)
        records.append(traveller.arrive())
    times = [each['created_at'] for each in records]
    assert times == sorted(set(times))
    assert times[0] < times[2] > records[3]['started_at']
    service.process.kill()
    service.process.wait()
    service.process, service.kills = None, service.kills + 1
    clock.jump(-800 * DAY)
    service.begin()
    traveller.depart()
    traveller.arrive()
    record_property('kills', service.kills)


@pytest.mark.parametrize('service', ['plain'], indirect=True)
def test_a_snapshot_taken_after_a_jump_back_is_the_latest(service, clock):
    service.begin()
    service.create_types()
    volume_id = service.api.create_volume(1, volume_type='alpha')['id']
    disk = service.path('alpha', 'volume', volume_id)
    disk.write_bytes(b'first' + disk.read_bytes()[5:4096])
    os.truncate(disk, 1024 ** 3)
    service.api.create_snapshot(volume_id, 'first')
    clock.jump(-HOUR)
    with open(disk, 'r+b') as file:
        file.write(b'second')
    second = service.api.create_snapshot(volume_id, 'second')['id']
    with open(disk, 'r+b') as file:
        file.write(b'third!')
    service.api.post(f'/volumes/{volume_id}/action', {'revert': {'snapshot_id': second}})
    service.api.wait_volume(volume_id)
    with open(disk, 'rb') as file:
        assert file.read(6) == b'second'
