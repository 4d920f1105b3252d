"""Twenty requests at once against one volume of a running service: what wins keeps the others out."""
# SPDX-License-Identifier: Apache-2.0

import collections
import concurrent.futures
import hashlib
import os
import random
import threading
import uuid

import embedded
import pytest
import rest

MIB = 1024 ** 2
RATE = 8 * MIB
"""Bytes per second of the copies: slow beside twenty requests."""


class Call:
    """A request; ``kind`` says what it asks for."""

    def __init__(self, kind, method, path, body=None):
        self.kind = kind
        self.method = method
        self.path = path
        self.body = body


def _action(kind, volume_id, name, body=None):
    return Call(kind, 'POST', f'/volumes/{volume_id}/action', {name: body or {}})


def _retype(volume_id, policy='on-demand-include-snapshots'):
    return _action('retype', volume_id, 'os-retype', {'new_type': 'beta',
                                                      'migration_policy': policy})


def _extend(volume_id):
    return _action('extend', volume_id, 'os-extend', {'new_size': 2})


def _delete(volume_id, query=''):
    return Call('delete', 'DELETE', f'/volumes/{volume_id}{query}')


def _snapshot(volume_id, **more):
    return Call('snapshot', 'POST', '/snapshots', {'snapshot': {'volume_id': volume_id, **more}})


@pytest.fixture
def service(tmp_path):
    throttle = {'file_copy_bytes_per_second': RATE}
    running = embedded.EmbeddedService(tmp_path / 'state', options={
        'alpha': throttle, 'beta': throttle, 'DEFAULT': {'sweep_interval': 1},
        'migration': {'concurrent': 5}})
    running.start()
    try:
        running.create_types()
        yield running
    finally:
        running.stop()


@pytest.fixture
def at_once(service):
    """at_once(calls) -> [(call, answer)]: all together, each in a thread with its connection."""
    def send(calls):
        barrier = threading.Barrier(len(calls))

        def run(call):
            client = rest.Client(service.api.root, embedded.PROJECT_ID)
            client.get('/types')
            barrier.wait()
            return call, client.request(call.method, call.path, call.body)

        with concurrent.futures.ThreadPoolExecutor(len(calls)) as threads:
            return list(threads.map(run, calls))
    return send


def _path(service, backend, kind, identity):
    return service.state_dir / backend / f'{kind}s' / f'{kind}-{identity}.raw'


def _fill(path, mib, seed):
    with open(path, 'r+b') as stream:
        stream.write(random.Random(seed).randbytes(mib * MIB))


def _digest(path):
    """Of the blocks that are not zero."""
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


def _message(answer):
    """The sentence of a refusal."""
    (fault,) = answer.json().values()
    return fault['message']


def _winners(answers):
    """How many of each kind were accepted; every other answer is a 4xx with a reason."""
    won = collections.Counter()
    for call, answer in answers:
        if answer.status_code < 300:
            won[call.kind] += 1
        else:
            assert 400 <= answer.status_code < 500, (call.kind, answer.text)
            assert _message(answer), (call.kind, answer.text)
    return won


def _files(service, backend):
    return sorted(path.name for path in (service.state_dir / backend).rglob('*') if path.is_file())


def _chain(service):
    """A volume with data and two snapshots: (id, snapshot ids, digests by id)."""
    volume_id = service.api.create_volume(1, volume_type='alpha')['id']
    disk = _path(service, 'alpha', 'volume', volume_id)
    taken = []
    for seed in (1, 2):
        _fill(disk, 8, seed)
        taken.append(service.api.create_snapshot(volume_id)['id'])
    _fill(disk, 24, 3)
    found = {volume_id: _digest(disk)}
    for snapshot_id in taken:
        found[snapshot_id] = _digest(_path(service, 'alpha', 'snapshot', snapshot_id))
    return volume_id, taken, found


def _content(service, volume_id):
    """Digest of a volume as its consumer reads it."""
    attachment_id, device = service.api.attach(volume_id)
    try:
        return _digest(device)
    finally:
        service.api.detach(attachment_id, volume_id)


def _attachment(volume_id, connector=None):
    return Call('attach', 'POST', '/attachments', {'attachment': {
        'volume_uuid': volume_id, 'instance_uuid': str(uuid.uuid4()), 'connector': connector}})


def _everything(volume_id, snapshot_ids):
    """Twenty requests that a migrating volume must not take."""
    first, second = snapshot_ids
    remake = {'size': 1, 'snapshot_id': first}
    return [
        _delete(volume_id), _delete(volume_id, '?cascade=true'), _delete(volume_id, '?force=true'),
        _action('delete', volume_id, 'os-force_delete'),
        _extend(volume_id),
        _snapshot(volume_id), _snapshot(volume_id, force=True),
        Call('unsnap', 'DELETE', f'/snapshots/{first}'),
        Call('unsnap', 'POST', f'/snapshots/{second}/action', {'os-force_delete': {}}),
        Call('reset', 'POST', f'/snapshots/{second}/action', {'os-reset_status': {
            'status': 'deleting'}}),
        _retype(volume_id), _retype(volume_id, 'never'),
        _action('migrate', volume_id, 'os-migrate_volume', {
            'host': 'host@beta#beta', 'include_snapshots': True}),
        _action('migrate', volume_id, 'os-migrate_volume', {
            'host': 'host@beta', 'include_snapshots': True, 'lock_volume': True}),
        Call('create', 'POST', '/volumes', {'volume': remake}),
        Call('create', 'POST', '/volumes', {'volume': {'size': 1, 'source_volid': volume_id}}),
        _attachment(volume_id), _attachment(volume_id, rest.CONNECTOR),
        _action('reset', volume_id, 'os-reset_status', {'status': 'available'}),
        _action('reset', volume_id, 'os-reset_status', {
            'status': 'available', 'migration_status': 'none', 'attach_status': 'detached'}),
    ]


