"""A service that dies while it begins, ships or ends a replication: its successor goes on.

The places are the events of tests/support/mortal.py: any commit, any file that gets its name or
loses it.  ``--long`` takes them one after the other, the quick form some at random.
"""
# SPDX-License-Identifier: Apache-2.0

import json
import random
import sqlite3
import time

import pytest
import requests
import rest
from mortal_service import MortalService

DR = 'alpha-dr'
SECONDS = 30
QUICK = 4
PLAIN, REPLICATED = 'alpha', 'replicated'


class Mortal(MortalService):
    """Its alpha replicates to a directory beside it, with a point every second."""

    def __init__(self, state_dir):
        super().__init__(state_dir)
        self.dr = self.state_dir / DR
        self.dr.mkdir()
        self.options = {**self.options, 'alpha': {
            'replication_device': f'backend_id:{DR},path:{self.dr}'}}

    def ask(self, statement, *values):
        return next(iter(self._query(statement, *values)), None)

    def until(self, claim):
        """Wait for something, with a successor for each service that dies."""
        deadline = time.monotonic() + SECONDS
        while True:
            if not self.is_running:
                self.succeed()
            try:
                found = claim()
            except (requests.RequestException, sqlite3.OperationalError):
                found = None
            if found:
                return found
            assert time.monotonic() < deadline, f'it did not come true\n{self.log_tail(60)}'
            time.sleep(0.02)


class Story:
    """A volume that is retyped to be replicated, has points, and is retyped back."""

    def __init__(self, service):
        self.service = service
        service.start()
        service.create_types()
        service.api.create_type(REPLICATED, {
            'volume_backend_name': 'alpha', 'replication_enabled': '<is> True',
            'replication:rpo_seconds': '2'})
        self.volume_id = service.api.create_volume(1, volume_type=PLAIN)['id']
        self.disk = service.path_of(self.volume_id)
        self.number = 0

    def tell(self):
        """Begin, ship, end; whoever dies meanwhile."""
        self.becomes(REPLICATED)
        self.service.until(lambda: self.record('state') == 'enabled')
        self.number += 1
        content = b'content %6d' % self.number
        with open(self.disk, 'r+b') as stream:
            stream.write(content)
        written_at = time.time()
        self.service.until(lambda: self.newest(written_at))
        assert self.newest(written_at).read_bytes()[:len(content)] == content
        self.becomes(PLAIN)
        self.service.until(lambda: self.record('state') is None)

    def becomes(self, type_name):
        def asked():
            volume = self.service.api.volume(self.volume_id)
            if volume['volume_type'] == type_name and volume['status'] == 'available':
                return True
            if volume['status'] == 'available':
                self.retype(type_name)
            return False

        self.service.until(asked)

    def retype(self, type_name):
        try:
            self.service.api.post(f'/volumes/{self.volume_id}/action', {
                'os-retype': {'new_type': type_name, 'migration_policy': 'never'}})
        except rest.ApiError as fault:
            # One before, whose answer was lost, has come true meanwhile.
            if fault.status not in (400, 409):
                raise

    def record(self, column):
        row = self.service.ask(f'SELECT {column} FROM replications WHERE protected_id = ? '
                               'AND deleted_at IS NULL', self.volume_id)
        return None if row is None else row[0]

    def newest(self, since):
        """The content of a point at the other side that was taken since; None: there is none."""
        points = [json.loads(path.read_text())
                  for path in (self.service.dr / 'replication' / 'points').glob('*.json')]
        taken = [point for point in points if point['taken_at'] > since]
        if not taken:
            return None
        return (self.service.dr / 'replication' / 'volumes' / self.volume_id
                / f"{taken[0]['id']}.raw")

    def left(self):
        """What should not be there when nothing is replicated."""
        found = []
        for side in (self.service.state_dir / 'alpha', self.service.dr):
            for name in ('volumes', 'points'):
                room = side / 'replication' / name
                found += [str(path) for path in room.glob('*')] if room.exists() else []
        return found + [str(path) for path in (self.service.dr / 'volumes').glob('*')]


@pytest.fixture
def story(tmp_path):
    service = Mortal(tmp_path / 'state')
    try:
        yield Story(service)
    finally:
        service.close()


def _is_over(story):
    """Nothing is left of what the story tells of."""
    service = story.service
    assert story.left() == []
    assert service.ask('SELECT replication_status FROM volumes WHERE id = ?',
                       story.volume_id)[0] == 'disabled'
    assert service.ask("SELECT count(*) FROM replication_claims WHERE kind = 'volume'")[0] == 0


@pytest.mark.timeout(3600)
def test_killed_wherever_it_is_it_begins_ships_and_ends(story, is_long, record_property):
    """Again and again; in the long form at each event, until one is reached that none comes to."""
    service = story.service
    service.arm(random.sample(range(5, 45), QUICK))
    story.tell()
    service.arm(())
    _is_over(story)
    assert service.kills >= QUICK - 1
    for place in range(1, 1000 if is_long else 1):
        before = service.kills
        service.arm([place])
        story.tell()
        service.arm(())
        _is_over(story)
        if service.kills == before:
            break
    assert service.kills >= (60 if is_long else QUICK - 1)
    record_property('kills', service.kills)
