"""Two complete clouds and one pair of arrays: a site burns, the other takes over, and hands back."""
# SPDX-License-Identifier: Apache-2.0

import datetime
import os
from concurrent import futures

import embedded
import pytest
import servers
import sites


def _seconds(text):
    """An ISO time in UTC as seconds since the epoch."""
    moment = datetime.datetime.fromisoformat(text.replace('Z', ''))
    return moment.replace(tzinfo=datetime.UTC).timestamp()


def _transport(number):
    """A virtual host for each of two clouds of one test process."""
    url = servers.transport_urls()[0]
    own = int(servers.WORKER.removeprefix('gw') or 0)
    return f"{url.rpartition('/')[0]}/worker-{(own + 4 * number) % 8}"


def _sites(form, directory):
    if form == 'embedded':
        return sites.Embedded(directory, 'a', 'b'), sites.Embedded(directory, 'b', 'a')
    database = servers.database_urls()[0]
    return (sites.OnServers(directory, 'a', 'b', database, _transport(0)),
            sites.OnServers(directory, 'b', 'a', database, _transport(1)))


def _forms():
    yield 'embedded'
    if os.environ.get('CINDER_EXT_LONG') and servers.transport_urls() and servers.database_urls():
        yield 'daemons'


def _begin(site):
    site.start()
    site.settle()


@pytest.fixture
def only_long(is_long):
    """Asked for before the clouds: they are not started for nothing."""
    if not is_long:
        pytest.skip('one of the long variants')


@pytest.fixture(params=_forms())
def clouds(request, tmp_path):
    """Clouds a and b, which run, with types of the same names."""
    a, b = _sites(request.param, tmp_path)
    for site in (a, b):
        # Both arrays are there before either cloud looks at its target.
        site.write_files() if request.param == 'embedded' else site.prepare()
    try:
        with futures.ThreadPoolExecutor(2) as pool:
            list(pool.map(_begin, (a, b)))
        yield a, b
    finally:
        for site in (a, b):
            site.stop()


def _group(site):
    """(group id, ids of its two volumes)."""
    types = site.api.get('/types')['volume_types']
    kind = site.api.get('/group_types')['group_types']
    gold = next(each['id'] for each in types if each['name'] == 'gold')
    made = site.ask('/groups', {'group': {
        'name': 'both', 'group_type': next(each['id'] for each in kind if each['name'] == 'together'),
        'volume_types': [gold]}}, 202)['group']
    site.until(lambda: site.api.get(f"/groups/{made['id']}")['group']['status'] == 'available',
               'the group')
    volumes = [site.api.create_volume(sites.SIZE_GIB, name=name, volume_type='gold',
                                      group_id=made['id'], metadata={'role': name})['id']
               for name in ('data', 'journal')]
    return made['id'], volumes


def _burn(site):
    """SIGKILL, and the array cut off."""
    site.kill()
    site.control(cut=True)


def test_a_site_burns_and_comes_back_without_its_database(clouds, is_long):
    a, b = clouds
    group_id, volumes, _attached = _burnt_and_taken_over(a, b)
    a.lose_database()
    kept = {volume_id: sites.digest(b.path(volume_id)) for volume_id in volumes}
    _return(a, b, volumes)
    assert {volume_id: sites.digest(b.path(volume_id)) for volume_id in volumes} == kept
    _hand_back(a, b, group_id, volumes)
    if is_long:
        _move_again(a, b, group_id, volumes)


def test_a_site_burns_and_comes_back_with_its_database(only_long, clouds):
    a, b = clouds
    group_id, volumes, attached = _burnt_and_taken_over(a, b)
    kept = {volume_id: sites.digest(b.path(volume_id)) for volume_id in volumes}
    _return_as_it_was(a, group_id, volumes, attached)
    assert {volume_id: sites.digest(b.path(volume_id)) for volume_id in volumes} == kept
    _hand_back(a, b, group_id, volumes)


def test_a_volume_whose_type_is_replicated_moves_there_and_back(only_long, clouds):
    a, b = clouds
    for site in (a, b):
        site.api.create_type('copied', {
            'volume_backend_name': site.backend, 'replication_enabled': '<is> True',
            'replication:rpo_seconds': '2'})
    volume_id = a.api.create_volume(sites.SIZE_GIB, name='alone', volume_type='copied')['id']
    for epoch, (source, destination) in enumerate(((a, b), (b, a)), 1):
        replication = source.until(
            lambda site=source: site.api.get(f'/replications?protected_id={volume_id}')[
                'replications'], 'the replication')[0]['id']
        source.becomes(replication, 'enabled')
        _handed_over(source, destination, replication, None, [volume_id], epoch)


