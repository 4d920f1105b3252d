"""The embedded service as a process that dies where a test says."""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import hashlib
import os
import pathlib
import random
import sqlite3
import sys
import time

import embedded
import pytest
import requests

from cinder_ext.drivers.conformance import media

MIB, GIB = 1024 ** 2, 1024 ** 3
KILLABLE = pathlib.Path(__file__).with_name('killable.py')


class Killable(embedded.EmbeddedService):
    """A service that is killed and started again on the same state.

    :ivar kills: how often it was killed
    """

    def __init__(self, state_dir, **options):
        super().__init__(state_dir, options={
            'migration': {'checkpoint_mib': 4, **options}, 'DEFAULT': {'sweep_interval': 5}},
            binary=sys.executable)
        self.arguments = [str(KILLABLE)]
        self.kills = 0
        self.counter = self.state_dir / 'copied'

    def begin(self, kill_at='', fill_at=''):
        """Start it with a point at which it dies; it may die before its first answer."""
        self.environment = {'KILL_AT': kill_at, 'FILL_AT': fill_at or ':',
                            'COUNTER': str(self.counter)}
        try:
            self.start()
        except embedded.NotStarted as fault:
            if 'ended with -9' not in str(fault):
                raise
            self.kills += 1

    def dies(self, until, seconds=60):
        """Wait until it was killed, or ``until`` holds.

        :returns: whether it was killed
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process is None:
                return True
            if not self.is_running:
                self._reap()
                return True
            try:
                if until():
                    return False
            except requests.RequestException:
                pass
            time.sleep(0.02)
        raise AssertionError(f'neither killed nor done in {seconds} s: {self.log_tail(60)}')

    def _reap(self):
        code = self.process.wait()
        assert code == -9, f'it ended with {code}: {self.log_tail(60)}'
        self.process = None
        self.kills += 1

    def copied(self):
        """Bytes that the copies of all processes wrote."""
        return int.from_bytes(self.counter.read_bytes(), 'little') if self.counter.exists() else 0

    def path(self, backend, kind, name_id):
        return self.state_dir / backend / f'{kind}s' / f'{kind}-{name_id}.raw'

    def files(self, backend):
        return sorted(path.name for path in (self.state_dir / backend).rglob('*')
                      if path.is_file() and path.name != 'ballast')

    def chain(self, noise):
        """A volume on alpha: extended, changed, with snapshots, one deleted out of the middle.

        :returns: (volume id, snapshot ids oldest first, bytes that a copy must write)
        """
        volume_id = self.api.create_volume(1, volume_type='alpha', name='a volume')['id']
        disk = self.path('alpha', 'volume', volume_id)
        write(disk, 0, noise(16 * MIB))
        taken = [self.api.create_snapshot(volume_id, 'first')['id']]
        write(disk, 4 * MIB, noise(2 * MIB))
        taken.append(self.api.create_snapshot(volume_id, 'middle')['id'])
        self.api.post(f'/volumes/{volume_id}/action', {'os-extend': {'new_size': 2}})
        self.api.wait_volume(volume_id)
        write(disk, 1500 * MIB, noise(8 * MIB))
        taken.append(self.api.create_snapshot(volume_id, 'last')['id'])
        write(disk, 0, bytes(2 * MIB))
        write(disk, 700 * MIB, noise(8 * MIB))
        self.api.delete_snapshot(taken.pop(1))
        return volume_id, taken, (16 + 2 + 8 + 8) * MIB

    def contents(self, volume_id, snapshot_ids):
        """Digests at the source's names: to be taken before a migration."""
        found = {volume_id: digest(self.path('alpha', 'volume', volume_id))}
        for snapshot_id in snapshot_ids:
            found[snapshot_id] = digest(self.path('alpha', 'snapshot', snapshot_id))
        return found

    def moved_contents(self, volume_id):
        """Digests of what the destination holds, by the ids, read off the names of the records."""
        return {row_id: digest(self.path('beta', kind, name_id))
                for kind, row_id, name_id in self._names(volume_id)}

    def _names(self, volume_id):
        with contextlib.closing(sqlite3.connect(self.state_dir / 'cinder-ext.db')) as database:
            yield from database.execute(
                "SELECT 'volume', id, name_id FROM volumes WHERE id = ?", (volume_id,)).fetchall()
            yield from database.execute(
                "SELECT 'snapshot', id, name_id FROM snapshots WHERE volume_id = ? "
                'AND deleted_at IS NULL', (volume_id,)).fetchall()


def write(path, offset, content):
    with open(path, 'r+b') as stream:
        stream.seek(offset)
        stream.write(content)


def digest(path):
    """SHA-256 over the blocks that are not zero, with their offsets, and the size."""
    found, size, offset = hashlib.sha256(), os.stat(path).st_size, 0
    with open(path, 'rb') as stream:
        while offset < size:
            try:
                offset = os.lseek(stream.fileno(), offset, os.SEEK_DATA) // MIB * MIB
            except OSError:
                break
            block = os.pread(stream.fileno(), MIB, offset)
            if block.strip(b'\0'):
                found.update(b'%d:' % offset + block)
            offset += MIB
    return found.hexdigest(), size


@pytest.fixture
def noise():
    return random.Random(11).randbytes


@pytest.fixture(params=['plain', 'xfs'])
def service(request, tmp_path):
    """On a plain file system snapshots are copies; on XFS they share blocks."""
    with contextlib.ExitStack() as stack:
        place = tmp_path
        if request.param == 'xfs':
            place = pathlib.Path(stack.enter_context(media.mounted_xfs(str(tmp_path), 6 * GIB)))
        made = Killable(place / 'state')
        stack.callback(made.kill)
        yield made
