"""A backend is failed over and back by the old calls: what its service and its volumes show.

The tests do what the API does: record the operation, then say that there is something new.
"""
# SPDX-License-Identifier: Apache-2.0

import json

import pytest

from cinder_ext import context as request_context
from cinder_ext import exceptions
from cinder_ext.db import (
    backend_failovers,
    replication_operations,
    services,
    volume_types,
)
from cinder_ext.rpc.replication import ReplicationAPI

HOST = 'node@alpha'
DEVICES = """
[alpha]
file_control_file = {0}/home.json
replication_device = backend_id:near,path:{0}/near,modes:async
replication_device = backend_id:far,path:{0}/far,modes:async
"""


class Replicating:
    """A Cloud whose backend alpha has two targets."""

    def __init__(self, cloud):
        self.cloud = cloud
        self.admin = request_context.admin_context()
        self.rpc = ReplicationAPI(cloud.conf)
        self.type_id = volume_types.create(cloud.context, {'name': 'safe'}, {
            'replication_enabled': '<is> True', 'replication:target': 'near'}).id
        cloud.until(lambda: self.service().replication_status == 'enabled')

    def service(self, host=HOST):
        return services.get(self.admin, 'cinder-volume', host)

    def shown(self):
        row = self.service()
        return row.replication_status, row.active_backend_id, row.disabled, row.disabled_reason

    def volume(self):
        """A replicated volume with something in it, which has a point."""
        volume_id = self.cloud.volume(volume_type_id=self.type_id)
        self.cloud.until(lambda: self.cloud.row(volume_id).replication_status == 'enabled')
        self.cloud.write(volume_id, 4096, b'content')
        return volume_id

    def ask(self, target, known=()):
        row = backend_failovers.ask(self.admin, HOST, target, known)
        assert self.service().replication_status == 'failing-over'
        self.rpc.look(self.admin)
        return self.cloud.until(lambda: self.ended(row.id))

    def ended(self, operation_id):
        row = replication_operations.get(self.admin, operation_id)
        return row if row.finished_at else None

    def cut_home(self, is_cut=True):
        (self.cloud.directory / 'home.json').write_text(json.dumps({'cut': is_cut}))

    def content(self, volume_id, side):
        path = self.cloud.directory / side / 'volumes' / f'volume-{volume_id}.raw'
        return self.cloud.read(path, 4096, 7)


@pytest.fixture
def site(make_cloud, tmp_path):
    for name in ('near', 'far'):
        (tmp_path / name).mkdir()
    cloud = make_cloud(more=DEVICES.format(tmp_path))
    cloud.start()
    return Replicating(cloud)


def test_started_services_say_whether_they_can_be_failed_over(site):
    site.cloud.until(lambda: site.service('node@beta').replication_status == 'disabled')
    assert site.shown() == ('enabled', None, False, None)


def test_backend_goes_there_and_back_and_nothing_is_lost(site):
    volume_id, other = site.volume(), site.cloud.volume()
    done = site.ask(None)
    assert (done.state, done.target, done.force, done.consistency) == (
        'succeeded', 'near', False, 'best-effort')
    assert site.shown() == ('failed-over', 'near', True, 'failed-over')
    assert site.cloud.row(volume_id).replication_status == 'failed-over'
    assert site.content(volume_id, 'near') == b'content'
    assert site.cloud.row(other).status == 'error'
    assert site.ask('default').state == 'succeeded'
    assert site.shown() == ('enabled', None, False, None)
    row = site.cloud.row(volume_id)
    assert (row.status, row.replication_status) == ('available', 'enabled')
    assert site.content(volume_id, 'alpha') == b'content'
    assert site.cloud.row(other).status == 'available'


def test_dead_array_is_failed_over_by_force_which_nobody_had_to_say(site):
    volume_id = site.volume()
    site.cut_home()
    done = site.ask('near')
    assert (done.state, done.force) == ('succeeded', True)
    assert site.cloud.row(volume_id).replication_status == 'failed-over'
    assert site.shown()[:2] == ('failed-over', 'near')


def test_frozen_backend_is_frozen_after_it_came_back(site):
    services.set_frozen(site.admin, HOST, True)
    site.ask('near')
    assert site.shown() == ('failed-over', 'near', True, 'failed-over')
    site.ask('default')
    assert site.shown() == ('enabled', None, True, 'frozen')


@pytest.mark.parametrize(('target', 'reason'), [
    ('default', 'node@alpha is used at default already'),
    ('mars', 'mars is no target of node@alpha; there are near, far.'),
], ids=['back', 'unknown'])
def test_backend_is_not_failed_over_to_where_it_is_or_to_nowhere(site, target, reason):
    with pytest.raises(exceptions.InvalidInput) as caught:
        backend_failovers.ask(site.admin, HOST, target, ['near', 'far'])
    assert reason in caught.value.message
    assert site.shown() == ('enabled', None, False, None)


def test_target_has_to_be_named_when_nobody_can_tell_which(site):
    with pytest.raises(exceptions.InvalidInput) as caught:
        backend_failovers.ask(site.admin, HOST, None)
    assert 'name a target' in caught.value.message


def test_backend_that_is_failed_over_is_not_failed_over_there_again(site):
    site.ask('near')
    with pytest.raises(exceptions.InvalidInput) as caught:
        backend_failovers.ask(site.admin, HOST, 'near')
    assert 'node@alpha is used at near already' in caught.value.message


def test_of_two_failovers_one_is_refused(site):
    backend_failovers.ask(site.admin, HOST, 'near')
    with pytest.raises(exceptions.InvalidInput) as caught:
        backend_failovers.ask(site.admin, HOST, 'far')
    assert 'must be enabled or failed-over, it is failing-over' in caught.value.message


def test_backend_without_replicated_volumes_goes_to_its_first_target(site):
    done = site.ask(None, known=['far', 'near'])
    assert (done.state, done.target) == ('succeeded', 'far')
    assert site.shown() == ('failed-over', 'far', True, 'failed-over')


def test_failover_does_not_make_a_dead_service_look_alive(site):
    before = site.service().updated_at
    backend_failovers.ask(site.admin, HOST, 'near')
    assert site.service().updated_at == before


def test_backend_stays_failed_over_when_its_service_starts_again(site):
    site.ask('near')
    site.cloud.stop()
    site.cloud.start()
    assert site.shown()[:2] == ('failed-over', 'near')
    assert site.ask('default').state == 'succeeded'
