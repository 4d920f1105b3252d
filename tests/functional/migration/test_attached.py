"""An attached volume moves while its server runs: a real guest writes all the time.

The service is one real process; the compute service is the stand-in of tests/support, which drives
QEMU's block layer.
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import sqlite3
import time

import compute_service
import embedded
import guest_disk
import pytest
import rest

from cinder_ext.volume.migration import preflight_attached

MIB = 1024 ** 2
OPTIONS = {'DEFAULT': {'sweep_interval': 1},
           'migration': {'swap_report_timeout': 2, 'swap_timeout': 3}}


class Story:
    """A volume with two snapshots on alpha that a server writes to.

    :ivar before: files of both backends before there was anything of it
    """

    def __init__(self, service, compute, noise):
        self.service, self.compute, self.api = service, compute, service.api
        self.before = {name: self.files(name) for name in ('alpha', 'beta')}
        self.volume_id = self.api.create_volume(1, volume_type='alpha', name='a volume')['id']
        path = self.path('alpha', 'volume', self.volume_id)
        self.write(path, 32 * MIB, noise(2 * MIB))
        self.snapshots = [self.api.create_snapshot(self.volume_id, 'first')['id']]
        self.write(path, 33 * MIB, noise(MIB))
        self.snapshots.append(self.api.create_snapshot(self.volume_id, 'second')['id'])
        self.frozen = [self.head_of(self.path('alpha', 'snapshot', each)) for each in self.snapshots]
        self.server = compute.boot()
        self.disk = compute.attach(self.server, self.volume_id)
        self.guest = guest_disk.Writer(self.disk)
        self.guest.goes_on(100)
        del compute.storage.calls[:]
        self.shown = self.api.volume(self.volume_id)

    def path(self, backend, kind, name_id):
        return self.service.state_dir / backend / f'{kind}s' / f'{kind}-{name_id}.raw'

    @staticmethod
    def head_of(path):
        with open(path, 'rb') as stream:
            return stream.read(40 * MIB)

    @staticmethod
    def write(path, offset, content):
        with open(path, 'r+b') as stream:
            stream.seek(offset)
            stream.write(content)

    def files(self, backend):
        return {path.name for path in (self.service.state_dir / backend).rglob('*')
                if path.is_file()}

    def added(self, backend):
        """How many files a backend has of this story."""
        return len(self.files(backend) - self.before[backend])

    def names(self, query):
        with contextlib.closing(sqlite3.connect(self.service.state_dir / 'cinder-ext.db')) as base:
            return [row[0] for row in base.execute(query, (self.volume_id,))]

    def shadow(self):
        """Id of the volume that stands for the destination."""
        found, = self.names('SELECT shadow_volume_id FROM volume_migrations WHERE volume_id = ?')
        return found

    def migrate(self):
        self.api.retype(self.volume_id, 'beta')

    def record(self):
        return self.api.latest_migration(self.volume_id)

    def wait(self, *phases, seconds=60):
        deadline = time.monotonic() + seconds
        while True:
            record = self.record()
            if record is not None and record['phase'] in phases:
                return record
            assert time.monotonic() < deadline, (record, self.service.log_tail(30))
            time.sleep(0.05)

    def at(self, point, function):
        """Call ``function`` when the swap of this story has come to a point; keep what it raises.

        :returns: a list that gets what it returned or raised
        """
        seen = []

        def hook():
            del self.compute.hooks[point]
            try:
                seen.append(function())
            except Exception as fault:
                seen.append(fault)
                raise
        self.compute.hooks[point] = hook
        return seen

    def status_of(self, method, path, body=None):
        return self.api.request(method, path, body).status_code

    def complete(self, has_failed):
        return self.api.request('POST', f'/volumes/{self.volume_id}/action', {
            'os-migrate_volume_completion': {'new_volume': self.shadow(), 'error': has_failed}})

    def attachments(self):
        return [each['id'] for each in self.api.get(
            f'/attachments?volume_id={self.volume_id}')['attachments']]

    def has_moved(self):
        """All is at the destination, by the records and by the bytes; the guest goes on."""
        record = self.wait('finished', 'failed')
        assert record['phase'] == 'finished', record['error']
        self.compute.settle()
        self.guest.goes_on(100)
        volume = self.api.volume(self.volume_id)
        assert (volume['status'], volume['os-vol-host-attr:host']) == ('in-use', 'host@beta#beta')
        same = ('id', 'name', 'created_at', 'metadata', 'size', 'description')
        assert [volume[key] for key in same] == [self.shown[key] for key in same]
        attachment, = volume['attachments']
        assert attachment['server_id'] == self.server.id
        assert self.attachments() == [attachment['attachment_id']]
        assert (self.added('alpha'), self.added('beta')) == (0, 3)
        assert self.disk.path.endswith('.raw')
        assert '/beta/' in self.disk.path
        assert self.guest.missing(self.disk.path) == []
        names = self.names('SELECT name_id FROM snapshots WHERE volume_id = ? ORDER BY created_at')
        assert [self.head_of(self.path('beta', 'snapshot', each)) for each in names] == self.frozen
        return record

    def has_stayed(self, status='in-use'):
        """All is as before, and nothing is left at the destination."""
        record = self.wait('finished', 'failed')
        assert record['phase'] == 'failed'
        assert record['error_code'] == 'cinder_ext.swap_failed'
        assert record['leftovers'] == []
        self.compute.settle()
        volume = self.api.volume(self.volume_id)
        assert (volume['status'], volume['migration_status']) == (status, 'error')
        assert volume['os-vol-host-attr:host'] == 'host@alpha#alpha'
        assert volume['attachments'] == (self.shown['attachments'] if status == 'in-use' else [])
        assert (self.added('alpha'), self.added('beta')) == (3, 0)
        assert self.guest.missing(self.path('alpha', 'volume', self.volume_id)) == []
        assert self.status_of('GET', f'/volumes/{self.shadow()}') == 404
        if status == 'in-use':
            self.guest.goes_on(100)
        return record


@pytest.fixture(scope='module')
def running(tmp_path_factory):
    """The service and the compute service that the tests of this module share."""
    directory = tmp_path_factory.mktemp('attached')
    service = embedded.EmbeddedService(directory / 'state', options=dict(OPTIONS))
    with compute_service.ComputeService(directory, service.api.endpoint) as compute:
        service.options['nova'] = {'endpoint_override': compute.url}
        service.start()
        try:
            service.create_types()
            yield service, compute
        finally:
            service.stop()


@pytest.fixture
def story(running, noise):
    service, compute = running
    compute.hooks.clear()
    compute.answers.clear()
    compute.swap_progress, compute.loses_answers = None, False
    made = Story(service, compute, noise)
    yield made
    compute.hooks.clear()
    made.guest.stop()
    made.disk.close()


def test_volume_moves_with_its_snapshots_under_a_running_server(story):
    story.migrate()
    record = story.has_moved()
    assert [link['digest'] is not None for link in record['links']] == [True, True, False]
    attachment_id, = story.attachments()
    assert attachment_id != story.shown['attachments'][0]['attachment_id']
    assert story.server.devices[story.volume_id]['attachment_id'] == attachment_id
    assert story.api.get('/volumes?all_tenants=1&limit=1')['volumes'][0]['id'] == story.volume_id
    # What was lost on the way would be told once more: the answer is the same.
    assert story.complete(has_failed=False).json() == {'save_volume_id': story.volume_id}


def test_compute_service_is_answered_in_the_order_of_its_calls(story):
    story.migrate()
    story.has_moved()
    assert [(method, path.split('/')[1], *(body or {}), status)
            for method, path, body, status in story.compute.storage.calls] == [
        ('GET', 'volumes', 200), ('GET', 'volumes', 200),
        ('POST', 'volumes', 'os-begin_detaching', 202), ('POST', 'attachments', 'attachment', 200),
        ('PUT', 'attachments', 'attachment', 200), ('POST', 'attachments', 'os-complete', 204),
        ('DELETE', 'attachments', 200),
        ('POST', 'volumes', 'os-migrate_volume_completion', 200)]
    assert story.compute.answers == {'completion': {'save_volume_id': story.volume_id}}


@pytest.mark.parametrize(('vm_state', 'task_state'), [
    ('stopped', None), ('suspended', None), ('active', 'migrating')])
def test_server_that_cannot_swap_is_refused_before_the_first_byte(story, vm_state, task_state):
    story.server.vm_state, story.server.task_state = vm_state, task_state
    story.migrate()
    record = story.wait('failed', 'finished')
    assert record['phase'] == 'failed'
    assert [each['name'] for each in record['checks'] if not each['passed']] == ['server-can-swap']
    assert record['bytes']['written'] == 0
    assert (story.added('alpha'), story.added('beta')) == (3, 0)
    assert story.api.volume(story.volume_id)['status'] == 'in-use'
    assert [method for method, path in story.compute.requests
            if story.server.id in path and method == 'PUT'] == []


def test_compute_service_that_is_too_old_is_refused(story):
    story.compute.newest = (2, 88)
    try:
        story.migrate()
        record = story.wait('failed', 'finished')
    finally:
        story.compute.newest = compute_service.NEWEST
    check, = (each for each in record['checks'] if not each['passed'])
    assert check['name'] == 'server-can-swap'
    assert '2.89' in check['detail']


def test_while_a_server_swaps_both_volumes_are_kept_for_it(story):
    def look():
        shadow, volume = f'/volumes/{story.shadow()}', f'/volumes/{story.volume_id}'
        shown = story.api.get(shadow)['volume']
        assert shown['migration_status'] == f'target:{story.volume_id}'
        assert not shown['consumes_quota']
        for path in ('/volumes', '/volumes/detail', '/volumes?all_tenants=1',
                     '/volumes/detail?all_tenants=1&migration_status=' + shown['migration_status']):
            assert story.shadow() not in [each['id'] for each in story.api.get(path)['volumes']]
        for method, path, body in (
                ('DELETE', shadow, None),
                ('POST', f'{shadow}/action', {'os-force_delete': {}}),
                ('POST', f'{shadow}/action', {'os-extend': {'new_size': 2}}),
                ('POST', f'{shadow}/action', {'os-reserve': {}}),
                ('POST', f'{shadow}/action', {'os-retype': {'new_type': 'alpha'}}),
                ('POST', f'{shadow}/action', {'os-reset_status': {'status': 'error'}}),
                ('POST', '/snapshots', {'snapshot': {'volume_id': story.shadow(), 'force': True}}),
                ('POST', '/volumes', {'volume': {'size': 1, 'source_volid': story.shadow()}}),
                ('POST', '/attachments', {'attachment': {
                    'volume_uuid': story.shadow(), 'instance_uuid': story.server.id}}),
                ('POST', '/attachments', {'attachment': {
                    'volume_uuid': story.shadow(), 'instance_uuid': story.volume_id}}),
                ('POST', '/snapshots', {'snapshot': {'volume_id': story.volume_id, 'force': True}}),
                ('DELETE', f'/snapshots/{story.snapshots[0]}', None),
                ('POST', f'{volume}/action', {'os-extend': {'new_size': 2}}),
                ('POST', f'{volume}/action', {'os-retype': {'new_type': 'beta'}}),
                ('POST', f'/volume-migrations/{story.record()["id"]}/action', {'cancel': {}})):
            assert story.status_of(method, path, body) == 409, (method, path, body)
        # Nobody has said that the guest is there.
        assert story.complete(has_failed=False).status_code == 400
        assert story.record()['phase'] == 'swapping'

    seen = story.at('ready', look)
    story.migrate()
    story.wait('finished', 'failed')
    assert seen == [None]
    story.has_moved()
    assert story.status_of('GET', f'/volumes/{story.shadow()}') == 404


def test_progress_is_the_compute_services_or_none(story):
    def look():
        deadline = time.monotonic() + 20
        while 'does not tell how far' not in note():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return story.api.volume(story.volume_id).get('migration_progress')

    def note():
        return story.names('SELECT progress_note FROM volume_migrations WHERE volume_id = ?')[0]

    seen = story.at('connected', look)
    story.migrate()
    story.has_moved()
    assert seen == [None]
    assert note() == preflight_attached.NOTE


def test_progress_of_the_swap_is_of_the_whole(story):
    def look():
        deadline = time.monotonic() + 20
        while 'migration_progress' not in story.api.volume(story.volume_id):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return int(story.api.volume(story.volume_id)['migration_progress'])

    story.compute.swap_progress = 50
    seen = story.at('connected', look)
    story.migrate()
    story.has_moved()
    # Half of the volume, and the bytes of its snapshots before.
    assert 50 <= seen[0] <= 55


def test_compute_service_that_refuses(story):
    def refuse():
        raise compute_service.Refused(409, 'Instance is locked')
    story.at('requested', refuse)
    story.migrate()
    record = story.has_stayed()
    assert 'Instance is locked' in record['error']


def test_compute_service_that_fails_is_asked_a_few_times(story):
    def fail():
        raise compute_service.Refused(503, 'no')
    story.compute.hooks['requested'] = fail
    story.migrate()
    story.has_stayed()
    assert [method for method, path in story.compute.requests
            if story.volume_id in path and method == 'PUT'] == ['PUT'] * 3


def test_question_that_finds_nobody_is_repeated(story):
    story.compute.unavailable = 2
    story.migrate()
    story.has_moved()
    assert story.compute.unavailable == 0


def test_answer_that_is_lost_changes_nothing(story):
    story.compute.loses_answers = True
    story.migrate()
    story.has_moved()


def test_request_that_nobody_acts_upon_is_given_up_in_time(story):
    def swallow():
        raise compute_service.Refused(0, 'the message to the host is lost')
    story.at('created', swallow)
    story.migrate()
    record = story.has_stayed()
    assert 'did not begin' in record['error']


@pytest.mark.parametrize('point', ['connected', 'ready'])
def test_swap_that_fails_leaves_the_volume_as_it_was(story, point):
    def fail():
        raise guest_disk.MirrorFailed('the host has no more memory')
    story.at(point, fail)
    story.migrate()
    story.has_stayed()
    assert story.compute.answers['completion'] == {'save_volume_id': story.volume_id}
    # An error that is told twice is no other error, and nobody can make it a success.
    assert story.complete(has_failed=True).json() == {'save_volume_id': story.volume_id}
    assert story.complete(has_failed=False).status_code == 400


def test_error_that_is_told_of_a_guest_that_has_moved_is_not_believed(story):
    """The answer to its attachment was lost, say: the guest writes to the destination."""
    def fail():
        raise compute_service.Refused(504, 'the answer is lost')
    story.at('completed', fail)
    story.migrate()
    story.has_moved()
    info = story.api.get(f'/attachments/{story.attachments()[0]}')['attachment']['connection_info']
    assert info['device_path'] == story.disk.path


def test_swap_that_is_never_reported_is_found_out(story):
    def die():
        raise compute_service.Refused(0, 'the host of the server has died')
    story.at('detached', die)
    story.migrate()
    story.has_moved()
    assert 'completion' not in story.compute.answers


def test_server_that_is_deleted_leaves_a_detached_volume(story):
    story.at('ready', lambda: story.compute.delete(story.server))
    story.migrate()
    story.has_stayed(status='available')


def test_server_that_is_deleted_when_its_guest_has_moved(story):
    story.at('completed', lambda: story.compute.delete(story.server))
    story.migrate()
    record = story.wait('finished', 'failed')
    assert record['phase'] == 'finished', record['error']
    volume = story.api.wait_volume(story.volume_id)
    assert (volume['status'], volume['attachments']) == ('available', [])
    assert (story.added('alpha'), story.added('beta')) == (0, 3)
    assert story.guest.missing(story.disk.path) == []


def test_volume_that_is_detached_while_its_snapshots_move_is_moved_detached(story):
    story.api.post('/volume-migrations', {'volume_migration': {
        'volume_id': story.volume_id, 'destination_type': 'beta', 'include_snapshots': True,
        'bandwidth': MIB // 4}})
    record = story.wait('copying')
    story.guest.stop()
    story.compute.detach(story.server, story.volume_id)
    assert story.record()['phase'] == 'copying'
    story.api.call('PUT', f'/volume-migrations/{record["id"]}', {
        'volume_migration': {'bandwidth': 0}})

    record = story.wait('finished', 'failed')

    assert record['phase'] == 'finished', record['error']
    assert record['digest']
    volume = story.api.volume(story.volume_id)
    assert (volume['status'], volume['attachments']) == ('available', [])
    assert (story.added('alpha'), story.added('beta')) == (0, 3)
    name, = story.names('SELECT name_id FROM volumes WHERE id = ?')
    assert story.guest.missing(story.path('beta', 'volume', name)) == []
    assert [method for method, path in story.compute.requests
            if story.volume_id in path and method == 'PUT'] == []


def test_completion_that_nobody_waits_for(story):
    answer = story.api.request('POST', f'/volumes/{story.volume_id}/action', {
        'os-migrate_volume_completion': {'new_volume': story.volume_id}})
    assert answer.status_code == 400
    assert story.api.volume(story.volume_id)['status'] == 'in-use'


def test_administrator_moves_it_to_a_backend_that_is_named(story):
    """The volume keeps its status and its type all the time; one check refuses it locked."""
    story.api.create_type('loose', {})
    story.api.retype(story.volume_id, 'loose', policy='never')
    story.wait('unneeded')
    move = {'host': 'host@beta#beta', 'include_snapshots': True}
    action = f'/volumes/{story.volume_id}/action'
    assert story.status_of('POST', action, {
        'os-migrate_volume': {**move, 'lock_volume': True}}) == 400
    seen = story.at('ready', lambda: story.api.volume(story.volume_id)['status'])
    story.api.post(action, {'os-migrate_volume': move})
    deadline = time.monotonic() + 60
    while story.record()['operation'] != 'migrate' or story.record()['phase'] != 'finished':
        assert time.monotonic() < deadline, story.record()
        time.sleep(0.05)
    story.has_moved()
    assert seen == ['in-use']
    assert story.api.volume(story.volume_id)['volume_type'] == 'loose'


@pytest.mark.parametrize('arrives', [True, False])
def test_a_server_may_move_to_another_host_while_the_snapshots_are_copied(story, arrives):
    """One that has arrived is asked there; for one on its way the volume stays where it is."""
    story.api.post('/volume-migrations', {'volume_migration': {
        'volume_id': story.volume_id, 'destination_type': 'beta', 'include_snapshots': True,
        'bandwidth': MIB}})
    record = story.wait('copying')
    action = f"/volume-migrations/{record['id']}/action"
    story.api.post(action, {'pause': {}})
    storage, device = story.compute.storage, story.server.devices[story.volume_id]
    new = storage.reserve(story.volume_id, story.server.id)
    if arrives:
        old, device['attachment_id'] = device['attachment_id'], new
        storage.delete(old)
        storage.connect(new)
        storage.complete(new)
    story.api.request('PUT', f"/volume-migrations/{record['id']}", {
        'volume_migration': {'bandwidth': None}})
    story.api.post(action, {'resume': {}})
    if arrives:
        story.has_moved()
        return
    story.wait('failed')
    storage.delete(new)
    story.has_stayed()


def test_only_the_client_of_our_own_needs_a_new_version(story):
    """A stock client moves an attached volume as upstream."""
    for snapshot_id in story.snapshots:
        story.api.delete_snapshot(snapshot_id)
    story.api.call('POST', f'/volumes/{story.volume_id}/action', {
        'os-retype': {'new_type': 'beta', 'migration_policy': 'on-demand'}}, microversion='3.71')
    record = story.wait('finished', 'failed')
    assert record['phase'] == 'finished', record['error']
    story.guest.goes_on()
    assert story.guest.missing(story.disk.path) == []
    assert (story.added('alpha'), story.added('beta')) == (0, 1)
    with pytest.raises(rest.ApiError):
        story.api.get(f'/volumes/{story.shadow()}')
