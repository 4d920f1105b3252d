"""tools/quickstart.py as a newcomer runs it, kept, repeated and interrupted."""
# SPDX-License-Identifier: Apache-2.0

import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import embedded
import pytest
import rest

QUICKSTART = pathlib.Path(__file__).parents[2] / 'tools' / 'quickstart.py'
PROVEN = 'RESULT: the volume and its snapshots moved, nothing else changed.'


def _start(state_dir, *options):
    return subprocess.Popen(
        [sys.executable, QUICKSTART, '--state-dir', state_dir, '--files', '40', *options],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        env={**os.environ, 'COLUMNS': '200', 'PYTHONUNBUFFERED': '1'})


def _run(state_dir, *options):
    process = _start(state_dir, *options)
    said, _ = process.communicate(timeout=240)
    assert process.returncode == 0, said
    return said


def _services(state_dir):
    """Ids of the processes that were started on a state directory."""
    found = []
    for path in pathlib.Path('/proc').glob('[0-9]*/cmdline'):
        try:
            words = path.read_bytes().decode(errors='replace').split('\0')
        except OSError:
            continue
        if str(state_dir / 'cinder-ext.conf') in words:
            found.append(int(path.parent.name))
    return found


def _port():
    return str(embedded.Ports.any_free())


def test_it_proves_the_move_and_what_was_kept_serves_again(tmp_path):
    state_dir = tmp_path / 'state'
    said = _run(state_dir, '--keep', '--rate', '0', '--port', _port())
    assert PROVEN in said.splitlines()
    assert 'CHANGED' not in said
    pids = _services(state_dir)
    try:
        assert len(pids) == 1
        assert f'kill {pids[0]}' in said
        _interrupt_on_a_running_service(state_dir, pids)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGTERM)
    rest.wait_for(lambda: not _services(state_dir), 'the service to end', 40)
    again = _run(state_dir, '--rate', '0')
    assert PROVEN in again
    assert _name(again) != _name(said)
    assert _services(state_dir) == []
    assert (state_dir / 'cinder-ext.conf').exists()


def _name(said):
    return re.search(r'demo-[0-9a-f]{4}', said)[0]


def _interrupt_on_a_running_service(state_dir, pids):
    """The service that was kept is used; what the broken run has made is gone, nothing else."""
    process = _start(state_dir)
    said = _read_until(process, '-tuesday')
    assert 'the service of an earlier run is used' in said
    process.send_signal(signal.SIGINT)
    more, _ = process.communicate(timeout=60)
    assert process.returncode == 130, more
    assert _services(state_dir) == pids
    config = (state_dir / 'cinder-ext.conf').read_text()
    port = re.search(r'^port = (\d+)', config, re.MULTILINE)[1]
    api = rest.Client(f'http://127.0.0.1:{port}', embedded.PROJECT_ID)
    assert _name(said) not in {item['name'] for item in api.get('/volumes')['volumes']}
    assert len(api.get('/snapshots')['snapshots']) == 3


def _read_until(process, words):
    """What a run has said, up to the line with some words."""
    said = []
    for line in process.stdout:
        said.append(line)
        if words in line:
            break
    return ''.join(said)


@pytest.mark.parametrize('moment', ['first answer', 'snapshot 1 of', 'the proof'])
def test_interrupting_it_leaves_nothing(tmp_path, moment):
    state_dir = tmp_path / 'state'
    process = _start(state_dir, '--rate', '8', '--port', _port())
    assert moment in _read_until(process, moment)
    assert _services(state_dir)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert _services(state_dir) == []
    assert not state_dir.exists()


def test_a_directory_of_somebody_else_is_left_alone(tmp_path):
    (tmp_path / 'thesis.txt').write_text('mine')
    process = _start(tmp_path)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert 'is not empty' in said
    assert [path.name for path in tmp_path.iterdir()] == ['thesis.txt']
