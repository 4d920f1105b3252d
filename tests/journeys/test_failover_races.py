"""A failover and something else at once, of one volume of a running service: one wins.

The other one is refused with a 400 or 409, never with a 500, and what was won is whole.
"""
# SPDX-License-Identifier: Apache-2.0

import concurrent.futures
import os
import threading
import uuid

import embedded
import pytest
import rest

LONG = bool(os.environ.get('CINDER_EXT_LONG'))
ROUNDS = 10 if LONG else 1
_STILL = ('available', 'reserved', 'attaching', 'in-use', 'error', 'awaiting-transfer')


@pytest.fixture(scope='module')
def service(tmp_path_factory):
    state = tmp_path_factory.mktemp('embedded')
    (state / 'dr').mkdir()
    made = embedded.EmbeddedService(state / 'state', options={
        'alpha': {'replication_device': f'backend_id:dr,path:{state}/dr'},
        'DEFAULT': {'sweep_interval': 1}})
    with made:
        made.create_types()
        yield made


def _action(name, body=None):
    return lambda volume_id: ('POST', f'/volumes/{volume_id}/action', {name: body or {}})


RIVALS = {
    'retype': _action('os-retype', {'new_type': 'beta', 'migration_policy': 'on-demand'}),
    'migrate': _action('os-migrate_volume', {'host': 'host@beta#beta'}),
    'extend': _action('os-extend', {'new_size': 2}),
    'delete': lambda volume_id: ('DELETE', f'/volumes/{volume_id}', None),
    'snapshot': lambda volume_id: ('POST', '/snapshots', {'snapshot': {'volume_id': volume_id}}),
    'attach': lambda volume_id: ('POST', '/attachments', {'attachment': {
        'volume_uuid': volume_id, 'instance_uuid': str(uuid.uuid4()),
        'connector': {'host': 'server', 'initiator': 'x', 'ip': '127.0.0.1'}}}),
    'transfer': lambda volume_id: ('POST', '/volume-transfers', {
        'transfer': {'volume_id': volume_id, 'name': 'x'}}),
    'failover': lambda volume_id: ('POST', '/replications/failover', {
        'failover': {'scope': 'volume', 'id': volume_id}}),
    'disable': None,
}
AT_LEAST = ('retype', 'migrate', 'delete', 'snapshot', 'attach', 'failover')


def _replicated(service, name):
    """(id of a volume with content, id of its replication)."""
    api = service.api
    volume_id = api.create_volume(1, name=name, volume_type='alpha')['id']
    attachment_id, path = api.attach(volume_id)
    with open(path, 'r+b') as stream:
        stream.write(volume_id.encode())
    api.detach(attachment_id, volume_id)
    made = api.post('/replications', {'replication': {
        'scope': 'volume', 'id': volume_id, 'rpo_seconds': 3600}})['replication']['id']
    rest.wait_for(lambda: api.get(f'/replications/{made}')['replication']['state'] == 'enabled',
                  'the first point')
    return volume_id, made


def _at_once(service, *requests):
    """What becomes of requests that begin together: a list of (status, document)."""
    barrier = threading.Barrier(len(requests))

    def send(request):
        barrier.wait()
        answer = service.api.request(*request)
        return answer.status_code, answer.json() if answer.content else {}

    with concurrent.futures.ThreadPoolExecutor(len(requests)) as pool:
        return list(pool.map(send, requests))


def _ended(service, answer):
    """The operation of an answer when it has ended; None when it was refused."""
    if answer[0] != 202:
        return None
    path = f"/replication-operations/{answer[1]['operation']['id']}"
    return rest.wait_for(lambda: next((found for found in [service.api.get(path)['operation']]
                                       if found['state'] not in ('queued', 'running')), None),
                         'the end of an operation')


def _settled(service, volume_id):
    """The volume when nothing is being done with it; None when it is gone."""
    def look():
        answer = service.api.request('GET', f'/volumes/{volume_id}')
        if answer.status_code == 404:
            return 'gone'
        volume = answer.json()['volume']
        is_still = (volume['status'] in _STILL
                    and volume['migration_status'] in (None, 'success', 'error')
                    and volume['replication_status'] != 'failing-over')
        return volume if is_still else None

    found = rest.wait_for(look, f'volume {volume_id} to be left alone')
    return None if found == 'gone' else found


def _content(service, volume_id):
    attachment_id, path = service.api.attach(volume_id)
    with open(path, 'rb') as stream:
        found = stream.read(len(volume_id)).decode()
    service.api.detach(attachment_id, volume_id)
    return path, found


@pytest.mark.parametrize('rival', RIVALS if LONG else AT_LEAST)
def test_of_a_failover_and_another_request_one_wins(service, rival):
    for number in range(ROUNDS):
        volume_id, replication_id = _replicated(service, f'{rival} {number}')
        failover = ('POST', f'/replications/{replication_id}/action', {'failover': {}})
        asked = (RIVALS[rival](volume_id) if rival != 'disable'
                 else ('DELETE', f'/replications/{replication_id}', None))
        ours, other = _at_once(service, failover, asked)
        for status, document in (ours, other):
            assert status < 300 or status in (400, 404, 409), (status, document)
        operation = _ended(service, ours)
        if rival == 'failover':
            assert sorted([ours[0], other[0]]) == [202, 409]
            operation = operation or _ended(service, other)
        volume = _settled(service, volume_id)
        if operation is not None and operation['state'] == 'succeeded':
            _is_moved(service, volume, rival, other)
        elif operation is not None:
            assert [each['result'] for each in operation['members']] == ['failed']
            assert other[0] < 300, 'both were refused'
        _is_whole(service, volume)


def _is_moved(service, volume, rival, other):
    """The failover has won; what came after it was done at the target."""
    if volume is None:
        assert rival == 'delete'
        return
    if rival != 'disable':
        assert volume['replication_status'] == 'failed-over'
    if rival in ('retype', 'migrate') and other[0] < 300:
        assert volume['os-vol-host-attr:host'] == 'host@alpha#alpha'


def _is_whole(service, volume):
    if volume is not None and volume['status'] == 'available':
        _path, found = _content(service, volume['id'])
        assert found == volume['id']
