"""An administrator steers migrations over HTTP: in time under a limit, and limits follow the file.

The service sweeps once an hour: what happens here, the requests bring about.
"""
# SPDX-License-Identifier: Apache-2.0

import os
import random
import signal
import time

import embedded
import pytest
import rest

MIB = 1024 ** 2
SECONDS = 2
"""Within these a pause and a cancel take effect, under any limit."""


@pytest.fixture
def service(tmp_path):
    made = embedded.EmbeddedService(tmp_path / 'state', options={
        'DEFAULT': {'sweep_interval': 3600}, 'migration': {'bandwidth': MIB, 'concurrent': 1}})
    with made:
        made.create_types()
        yield made


@pytest.fixture
def make(service):
    noise = random.Random(5)

    def made(mebibytes=12):
        volume_id = service.api.create_volume(1, volume_type='alpha')['id']
        with open(service.state_dir / 'alpha' / 'volumes' / f'volume-{volume_id}.raw', 'r+b') as out:
            out.write(noise.randbytes(mebibytes * MIB))
        service.api.create_snapshot(volume_id)
        return volume_id
    return made


def start(service, volume_id, **options):
    return service.api.post('/volume-migrations', {'volume_migration': {
        'volume_id': volume_id, 'destination_type': 'beta', 'include_snapshots': True,
        **options}})['volume_migration']['id']


def act(service, migration_id, action):
    """Ask; returns when that was."""
    began = time.monotonic()
    service.api.post(f'/volume-migrations/{migration_id}/action', {action: {}})
    return began


def until(service, migration_id, *phases, seconds=60):
    record = service.api.wait_migration(migration_id, (*phases, *rest.ENDED_PHASES), timeout=seconds)
    assert record['phase'] in phases, record['error']
    return record


def files(service, backend):
    return sorted(path.name for path in (service.state_dir / backend).rglob('*') if path.is_file())


def written(service):
    return sum(path.stat().st_blocks * 512 for path in (service.state_dir / 'beta').rglob('*')
               if path.is_file())


def test_cancel_pause_and_resume(service, make):
    volume_id = make()
    kept = ('status', 'migration_status', 'volume_type', 'os-vol-host-attr:host',
            'os-vol-mig-status-attr:name_id', 'metadata')
    before = {key: service.api.volume(volume_id)[key] for key in kept}
    alpha = files(service, 'alpha')
    migration_id = start(service, volume_id)
    rest.wait_for(lambda: written(service) >= 4 * MIB, 'the first unit')

    began = act(service, migration_id, 'cancel')
    until(service, migration_id, 'cancelled')
    assert time.monotonic() - began < SECONDS
    assert {key: service.api.volume(volume_id)[key] for key in kept} == before
    assert (files(service, 'alpha'), files(service, 'beta')) == (alpha, [])

    act(service, migration_id, 'retry')
    again = service.api.latest_migration(volume_id)['id']
    assert again != migration_id
    rest.wait_for(lambda: written(service) >= 4 * MIB, 'the first unit')
    time.sleep(0.5)
    act(service, again, 'pause')
    time.sleep(SECONDS)
    standing = written(service)
    # Longer than the sleep between two units.
    time.sleep(4.5)
    assert written(service) == standing
    other = start(service, make(1), bandwidth=10 ** 12)
    until(service, other, 'finished')
    assert service.api.migration(again)['phase'] == 'paused'
    service.api.call('PUT', f'/volume-migrations/{again}',
                     {'volume_migration': {'bandwidth': 10 ** 12}})
    act(service, again, 'resume')
    record = until(service, again, 'finished')
    assert record['seconds_paused'] >= 3 * SECONDS
    assert record['bytes']['read'] == record['bytes']['total']


def test_limits_are_read_again_on_a_signal(service, make):
    first, second = [start(service, make()) for _ in range(2)]
    until(service, first, 'copying')
    time.sleep(1)
    assert service.api.migration(second)['phase'] == 'preflight'
    service.options['migration'].update(bandwidth=0, concurrent=2)
    service.write_files()

    os.kill(service.pid, signal.SIGHUP)

    began = time.monotonic()
    for migration_id in (first, second):
        until(service, migration_id, 'finished', seconds=60)
    # At 1 MiB/s the two links of 12 MiB and their reading back take a minute.
    assert time.monotonic() - began < 30
