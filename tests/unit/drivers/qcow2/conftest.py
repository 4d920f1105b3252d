"""A started qcow2 driver, and what is seen of its directory."""
# SPDX-License-Identifier: Apache-2.0

import os
import subprocess

import layered_consumer
import processes
import pytest
from oslo_concurrency import lockutils
from oslo_config import cfg

from cinder_ext.drivers.conformance import workbench
from cinder_ext.drivers.generic import attach


class Qcow2Workbench(workbench.Workbench):
    """As the conformance cases have it, with the directory."""

    def __init__(self, driver, directory):
        super().__init__(driver)
        self.directory = directory

    def layers(self):
        return sorted(os.listdir(self.directory / 'layers'))

    def layer(self, resource):
        """The path of what a volume or snapshot is."""
        kind = 'snapshot' if hasattr(resource, 'volume_name_id') else 'volume'
        return (self.directory / f'{kind}s' / f'{kind}-{resource.name_id}').resolve()

    def links(self):
        return sorted(name for room in ('volumes', 'snapshots')
                      for name in os.listdir(self.directory / room))


@pytest.fixture
def bench_of(tmp_path):
    """bench_of(option=value ...): a workbench of a backend with these options; one per test."""
    (tmp_path / 'base').mkdir()
    lockutils.set_defaults(str(tmp_path))
    attach.setup(cfg.CONF)
    made = []

    def make(**options):
        driver = workbench.started('file', file_path=tmp_path / 'base', file_format='qcow2', **options)
        made.append(Qcow2Workbench(driver, tmp_path / 'base'))
        return made[-1]

    yield make
    for bench in made:
        bench.clear()
        bench.driver.stop()
    processes.wait_for_the_end(tmp_path / 'base' / 'views')


@pytest.fixture
def bench(bench_of):
    return bench_of()


@pytest.fixture
def writer():
    """writer(path): a process of QEMU that has an image open for writing, until the test ends."""
    running = []

    def open_for_writing(path):
        process = subprocess.Popen(['qemu-io', '-f', 'qcow2', path], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True)
        running.append(process)
        # Its prompt comes when the image is open.
        process.stdin.write('length\n')
        process.stdin.flush()
        while process.stdout.read(1) != '>':
            assert process.poll() is None
        return process

    yield open_for_writing
    for process in running:
        process.communicate('quit\n')


@pytest.fixture
def base(tmp_path):
    """A layered_consumer.LayeredBase with numbers 1 to 3, and snapshots after 1 and after 2."""
    (tmp_path / 'base').mkdir()
    made = layered_consumer.LayeredBase(tmp_path / 'base')
    made.driver.create_volume(layered_consumer.VOLUME)
    made.write(made.connected(), 1)
    made.snapshot(layered_consumer.FIRST, 2)
    made.snapshot(layered_consumer.SECOND, 3)
    return made
