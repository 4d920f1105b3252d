"""The embedded service that dies by a fuse, and what lies below its state directory."""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import mmap
import os
import pathlib
import sqlite3
import struct
import sys
import time

import embedded
import requests
import rest
import warm

MORTAL = pathlib.Path(__file__).with_name('mortal.py')
SECONDS = 30
"""What is asked for is done in this time, whoever dies meanwhile."""

_UNFINISHED = (
    "SELECT id, status FROM volumes WHERE deleted_at IS NULL AND status IN ('creating', 'deleting', "
    "'extending', 'retyping', 'maintenance', 'reverting', 'attaching', 'detaching', 'in-use', "
    "'reserved')",
    "SELECT id, status FROM snapshots WHERE deleted_at IS NULL AND status IN ('creating', "
    "'deleting', 'restoring')",
    "SELECT id, phase FROM volume_migrations WHERE phase NOT IN ('finished', 'failed', 'refused', "
    "'unneeded', 'cancelled', 'paused') OR leftovers NOT IN ('[]', 'null')",
    'SELECT id, attach_status FROM volume_attachments WHERE deleted_at IS NULL',
)


class MortalService(warm.Spawned, embedded.EmbeddedService):
    """:ivar kills: how often it died"""

    def __init__(self, state_dir):
        super().__init__(state_dir, binary=sys.executable, options={
            'DEFAULT': {'sweep_interval': 1, 'report_interval': 2},
            'migration': {'checkpoint_mib': 1, 'tidy_retry_interval': 1, 'progress_seconds': 0.5}})
        self.arguments = [str(MORTAL)]
        self.state_dir.mkdir(parents=True)
        fuse = self.state_dir / 'fuse'
        fuse.write_bytes(bytes(16))
        with open(fuse, 'r+b') as file:
            self._fuse = mmap.mmap(file.fileno(), 16)
        self.environment = {'FUSE': str(fuse)}
        self.kills = 0
        self._deaths = []

    # Dying

    @property
    def events(self):
        return struct.unpack('<q', self._fuse[8:])[0]

    def arm(self, deaths):
        """Have the service die after so many events, and its successors after the next ones."""
        self._deaths = list(deaths)
        self._arm_next()

    def _arm_next(self):
        after = self._deaths.pop(0) if self._deaths else 0
        self._fuse[:8] = struct.pack('<q', self.events + after if after else 0)

    def succeed(self):
        """Start a successor for the service that died; it may die too."""
        while True:
            with contextlib.suppress(embedded.NotStarted):
                if self.process is not None:
                    code = self.process.wait(SECONDS)
                    assert code == -9, f'it ended with {code}: {self.log_tail(60)}'
                    self.kills += 1
                    self.process = None
                self._arm_next()
                self.start()
                return

    def start(self, timeout=30):
        try:
            return super().start(timeout)
        except embedded.NotStarted as fault:
            if 'ended with -9' not in str(fault):
                raise RuntimeError(str(fault)) from fault
            self.kills += 1
            raise

    def alive(self, question):
        """Ask of a service that may die at any question; its successor is asked again."""
        while True:
            try:
                return question()
            except requests.RequestException:
                self.succeed()

    def pass_events(self, count, seconds=0.5):
        """Return when so many events have come, or none come any more."""
        goal, deadline = self.events + count, time.monotonic() + seconds
        while self.events < goal and time.monotonic() < deadline and self.is_running:
            time.sleep(0.005)

    def settle(self):
        """Return when all is done that was asked for; nothing kills the service afterwards.

        :raises TimedOut: it takes too long; says what is not done
        """
        deadline = time.monotonic() + SECONDS
        while (left := self._left()) or not self._is_spared():
            if time.monotonic() > deadline:
                raise rest.TimedOut(f'not done in {SECONDS} s: {left}\n{self.log_tail(80)}')
            time.sleep(0.02)

    def _left(self):
        if not self.is_running:
            self.succeed()
        return self.unfinished()

    def _is_spared(self):
        """Nothing kills the service from now on; whether nothing did just before."""
        if self._fuse[:8] != bytes(8):
            self.arm(())
            return False
        return self.answers()

    # What is stored

    def _query(self, statement, *values, database='cinder-ext.db'):
        with contextlib.closing(sqlite3.connect(self.state_dir / database, timeout=10)) as opened:
            return opened.execute(statement, values).fetchall()

    def unfinished(self):
        return [row for statement in _UNFINISHED for row in self._query(statement)]

    def migration_ids(self, volume_id):
        return {row[0] for row in self._query(
            'SELECT id FROM volume_migrations WHERE volume_id = ?', volume_id)}

    def path_of(self, id_):
        """The file of a volume or a snapshot, by the names that the records give it."""
        for kind, statement in (
                ('volume', 'SELECT coalesce(name_id, id), host FROM volumes WHERE id = ?'),
                ('snapshot', 'SELECT coalesce(s.name_id, s.id), v.host FROM snapshots s '
                             'JOIN volumes v ON v.id = s.volume_id WHERE s.id = ?')):
            for name_id, host in self._query(statement, id_):
                return (self.state_dir / host.rpartition('#')[2] / f'{kind}s'
                        / f'{kind}-{name_id}.raw')
        raise LookupError(id_)

    def files(self):
        """Every file in the directories of all backends."""
        return {path for backend in self.backends for path in (self.state_dir / backend).rglob('*')
                if not path.is_dir()}

    def rests(self):
        """What should not be there while nothing is being done, one sentence each."""
        deadline = time.monotonic() + 5
        while True:
            flows = self._query('SELECT name FROM logbooks', database='flows.db') if (
                self.state_dir / 'flows.db').exists() else []
            if not flows:
                return
            if time.monotonic() > deadline:
                yield f'flows are stored: {flows}'
                return
            time.sleep(0.05)

    def close(self):
        self.kill()
        self._fuse.close()
        os.sync()
