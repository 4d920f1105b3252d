"""HUP and TERM reach a service that is at work: no request is dropped."""
# SPDX-License-Identifier: Apache-2.0

import concurrent.futures
import os
import random
import signal
import sqlite3
import threading
import time

import embedded
import pytest
import rest

MIB = 1024 ** 2


def _options(rate, verify):
    return {'alpha': {'file_copy_bytes_per_second': rate}, 'migration': {'verify': verify}}


@pytest.fixture
def service(tmp_path):
    running = embedded.EmbeddedService(tmp_path / 'state', options=_options(MIB, 'full'))
    running.start()
    try:
        running.create_types()
        yield running
    finally:
        running.stop()


def _noisy_volume(service, mib):
    volume_id = service.api.create_volume(1, volume_type='alpha')['id']
    path = service.state_dir / 'alpha' / 'volumes' / f'volume-{volume_id}.raw'
    with open(path, 'r+b') as stream:
        stream.write(random.Random(5).randbytes(mib * MIB))
    return volume_id


def _keep_asking(service, is_over):
    """Requests one after the other, each on a new connection; their codes."""
    codes = []
    while not is_over.is_set():
        client = rest.Client(service.api.root, embedded.PROJECT_ID)
        codes.append(client.request('GET', '/volumes/detail').status_code)
    return codes


def test_hangup_takes_over_options_of_what_runs_and_drops_no_request(service):
    first, second = _noisy_volume(service, 64), _noisy_volume(service, 1)
    service.api.retype(first, 'beta')
    record = service.api.latest_migration(first)
    service.api.wait_migration(record['id'], ('copying',))
    is_over = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        asking = [threads.submit(_keep_asking, service, is_over) for _ in range(4)]
        try:
            service.options = _options(0, 'off')
            for _ in range(3):
                service.write_files()
                os.kill(service.pid, signal.SIGHUP)
                time.sleep(0.3)
            # At its first rate it would copy for a minute.
            ended = service.api.wait_migration(record['id'], timeout=20)
        finally:
            is_over.set()
    assert ended['phase'] == 'finished'
    codes = [code for each in asking for code in each.result()]
    assert len(codes) > 20
    assert set(codes) == {200}
    service.api.retype(second, 'beta')
    record = service.api.latest_migration(second)
    ended = service.api.wait_migration(record['id'])
    assert (ended['phase'], ended['verify']) == ('finished', 'off')
    assert service.is_running


def test_broken_configuration_at_a_hangup_leaves_what_was(service):
    service.config_file.write_text('[alpha\n')
    os.kill(service.pid, signal.SIGHUP)
    rest.wait_for(lambda: 'Reloading failed' in service.log_tail(200), 'the log to say so', 10)
    assert service.api.create_volume(1, volume_type='alpha')['status'] == 'available'
    service.write_files()


def test_request_that_waits_for_the_database_is_answered_although_term_came(service):
    api = rest.Client(service.api.root, embedded.PROJECT_ID)
    database = sqlite3.connect(service.state_dir / 'cinder-ext.db', isolation_level=None)
    try:
        database.execute('BEGIN IMMEDIATE')
        with concurrent.futures.ThreadPoolExecutor(1) as threads:
            waiting = threads.submit(api.request, 'POST', '/volumes', {
                'volume': {'size': 1, 'name': 'last', 'volume_type': 'alpha'}})
            time.sleep(0.5)
            os.kill(service.pid, signal.SIGTERM)
            time.sleep(1)
            assert not waiting.done()
            database.execute('ROLLBACK')
            answer = waiting.result(20)
    finally:
        database.close()
    assert answer.status_code == 202
    assert service.process.wait(30) == 0
    service.start()
    volume = service.api.wait_volume(answer.json()['volume']['id'])
    assert volume['name'] == 'last'
