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

MIB = 1024 ** 2


class Story:
    """A volume with two snapshots on alpha that a server writes to."""

    def __init__(self, service, compute, noise):
        self.service, self.compute, self.api = service, compute, service.api
        self.volume_id = self.api.create_volume(1, volume_type='alpha', name='a volume')['id']
        path = self.path('alpha', 'volume', self.volume_id)
        self.write(path, 32 * MIB, noise(4 * MIB))
        self.snapshots = [self.api.create_snapshot(self.volume_id, 'first')['id']]
        self.write(path, 33 * MIB, noise(MIB))
        self.snapshots.append(self.api.create_snapshot(self.volume_id, 'second')['id'])
        self.frozen = [self.path('alpha', 'snapshot', each).read_bytes()[:64 * MIB]
                       for each in self.snapshots]
        self.server = compute.boot()
        self.disk = compute.attach(self.server, self.volume_id)
        self.guest = guest_disk.Writer(self.disk)
        self.guest.goes_on(100)

    def path(self, backend, kind, name_id):
        return self.service.state_dir / backend / f'{kind}s' / f'{kind}-{name_id}.raw'

    @staticmethod
    def write(path, offset, content):
        with open(path, 'r+b') as stream:
            stream.seek(offset)
            stream.write(content)

    def files(self, backend):
        return sorted(path.name for path in (self.service.state_dir / backend).rglob('*')
                      if path.is_file())

    def migrate(self):
        self.api.retype(self.volume_id, 'beta')

    def move(self):
        self.api.post(f'/volumes/{self.volume_id}/action', {'os-migrate_volume': {
            'host': 'host@beta#beta', 'include_snapshots': True}})

    def names(self, table):
        """Backend names of what has an id in a table, oldest first."""
        with contextlib.closing(sqlite3.connect(self.service.state_dir / 'cinder-ext.db')) as base:
            return [row[0] for row in base.execute(
                f'SELECT name_id FROM {table} WHERE deleted_at IS NULL ORDER BY created_at')]  # noqa: S608

    def record(self):
        return self.api.latest_migration(self.volume_id)

    def wait(self, *phases, seconds=40):
        deadline = time.monotonic() + seconds
        while True:
            record = self.record()
            if record is not None and record['phase'] in phases:
                return record
            assert time.monotonic() < deadline, (record, self.service.log_tail(30))
            time.sleep(0.05)

    def attachments(self):
        return [each['id'] for each in self.api.get('/attachments/detail')['attachments']]

    def volumes(self):
        return [each['id'] for each in
                self.api.get('/volumes/detail?all_tenants=1')['volumes']]


@pytest.fixture
def running(tmp_path):
    service = embedded.EmbeddedService(tmp_path / 'state', options={
        'nova': {}, 'DEFAULT': {'sweep_interval': 2},
        'migration': {'swap_report_timeout': 2}})
    with compute_service.ComputeService(tmp_path, service.api.endpoint) as compute:
        service.options['nova'] = {'endpoint_override': compute.url}
        service.start()
        try:
            service.create_types()
            yield service, compute
        finally:
            compute.storage.patience_seconds = 0
            service.stop()


@pytest.fixture
def story(running, noise):
    made = Story(*running, noise)
    yield made
    made.guest.stop()


def test_volume_moves_with_its_snapshots_under_a_running_server(story):
    shown = story.api.volume(story.volume_id)

    story.migrate()
    record = story.wait('finished', 'failed')

    assert record['phase'] == 'finished', record['error']
    story.guest.goes_on()
    story.guest.stop()
    story.disk.close()
    volume = story.api.volume(story.volume_id)
    assert volume['status'] == 'in-use'
    assert volume['os-vol-host-attr:host'] == 'host@beta#beta'
    assert [volume[key] for key in ('id', 'name', 'created_at', 'metadata', 'size')] == [
        shown[key] for key in ('id', 'name', 'created_at', 'metadata', 'size')]
    attachment, = volume['attachments']
    assert attachment['server_id'] == story.server.id
    assert attachment['attachment_id'] != shown['attachments'][0]['attachment_id']
    assert story.attachments() == [attachment['attachment_id']]
    assert story.server.devices[story.volume_id]['attachment_id'] == attachment['attachment_id']
    assert story.volumes() == [story.volume_id]
    assert story.files('alpha') == []
    place = story.disk.path
    assert story.files('beta') == sorted(
        [place.rpartition('/')[2], *(name for name in story.files('beta') if 'snapshot' in name)])
    assert len(story.files('beta')) == 3
    assert story.guest.missing(place) == []
    assert len(story.guest.acknowledged) > 300
    moved = [story.path('beta', 'snapshot', name) for name in story.names('snapshots')]
    assert [path.read_bytes()[:64 * MIB] for path in moved] == story.frozen
    assert [link['digest'] is not None for link in record['links']] == [True, True, False]


def test_compute_service_is_answered_in_the_order_of_its_calls(story):
    del story.compute.storage.calls[:]

    story.migrate()
    story.wait('finished')

    story.compute.settle()
    assert [(method, path.split('/')[1], *(body or {}), status)
            for method, path, body, status in story.compute.storage.calls] == [
        ('GET', 'volumes', 200), ('GET', 'volumes', 200),
        ('POST', 'volumes', 'os-begin_detaching', 202), ('POST', 'attachments', 'attachment', 200),
        ('PUT', 'attachments', 'attachment', 200), ('POST', 'attachments', 'os-complete', 204),
        ('DELETE', 'attachments', 200),
        ('POST', 'volumes', 'os-migrate_volume_completion', 200)]
    assert story.compute.answers == {'completion': {'save_volume_id': story.volume_id}}
