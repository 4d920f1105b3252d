"""What every case works with: a started driver, and real bytes through os-brick.

A driver author derives a test class from the case classes of this package and
defines the fixture ``driver``::

    class TestMine(suite.Conformance):
        @pytest.fixture
        def driver(self):
            return workbench.started('mine', mine_address='192.0.2.1')
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import os
import tempfile
import uuid

import pytest
from oslo_concurrency import lockutils
from oslo_config import cfg

from cinder_ext.drivers import capabilities, loader, values
from cinder_ext.drivers.generic import attach

SECTION = 'conformance'
SIZE_BYTES = values.GIB
"""Size of the volumes of the cases: what every backend can make."""


def started(name, **options):
    """A started driver of a registered name with options of its section.

    :param options: option names and values, as they would stand in the file
    """
    conf = cfg.ConfigOpts()
    with tempfile.NamedTemporaryFile('w', suffix='.conf') as written:
        lines = [f'[{SECTION}]', f'volume_driver = {name}']
        lines += [f'{option} = {value}' for option, value in options.items()]
        written.write('\n'.join(lines) + '\n')
        written.flush()
        conf(['--config-file', written.name], project=SECTION)
    driver = loader.load(conf, SECTION)
    driver.start()
    return driver


class Workbench:
    """Makes volumes and snapshots, writes and reads them, and clears them away."""

    def __init__(self, driver):
        self.driver = driver
        self.connector = attach.connector_properties()
        self._made = []

    def new_volume(self, size_bytes=SIZE_BYTES):
        """A volume value with a name of its own; nothing is created."""
        volume = values.Volume(str(uuid.uuid4()), size_bytes)
        self._made.append((self.driver.delete_volume, volume))
        return volume

    def new_snapshot(self, volume):
        """A snapshot value with a name of its own; nothing is created."""
        snapshot = values.Snapshot(str(uuid.uuid4()), volume.name_id, volume.size_bytes)
        self._made.append((self.driver.delete_snapshot, snapshot))
        return snapshot

    def volume(self, size_bytes=SIZE_BYTES):
        """A created, empty volume."""
        volume = self.new_volume(size_bytes)
        self.driver.create_volume(volume)
        return volume

    def snapshot(self, volume):
        """A created snapshot of a volume as it is now."""
        snapshot = self.new_snapshot(volume)
        self.driver.create_snapshot(snapshot)
        return snapshot

    def clear(self):
        """Delete everything, the newest first."""
        while self._made:
            delete, value = self._made.pop()
            delete(value)

    @contextlib.contextmanager
    def path(self, resource):
        """The local path of a volume or snapshot; of a clone where a snapshot has none."""
        if isinstance(resource, values.Volume):
            connect, disconnect = self.driver.connect_volume, self.driver.disconnect_volume
        elif capabilities.has(self.driver, capabilities.SnapshotConnect):
            connect, disconnect = self.driver.connect_snapshot, self.driver.disconnect_snapshot
        else:
            clone = self.new_volume(resource.size_bytes)
            self.driver.create_volume_from_snapshot(clone, resource)
            with self.path(clone) as path:
                yield path
            return
        info = connect(resource, self.connector)
        try:
            with attach.attached(info) as path:
                yield path
        finally:
            disconnect(resource, self.connector)

    def write(self, volume, offset, data):
        """Write bytes through a connection and put them on the medium."""
        with self.path(volume) as path, open(path, 'r+b') as device:
            device.seek(offset)
            device.write(data)
            device.flush()
            os.fsync(device.fileno())

    def read(self, resource, offset, length):
        """Read bytes through a connection."""
        with self.path(resource) as path, open(path, 'rb') as device:
            device.seek(offset)
            return device.read(length)


class Cases:
    """Base of all case classes; ``word`` is the capability that a class needs, if any."""

    word = None

    @pytest.fixture
    def bench(self, driver, tmp_path):
        """A Workbench on the author's driver, cleared away at the end."""
        lockutils.set_defaults(str(tmp_path))
        attach.setup(cfg.CONF)
        made = Workbench(driver)
        yield made
        made.clear()

    def test_every_capability_that_is_served_is_among_the_cases(self, driver):
        checked = {kind.word for kind in type(self).__mro__ if getattr(kind, 'word', None)}
        assert set(capabilities.of(driver)) == checked
