"""A directory of qcow2 layers with its driver, whose consumers are QEMU's tools."""
# SPDX-License-Identifier: Apache-2.0

import os
import shutil
import subprocess

from cinder_ext.drivers import values
from cinder_ext.drivers.conformance import workbench
from cinder_ext.drivers.qcow2 import images, layers

SIZE = 64 * values.MIB
UNIT = 64 * 1024
VOLUME = values.Volume('volume', SIZE)
CONNECTOR = {'host': 'compute', 'ip': '127.0.0.1'}


def snapshot(name):
    return values.Snapshot(name, VOLUME.name_id, SIZE)


FIRST, SECOND, THIRD = (snapshot(name) for name in ('first', 'second', 'third'))


class LayeredBase:
    """A directory with its driver; what a consumer does is done by QEMU's tools."""

    def __init__(self, directory):
        self.directory = directory
        self.driver = workbench.started('file', file_path=directory, file_format='qcow2',
                                        file_export='127.0.0.1:/exported')

    def copy(self, directory):
        shutil.copytree(self.directory, directory, symlinks=True)
        return LayeredBase(directory)

    def layer(self, resource):
        kind = 'snapshot' if isinstance(resource, values.Snapshot) else 'volume'
        return (self.directory / f'{kind}s' / f'{kind}-{resource.name_id}').resolve()

    def layers(self):
        return sorted(os.listdir(self.directory / 'layers'))

    def connected(self):
        """The name of the file that a consumer is told to open."""
        name = self.driver.connect_volume(VOLUME, CONNECTOR).data['name']
        return name.removeprefix('layers/')

    def path(self, name):
        return self.directory / 'layers' / name

    def write(self, name, number):
        """A write of a number to its block and to one that all writes go to."""
        self.tool('qemu-io', '-f', 'qcow2', '-c', f'write -P {number} {number * UNIT} {UNIT}',
                  '-c', f'write -P {number} 0 {UNIT}', self.path(name))

    def holds(self, resource, number):
        """Whether that was the last number that was written."""
        said = subprocess.run(
            ['qemu-io', '-r', '-U', '-f', 'qcow2', '-c', f'read -P {number} 0 {UNIT}',
             self.layer(resource)], check=True, capture_output=True, text=True, timeout=60)
        return 'verification failed' not in said.stdout

    def numbers(self):
        """What the volume holds: the last number, then each where it was written."""
        raw = self.directory.with_suffix('.raw')
        self.tool('qemu-img', 'convert', '-U', '-f', 'qcow2', '-O', 'raw', self.layer(VOLUME), raw)
        with open(raw, 'rb') as file:
            return [file.read(UNIT)[0] for _ in range(4)]

    def consumer_merges(self, request):
        """As block-stream and block-commit leave the files."""
        active, base = self.connected(), request['file_to_merge']
        if request['merge_target_file'] is None:
            images.rebase(self.path(active), base, base and 'qcow2')
            return
        target, chain = request['merge_target_file'], layers.Layers(self.directory).chain(active)
        above = chain[chain.index(base) - 1]
        self.tool('qemu-img', 'commit', '-q', '-d', '-f', 'qcow2', '-b', self.path(target),
                  self.path(base))
        images.repoint(self.path(above), target, 'qcow2')

    def snapshot(self, taken, number):
        """Take one, then write a number to the new layer."""
        begun = self.driver.create_snapshot_assisted_begin(taken)
        self.driver.create_snapshot_assisted_complete(taken, begun.noted)
        self.write(begun.request['new_file'], number)

    @staticmethod
    def tool(*words):
        subprocess.run(list(map(str, words)), check=True, capture_output=True, timeout=60)