def test_a_database_alone_is_lost(only_long, clouds):
    """What is rebuilt is replicated on from where it stood, and can be used."""
    a, b = clouds
    group_id, volumes = _group(a)
    snapshot = a.api.create_snapshot(volumes[0], name='before')['id']
    replication = a.protect(group_id, a.target)
    a.becomes(replication, 'enabled')
    a.next_point(replication)
    contents = {volume_id: sites.digest(a.path(volume_id)) for volume_id in volumes}
    a.kill()
    a.lose_database()
    a.start()
    a.settle()
    found = a.manage('replication', 'rebuild', 'alpha')
    assert (found.returncode, found.stdout.count(' rebuilt ')) == (0, 2), found.stdout + found.stderr
    again = a.api.get(f'/replications?protected_id={group_id}')['replications'][0]['id']
    assert again != replication
    a.becomes(again, 'enabled')
    assert a.api.snapshot(snapshot)['status'] == 'available'
    a.api.delete_snapshot(snapshot)
    assert {volume_id: sites.digest(a.path(volume_id)) for volume_id in volumes} == contents
    _handed_over(a, b, again, group_id, volumes, 1)


def _burnt_and_taken_over(a, b):
    group_id, volumes = _group(a)
    attached = [a.api.attach(volume_id) for volume_id in volumes]
    writer = sites.Writer([path for _, path in attached])
    replication = a.protect(group_id, a.target)
    a.becomes(replication, 'enabled')
    for _ in range(2):
        a.next_point(replication)
    assert 'attachments use it' in a.export(volumes[0], expected=409)['conflictingRequest']['message']
    assert 'is secondary' in b.take(
        expected=409, handle=volumes[0])['conflictingRequest']['message']
    assert 'which answers' in b.take(
        expected=409, handle=volumes[0], promote=True)['conflictingRequest']['message']
    _refused(a, b, replication, volumes)
    _burn(a)
    writer.stop()
    _take_over(b, group_id, volumes, writer)
    return group_id, volumes, attached


def _refused(a, b, replication, volumes):
    """What cloud b does not take, while nothing is shipped: nothing is changed by it."""
    other = b.api.create_volume(sites.SIZE_GIB, name='of b', volume_type='gold')['id']
    a.ask(f'/replications/{replication}/action', {'pause': {}}, 202)
    document = b.until(lambda: b.newest_manifest(volumes[0], a.replication(replication)),
                       'the manifest of the newest point')
    before = b.state()
    for status, reason, body in (
            (400, 'its signature is not right', {**document, 'epoch': 9}),
            (400, 'its signature is not right', {**document, 'signature': None}),
            (400, 'it is for cloud c', sites.signed({**document, 'to_cloud': 'c'})),
            (400, 'no key of cloud x', sites.signed({**document, 'from_cloud': 'x'})),
            (400, 'its version is 2', {**document, 'version': 2}),
            (400, 'no volume type none here', sites.signed(document, type__name='none')),
            (409, 'it is encrypted', sites.signed(document, volume__encrypted=True)),
            (409, 'has that id', sites.signed(document, volume__id=other)),
            (409, 'epoch 7, and the array is at epoch 0', sites.signed({**document, 'epoch': 7})),
            (409, 'older than what lies there', sites.signed(document, point__id=other))):
        said = b.take(expected=status, manifest=body, promote=True)
        assert reason in next(iter(said.values()))['message'], said
    assert 'no replica' in b.take(expected=404, handle=other)['itemNotFound']['message']
    b.take(expected=400, handle='../../a/alpha/volumes')
    answer = b.api.request('POST', '/volumes/import-replica', {'import-replica': {
        'backend': b.host, 'manifest': document}}, token=f'member:{embedded.PROJECT_ID}')
    assert answer.status_code == 403
    assert b.state() == before
    a.ask(f'/replications/{replication}/action', {'resume': {}}, 202)
    a.next_point(replication)
    b.api.delete_volume(other)


