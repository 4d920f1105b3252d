"""Processes of one backend make the same files at the same time, while another one starts."""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import json
import os
import pathlib
import subprocess
import sys

import maker

from cinder_ext.drivers.conformance import workbench

MAKER = maker.__file__
PATTERN = b'pattern!' * (maker.VOLUME.size_bytes // 8)


@contextlib.contextmanager
def running(options, first=0, end=0):
    """A process that makes what has these numbers; it must end without a fault."""
    with subprocess.Popen(
            [sys.executable, MAKER, json.dumps(options), str(first), str(end)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as made:
        try:
            assert made.stdout.readline() == 'started\n', made.communicate()[1]
            yield made
            _, said = made.communicate(timeout=120)
            assert (made.returncode, said) == (0, '')
        finally:
            made.kill()


def files(directory):
    return sorted(path.name for path in directory.rglob('*')
                  if path.parent.name in ('volumes', 'snapshots', 'layers'))


def content(path):
    return pathlib.Path(path).read_bytes()


def test_each_raw_file_is_made_once_and_whole(tmp_path):
    options, rounds = {'file_path': str(tmp_path)}, 100
    workbench.started('file', **options).create_volume(maker.VOLUME)
    (tmp_path / 'volumes' / 'volume-origin.raw').write_bytes(PATTERN)
    with (running(options) as _starts_all_the_time, running(options, 0, rounds),
          running(options, 0, rounds)):
        pass
    wanted = ['volume-origin.raw']
    for number in range(rounds):
        snapshot, volume = maker.made(number)
        for room, name in (('snapshots', f'snapshot-{snapshot.name_id}.raw'),
                           ('volumes', f'volume-{volume.name_id}.raw')):
            wanted.append(name)
            assert content(tmp_path / room / name) == PATTERN
            assert os.stat(tmp_path / room / name).st_nlink == 1
    assert files(tmp_path) == sorted(wanted)


def test_each_layer_is_made_once_and_whole(tmp_path):
    options, rounds = {'file_path': str(tmp_path), 'file_format': 'qcow2'}, 8
    driver = workbench.started('file', **options)
    driver.create_volume(maker.VOLUME)
    layer, = (tmp_path / 'layers').iterdir()
    subprocess.run(['qemu-io', '-f', 'qcow2', '-c', 'write -P 7 0 1M', str(layer)], check=True,
                   stdout=subprocess.DEVNULL)
    with (running(options) as _starts_all_the_time, running(options, 0, rounds),
          running(options, 0, rounds)):
        pass
    links = [path for room in ('volumes', 'snapshots') for path in (tmp_path / room).iterdir()]
    assert len(links) == 1 + 2 * rounds
    assert {path.suffix for path in links} == {''}
    assert len(files(tmp_path)) == 2 * len(links)
    for number in range(rounds):
        for each in maker.made(number):
            assert driver.allocated_ranges(each) == driver.allocated_ranges(maker.VOLUME)
