"""The file system of the state directory is full: what runs waits, and goes on when there is room."""
# SPDX-License-Identifier: Apache-2.0

import os
import subprocess
import time

import pytest
import rest

MIB = 1024 ** 2


@pytest.fixture
def small_state(service):
    """The databases on a file system of their own, of 64 MiB; the backends elsewhere."""
    service.state_dir.mkdir(parents=True, exist_ok=True)
    subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', service.state_dir], check=True)
    elsewhere = service.state_dir.parent / 'elsewhere'
    for name in service.backends:
        (elsewhere / name).mkdir(parents=True)
        os.symlink(elsewhere / name, service.state_dir / name)
    yield service.state_dir
    service.kill()
    subprocess.run(['umount', '-l', service.state_dir], check=True)


def fill(directory):
    """Leave no room."""
    with open(directory / 'ballast', 'ab', buffering=0) as ballast:
        for size in (MIB, 4096):
            try:
                while True:
                    ballast.write(bytes(size))
            except OSError:
                pass


def write_rows(service):
    """Until one is refused."""
    while True:
        service.api.create_type('x' * 200 + os.urandom(20).hex(), {'x': 'y' * 200})


@pytest.mark.parametrize('service', ['plain'], indirect=True)
def test_no_room_for_the_records(service, small_state, travel, record_property):
    service.options = {**service.options, **{
        name: {'file_copy_bytes_per_second': 16 * MIB} for name in service.backends}}
    traveller = travel()
    for is_killed in (False, True):
        traveller.depart()
        traveller.wait(('copying', 'verifying'), 2 * MIB)
        fill(small_state)
        with pytest.raises(rest.ApiError) as refused:
            write_rows(service)
        assert refused.value.status >= 500
        if is_killed:
            service.process.kill()
            assert service.dies(lambda: False)
        else:
            time.sleep(3)
        (small_state / 'ballast').unlink()
        if is_killed:
            service.begin()
        traveller.arrive()
    record_property('kills', service.kills)
