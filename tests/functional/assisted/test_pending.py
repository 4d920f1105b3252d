"""Snapshots that the compute service never reports about: nobody waits for them in a thread."""
# SPDX-License-Identifier: Apache-2.0

import pathlib
import time

import assisted_compute
import rest

COUNT = 200
SERVERS = 5
POOLS_GROW = 10
"""Threads that pools may get with the bursts of requests; a thread for each snapshot were 100."""


def _threads(pid):
    """How many threads a process has."""
    status = pathlib.Path(f'/proc/{pid}/status').read_text()
    return int(status.partition('\nThreads:')[2].split()[0])


def _most_threads(pid, seconds=1.2):
    deadline, most = time.monotonic() + seconds, 0
    while time.monotonic() < deadline:
        most = max(most, _threads(pid))
        time.sleep(0.02)
    return most


def _pending(stage, volume_ids, count):
    """Ask for so many snapshots, and return when the compute service has all that it gets."""
    for number in range(count):
        stage.api.create_snapshot(volume_ids[number % len(volume_ids)], wait=False, force=True)
    rest.wait_for(lambda: len(stage.compute.asked) == len(volume_ids), 'a request for each volume')


def test_threads_do_not_wait(stage, record_property):
    stage.compute.manner = assisted_compute.Manner(silent=True)
    volume_ids = [stage.api.create_volume(1, volume_type='alpha')['id'] for _ in range(SERVERS)]
    for each in volume_ids:
        stage.compute.attach(stage.compute.boot(), each)
    _pending(stage, volume_ids, COUNT // 2)
    half = _most_threads(stage.service.pid)
    _pending(stage, volume_ids, COUNT // 2)
    whole = _most_threads(stage.service.pid)
    record_property('threads', f'{half} with {COUNT // 2} pending, {whole} with {COUNT}')
    print(f'{half} threads with {COUNT // 2} pending, {whole} with {COUNT}')
    assert whole < half + POOLS_GROW
    stage.service.kill()
    stage.service.start()
    assert _most_threads(stage.service.pid) < half + POOLS_GROW
    statuses = [each['status'] for each in stage.api.get('/snapshots/detail')['snapshots']]
    assert statuses == ['creating'] * COUNT
    assert len(stage.compute.asked) == SERVERS
    stage.no_layer_was_taken()