def test_a_running_retype_refuses_everything_by_its_id_and_ends_whole(service, at_once):
    volume_id, snapshot_ids, before = _chain(service)
    service.api.retype(volume_id, 'beta')
    record = service.api.latest_migration(volume_id)
    rounds = 0
    for phases in (('scheduling', 'preflight', 'copying'), ('copying',)):
        service.api.wait_migration(record['id'], phases)
        answers = at_once(_everything(volume_id, snapshot_ids))
        assert _winners(answers) == {}
        for call, answer in answers:
            assert record['id'] in _message(answer), (call.kind, answer.text)
        rounds += service.api.migration(record['id'])['phase'] == 'copying'
    assert rounds, 'the retype was over before the requests were'
    ended = service.api.wait_migration(record['id'])
    assert (ended['phase'], ended['leftovers']) == ('finished', [])
    shown = service.api.volume(volume_id)
    assert (shown['status'], shown['migration_status'], shown['volume_type']) == (
        'available', 'success', 'beta')
    assert _files(service, 'alpha') == []
    assert len(_files(service, 'beta')) == 3
    assert _content(service, volume_id) == before[volume_id]
    for snapshot_id in snapshot_ids:
        copy = service.api.create_volume(1, snapshot_id=snapshot_id)['id']
        assert _content(service, copy) == before[snapshot_id]


def _settle(service, volume_ids):
    """Wait until nothing is on its way any more."""
    def is_settled():
        shown = [item for item in service.api.get('/volumes/detail')['volumes']
                 if item['id'] in volume_ids]
        records = service.api.get('/volume-migrations')['volume_migrations']
        snapshots = service.api.get('/snapshots/detail')['snapshots']
        return (all(item['status'] == 'available' for item in shown)
                and all(item['phase'] in rest.ENDED_PHASES for item in records)
                and all(item['status'] == 'available' for item in snapshots))
    rest.wait_for(is_settled, 'everything to settle', 120)


def _check_end(service, volume_id, won):
    """What stands at the end is what the winners asked for, in some order, and nothing else."""
    found = service.api.request('GET', f'/volumes/{volume_id}')
    if won['delete']:
        assert found.status_code == 404
        assert service.api.latest_migration(volume_id) is None
        return
    volume = found.json()['volume']
    backend = 'beta' if won['retype'] else 'alpha'
    assert (volume['size'], volume['volume_type'], volume['os-vol-host-attr:host']) == (
        2 if won['extend'] else 1, backend, f'host@{backend}#{backend}')
    record = service.api.latest_migration(volume_id)
    assert (record is not None and record['phase'] == 'finished') == bool(won['retype'])
    assert _content(service, volume_id)[1] == volume['size'] * 1024 ** 3


def test_of_twenty_retypes_deletes_and_extends_one_goes_on_for_each_of_five_volumes(
        service, at_once):
    volume_ids = [service.api.create_volume(1, volume_type='alpha')['id'] for _ in range(5)]
    order, won = random.Random(7), {}
    for number, volume_id in enumerate(volume_ids):
        _fill(_path(service, 'alpha', 'volume', volume_id), 16, number)
        calls = [_retype(volume_id), _delete(volume_id), _extend(volume_id)] * 6 + [
            _retype(volume_id, 'on-demand'), _delete(volume_id, '?cascade=true')]
        order.shuffle(calls)
        won[volume_id] = _winners(at_once(calls))
        # An extend of a sparse file takes milliseconds: another may follow it, but never a
        # second extend to that size, and never two of those that take long or are for good.
        assert won[volume_id]['extend'] <= 1
        assert won[volume_id]['retype'] + won[volume_id]['delete'] <= 1
        assert won[volume_id].total() >= 1
    _settle(service, volume_ids)
    for volume_id in volume_ids:
        _check_end(service, volume_id, won[volume_id])
    alive = [volume_id for volume_id in volume_ids if not won[volume_id]['delete']]
    assert len(_files(service, 'alpha') + _files(service, 'beta')) == len(alive)


def test_what_wins_among_snapshots_retypes_deletes_and_extends_is_a_history(service, at_once):
    order = random.Random(3)
    for number in range(4):
        volume_id = service.api.create_volume(1, volume_type='alpha')['id']
        _fill(_path(service, 'alpha', 'volume', volume_id), 16, number)
        calls = [_retype(volume_id), _delete(volume_id), _extend(volume_id),
                 _snapshot(volume_id)] * 5
        order.shuffle(calls)
        answers = at_once(calls)
        won = _winners(answers)
        taken = {answer.json()['snapshot']['id'] for call, answer in answers
                 if call.kind == 'snapshot' and answer.status_code == 202}
        assert won['extend'] <= 1
        assert won['retype'] + won['delete'] <= 1
        assert not (won['delete'] and taken), 'deleted with a snapshot on it'
        assert won.total() >= 1
        _settle(service, [volume_id])
        _check_end(service, volume_id, won)
        _check_snapshots(service, volume_id, taken, won)


def _check_snapshots(service, volume_id, taken, won):
    """Exactly those that were accepted exist, and a retype took along every one of them."""
    shown = service.api.get(f'/snapshots/detail?volume_id={volume_id}')['snapshots']
    assert {item['id'] for item in shown} == taken
    if won['retype']:
        record = service.api.latest_migration(volume_id)
        assert {item['snapshot_id'] for item in record['links']} == {*taken, None}
    for item in shown[:2]:
        copy = service.api.create_volume(item['size'], snapshot_id=item['id'])
        assert _content(service, copy['id'])[1] == item['size'] * 1024 ** 3
