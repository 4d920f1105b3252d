"""Writing a snapshot back over its volume, on real files."""
# SPDX-License-Identifier: Apache-2.0

import os
import random
import uuid

import pytest
from oslo_concurrency import lockutils
from oslo_config import cfg

from cinder_ext import exceptions
from cinder_ext.drivers import capabilities, file, values
from cinder_ext.drivers.conformance import workbench
from cinder_ext.drivers.generic import attach, revert

MIB = values.MIB
SIZE = 64 * MIB
TEMPORARY = str(uuid.UUID(int=7))


class Plain(file.FileDriver):
    """A backend that cannot revert; ``lacks`` is what else it cannot."""

    lacks = frozenset()

    def switched_off(self):
        return super().switched_off() | {capabilities.Revert} | self.lacks


class Control:
    """Counts the units and stops at one."""

    def __init__(self, stop_at=None):
        self.count, self.stop_at = 0, stop_at

    def check(self, length):
        self.count += 1
        if self.count == self.stop_at:
            raise Stopped


class Stopped(Exception):
    """What a test's control raises."""


@pytest.fixture(params=['direct', 'through a temporary volume'])
def driver(request, tmp_path):
    lockutils.set_defaults(str(tmp_path))
    attach.setup(cfg.CONF)
    directory = tmp_path / 'alpha'
    directory.mkdir()
    made = Plain(workbench.started('file', file_path=directory, file_reflink='off').settings)
    if request.param != 'direct':
        made.lacks = frozenset({capabilities.SnapshotConnect})
    made.directory = directory
    made.start()
    return made


@pytest.fixture
def changed(driver):
    """A volume with data, holes and a snapshot, changed since; and the snapshot's bytes."""
    volume = values.Volume(str(uuid.uuid4()), SIZE)
    driver.create_volume(volume)
    noise, path = random.Random(3), _path(driver, volume)
    _write(path, 3 * MIB, noise.randbytes(5 * MIB + 17))
    snapshot = values.Snapshot(str(uuid.uuid4()), volume.name_id, SIZE)
    driver.create_snapshot(snapshot)
    before = path.read_bytes()
    for offset in (0, 4 * MIB, 40 * MIB):
        _write(path, offset, noise.randbytes(2 * MIB + 5))
    return volume, snapshot, before


def _path(driver, volume):
    return driver.directory / 'volumes' / f'volume-{volume.name_id}.raw'


def _write(path, offset, content):
    with open(path, 'r+b') as stream:
        stream.seek(offset)
        stream.write(content)


def _back(driver, volume, snapshot, control=None):
    revert.write_back(driver, volume, snapshot, attach.connector_properties(), TEMPORARY,
                      control or Control())


def test_the_volume_holds_what_the_snapshot_holds(driver, changed):
    volume, snapshot, before = changed
    _back(driver, volume, snapshot)
    assert _path(driver, volume).read_bytes() == before
    assert os.listdir(driver.directory / 'volumes') == [_path(driver, volume).name]


def test_what_was_a_hole_is_one_again(driver, changed):
    volume, snapshot, _before = changed
    _back(driver, volume, snapshot)
    assert _path(driver, volume).stat().st_blocks * 512 <= 8 * MIB


def test_an_interrupted_one_is_begun_anew_and_leaves_nothing(driver, changed):
    volume, snapshot, before = changed
    for stop_at in (1, 2, 5):
        with pytest.raises(Stopped):
            _back(driver, volume, snapshot, Control(stop_at))
    assert os.listdir(driver.directory / 'volumes') == [_path(driver, volume).name]
    _back(driver, volume, snapshot)
    assert _path(driver, volume).read_bytes() == before


def test_a_missing_snapshot_leaves_the_volume(driver, changed):
    volume, snapshot, _before = changed
    now = _path(driver, volume).read_bytes()
    driver.delete_snapshot(snapshot)
    with pytest.raises(exceptions.ResourceMissing):
        _back(driver, volume, snapshot)
    assert _path(driver, volume).read_bytes() == now