def _take_over(b, group_id, volumes, writer):
    """Cloud b has what all members had at one moment, and no moment later than its last point."""
    taken = b.take(handle=volumes[0], promote=True)
    assert sorted(each['id'] for each in taken['volumes']) == sorted(volumes)
    assert taken['group_id'] == group_id
    assert {side for each in taken['volumes'] for side in each['other_sides'].values()} == {'unknown'}
    data, journal = (sites.number(b.path(volume_id)) for volume_id in volumes)
    assert data - journal in (0, 1)
    at = _seconds(taken['point']['taken_at'])
    assert journal >= writer.acknowledged_before(at) > 0
    assert journal <= writer.acknowledged[-1][1]
    for name, volume_id in zip(('data', 'journal'), volumes, strict=True):
        here = b.api.volume(volume_id)
        assert (here['status'], here['name'], here['metadata'], here['group_id']) == (
            'available', name, {'role': name}, group_id)
        attachment, path = b.api.attach(volume_id)
        with open(path, 'rb+') as stream:
            stream.seek(700 << 20)
            stream.write(f'written in b to {name}'.encode())
        b.api.detach(attachment, volume_id)
    again = b.take(handle=volumes[1], promote=True)
    assert {each['result'] for each in again['volumes']} == {'present'}


def _return(a, b, volumes):
    """Cloud a comes back with its old array and no records: they are tombstones, and no volume is."""
    a.control()
    a.start()
    a.settle()
    found = a.manage('replication', 'rebuild', 'alpha')
    assert found.returncode == 0, found.stdout + found.stderr
    lines = [line for line in found.stdout.splitlines() if 'handed over' in line]
    assert sorted(line.split()[0] for line in lines) == sorted(volumes)
    assert all('promoted by cloud b on alpha-dr at epoch 1' in line for line in lines)
    assert a.api.get('/volumes')['volumes'] == []
    for volume_id in volumes:
        assert 'no manifest lies beside' in a.take(
            expected=409, handle=volume_id)['conflictingRequest']['message']
    assert 'it is in split brain' in b.export(
        volumes[0], expected=409, clear_existing=True)['conflictingRequest']['message']


def _return_as_it_was(a, group_id, volumes, attached):
    """Cloud a comes back with its records: they are in split brain by name, and are let go of."""
    a.control()
    a.start()
    found = a.api.get(f'/replications?protected_id={group_id}')['replications']
    broken = a.becomes(found[0]['id'], 'error')
    assert (broken['split_brain']['local_epoch'], broken['split_brain']['remote_epoch']) == (0, 1)
    for (attachment, _path), volume_id in zip(attached, volumes, strict=True):
        assert a.api.volume(volume_id)['replication_status'] == 'error'
        assert 'attachments use it' in a.export(
            volume_id, expected=409, clear_existing=True)['conflictingRequest']['message']
        a.api.detach(attachment, volume_id)
    for volume_id in volumes:
        assert a.export(volume_id, clear_existing=True)['released']
    assert a.api.get('/volumes')['volumes'] == []


def _hand_back(a, b, group_id, volumes):
    """What cloud a had is given up by name; the volumes come back by a planned failover."""
    replication = b.protect(group_id, b.target)
    broken = b.becomes(replication, 'error')
    assert (broken['split_brain']['local_epoch'], broken['split_brain']['remote_epoch']) == (1, 0)
    b.do(replication, 'resync', discard=b.target)
    b.becomes(replication, 'enabled')
    _handed_over(b, a, replication, group_id, volumes, 2)


def _handed_over(source, destination, replication, group_id, volumes, epoch):
    """A planned failover to the other cloud: every byte is there, and nothing is left here."""
    contents = {}
    for volume_id in volumes:
        attachment, path = source.api.attach(volume_id)
        with open(path, 'rb+') as stream:
            stream.seek((epoch * 10) << 20)
            stream.write(os.urandom(100_000))
        source.api.detach(attachment, volume_id)
        contents[volume_id] = sites.digest(source.path(volume_id))
    source.do(replication, 'failover')
    manifests = {}
    for volume_id in volumes:
        given = source.export(volume_id, clear_existing=True)
        assert (given['role'], given['manifest']['epoch'], given['released']) == (
            'primary', epoch, True)
        manifests[volume_id] = given['manifest']
    assert source.api.get('/volumes')['volumes'] == []
    if group_id is not None:
        assert source.api.request('GET', f'/groups/{group_id}').status_code == 404
    taken = destination.take(manifest=manifests[volumes[0]])
    assert {each['result'] for each in taken['volumes']} == {'imported'}
    assert {volume_id: sites.digest(destination.path(volume_id)) for volume_id in volumes} == contents
    for volume_id in volumes:
        assert destination.api.volume(volume_id)['status'] == 'available'
    replayed = source.take(expected=400, manifest=manifests[volumes[0]])
    assert 'it is for cloud' in replayed['badRequest']['message']


def _move_again(a, b, group_id, volumes):
    """There and back once more, both planned: nothing has to be resynchronized."""
    replication = a.protect(group_id, a.target)
    a.becomes(replication, 'enabled')
    _handed_over(a, b, replication, group_id, volumes, 3)
