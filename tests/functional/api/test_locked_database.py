"""Another process has the database locked: whatever is asked is done, or answered with 503.

A 503 says when to ask again, and then nothing was changed.
"""
# SPDX-License-Identifier: Apache-2.0

import concurrent.futures
import contextlib
import subprocess
import sys
import time

import api_cases
import api_stage
import pytest

from cinder_ext.api import routes

ROUTES = [each for each in api_cases.every() if each.page not in routes.UNVERSIONED]
HOLD = """\
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute('BEGIN IMMEDIATE')
print('locked', flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def locked(path):
    """Another process holds the lock of an SQLite file while the block runs."""
    with subprocess.Popen([sys.executable, '-c', HOLD, path], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == 'locked\n'
        yield holder


@pytest.fixture(scope='module')
def stage():
    found = api_stage.Stage('?timeout=0.05')
    found.start()
    yield found
    found.stop()


@pytest.fixture
def extend(stage):
    """extend() -> the answer to an os-extend of a volume by one GiB."""
    path = f"/v3/volumes/{stage.other['volume']}"

    def ask():
        size = stage.send('GET', path, user='admin').json['volume']['size']
        return stage.send('POST', f'{path}/action', {'os-extend': {'new_size': size + 1}},
                          user='admin')

    yield ask
    stage.restore()


def test_every_request_is_done_or_answered_with_503(stage):
    busy, wrong = set(), []
    with locked(f'{stage.directory}/api.db'):
        for route in ROUTES:
            response = stage.send(**route.request(stage.other), user='admin')
            if response.status_int == 503:
                busy.add(route.operation.name)
                fault = response.json['serviceUnavailable']
                if (response.headers.get('Retry-After') != '5' or fault['retryAfter'] != '5'
                        or fault['error_code'] != 'cinder_ext.database_away'):
                    wrong.append((route.name, response.text))
            elif response.status_int >= 500 and response.status_int != 501:
                wrong.append((route.name, response.text))
            if stage.read_digest() != stage.digest:
                wrong.append((route.name, 'changed'))
    assert wrong == []
    assert {'volumes.create', 'volumes.delete', 'volume_actions.extend', 'snapshots.create',
            'attachments.create'} <= busy
    assert not {'volumes.show', 'volumes.list_detail', 'snapshots.list'} & busy


def test_the_log_says_what_happened_in_one_line(stage, extend, caplog):
    with locked(f'{stage.directory}/api.db'):
        assert extend().status_int == 503
    line, = [each for each in caplog.records if each.name == 'cinder_ext.api.dispatch']
    assert line.getMessage().endswith('/action is answered with 503: the database does not answer: '
                                      'OperationalError: database is locked')
    assert line.exc_info is None
    assert extend().status_int == 202


def test_an_extend_waits_for_a_lock_that_is_let_go(stage, extend, monkeypatch):
    with (locked(f'{stage.directory}/api.db') as holder,
          concurrent.futures.ThreadPoolExecutor(1) as pool):
        assert extend().status_int == 503
        asked = pool.submit(_until, lambda: extend().status_int, 202)
        holder.stdin.close()
        assert asked.result(20) == 202


def _until(question, wanted, seconds=10):
    deadline = time.monotonic() + seconds
    while (found := question()) != wanted and time.monotonic() < deadline:
        pass
    return found
