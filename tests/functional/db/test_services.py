"""Services in the database."""
# SPDX-License-Identifier: Apache-2.0

import concurrent.futures
import datetime

import pytest
from oslo_utils import timeutils

from cinder_ext import context as contexts
from cinder_ext import exceptions
from cinder_ext.db import (
    hosts,
    models,
    reverts,
    services,
    session,
    snapshots,
    volume_migrations,
    volume_requests,
    volumes,
)

BINARY = 'cinder-ext-volume'


def _beat(ctxt, host='node@alpha', binary=BINARY):
    return services.heartbeat(ctxt, binary, host, binary, 'nova')


def test_the_first_heartbeat_makes_the_row_and_the_next_ones_count(database, ctxt):
    first = _beat(ctxt)
    second = _beat(ctxt)
    assert (first.id, first.report_count, second.report_count) == (second.id, 1, 2)
    assert second.updated_at >= first.updated_at


def test_twenty_first_heartbeats_at_once_make_one_row(database, ctxt):
    with concurrent.futures.ThreadPoolExecutor(20) as threads:
        list(threads.map(lambda _: _beat(contexts.RequestContext(overwrite=False)), range(20)))
    assert [each.report_count for each in services.list_all(ctxt)] == [20]


def test_lists_are_filtered_by_binary_and_by_host_with_its_backends(database, ctxt):
    for binary, host in ((BINARY, 'node@alpha'), (BINARY, 'node2@alpha'),
                         ('cinder-ext-scheduler', 'node')):
        _beat(ctxt, host, binary)

    def hosts(**filters):
        return [each.host for each in services.list_all(ctxt, **filters)]

    assert hosts() == ['node', 'node2@alpha', 'node@alpha']
    assert hosts(binary=BINARY) == ['node2@alpha', 'node@alpha']
    assert hosts(host='node') == ['node', 'node@alpha']
    assert hosts(host='node@alpha') == ['node@alpha']
    assert hosts(host='nod_') == []


def test_disabling_keeps_the_reason_and_enabling_forgets_it(database, ctxt):
    _beat(ctxt)
    assert services.set_disabled(ctxt, BINARY, 'node@alpha', True, 'broken').disabled_reason == 'broken'
    found = services.set_disabled(ctxt, BINARY, 'node@alpha', False)
    assert (found.disabled, found.disabled_reason) == (False, None)


def test_a_heartbeat_does_not_enable_a_service(database, ctxt):
    _beat(ctxt)
    services.set_disabled(ctxt, BINARY, 'node@alpha', True)
    assert _beat(ctxt).disabled


def test_disabling_does_not_make_a_service_look_alive(database, ctxt):
    before = _beat(ctxt).updated_at
    assert services.set_disabled(ctxt, BINARY, 'node@alpha', True).updated_at == before


def test_an_unknown_service_is_not_found(database, ctxt):
    for call in (services.get, services.remove):
        with pytest.raises(exceptions.ServiceNotFound):
            call(ctxt, BINARY, 'nowhere')
    with pytest.raises(exceptions.ServiceNotFound):
        services.set_disabled(ctxt, BINARY, 'nowhere', True)


def test_a_service_is_up_until_its_last_heartbeat_is_too_old(database, ctxt):
    service = _beat(ctxt)
    now = timeutils.utcnow()
    assert services.is_up(service, 60)
    assert not services.is_up(service, 60, now + datetime.timedelta(seconds=61))


def test_a_removed_service_is_gone(database, ctxt):
    _beat(ctxt)
    services.remove(ctxt, BINARY, 'node@alpha')
    assert services.list_all(ctxt) == []


def _backend(ctxt, host='node@alpha'):
    return services.heartbeat(ctxt, services.VOLUME_BINARY, host, 'topic', 'nova')


def test_a_frozen_backend_is_disabled_and_a_thawed_one_enabled(database, ctxt):
    before = _backend(ctxt).updated_at
    frozen = services.set_frozen(ctxt, 'node@alpha', True)
    assert (frozen.frozen, frozen.disabled, frozen.disabled_reason) == (True, True, 'frozen')
    assert frozen.updated_at == before
    thawed = services.set_frozen(ctxt, 'node', False)
    assert (thawed.frozen, thawed.disabled, thawed.disabled_reason) == (False, False, None)


def test_what_is_frozen_is_not_frozen_again_nor_thawed_twice(database, ctxt):
    _backend(ctxt)
    with pytest.raises(exceptions.InvalidInput, match='not frozen'):
        services.set_frozen(ctxt, 'node@alpha', False)
    services.set_frozen(ctxt, 'node@alpha', True)
    with pytest.raises(exceptions.InvalidInput, match='is frozen'):
        services.set_frozen(ctxt, 'node@alpha', True)


def test_a_host_with_several_backends_names_none_of_them(database, ctxt):
    _backend(ctxt)
    _backend(ctxt, 'node@beta')
    with pytest.raises(exceptions.InvalidInput, match='more than one'):
        services.set_frozen(ctxt, 'node', True)


def _snapshot(ctxt, volume_id):
    return snapshots.create(ctxt, {'volume_id': volume_id}).id


@pytest.mark.parametrize('change', [
    lambda ctxt, volume_id, snapshot_id: snapshots.create(ctxt, {'volume_id': volume_id}),
    lambda ctxt, volume_id, snapshot_id: snapshots.begin_delete(ctxt, snapshot_id, force=True),
    lambda ctxt, volume_id, snapshot_id: volume_requests.begin_delete(ctxt, volume_id, cascade=True),
    lambda ctxt, volume_id, snapshot_id: volume_requests.begin_extend(ctxt, volume_id, 'extend', 9),
    lambda ctxt, volume_id, snapshot_id: volume_migrations.start(
        ctxt, volume_id, {'operation': 'retype'}, 'retype'),
    reverts.begin,
], ids=['snapshot', 'snapshot-delete', 'delete', 'extend', 'retype', 'revert'])
def test_what_a_frozen_backend_has_is_not_changed(ctxt, make_volume, change):
    _backend(ctxt)
    volume_id = make_volume()
    snapshot_id = _snapshot(ctxt, volume_id)
    volume_requests.reset_snapshot_status(ctxt, snapshot_id, 'available')
    services.set_frozen(ctxt, 'node@alpha', True)
    with pytest.raises(exceptions.InvalidInput, match='frozen'):
        change(ctxt, volume_id, snapshot_id)
    assert volumes.get(ctxt, volume_id).status == 'available'
    assert [each.status for each in snapshots.of_volume(ctxt, volume_id)] == ['available']
    services.set_frozen(ctxt, 'node@alpha', False)
    change(ctxt, volume_id, snapshot_id)


def test_another_backend_is_not_frozen_with_it(ctxt, make_volume):
    for host in ('node@alpha', 'node@beta'):
        _backend(ctxt, host)
    services.set_frozen(ctxt, 'node@beta', True)
    assert _snapshot(ctxt, make_volume())


def test_totals_of_a_host_are_by_project(ctxt, make_volume):
    first = make_volume(size=2)
    make_volume(size=3, project_id='other')
    make_volume(size=5, host='node@alphabet#pool')
    _snapshot(ctxt, first)
    found = hosts.totals(ctxt, 'node@alpha')
    assert found == {'project': hosts.Totals(1, 2, 1, 2), 'other': hosts.Totals(1, 3, 0, 0)}


def test_a_zone_is_available_while_one_of_its_services_is_enabled(database, ctxt):
    for host, zone in (('a', 'east'), ('b', 'east'), ('c', 'west')):
        services.heartbeat(ctxt, 'cinder-volume', host, 'topic', zone)
    services.heartbeat(ctxt, 'cinder-scheduler', 'd', 'topic', 'north')
    for host in ('a', 'c'):
        services.set_disabled(ctxt, 'cinder-volume', host, True)
    assert services.zones(ctxt, 'cinder-volume') == {'east': True, 'west': False}


def test_service_that_nobody_has_heard_of_is_not_alive(database, ctxt):
    _beat(ctxt, binary=services.VOLUME_BINARY)
    assert services.is_alive(ctxt, 'node@alpha', 60)
    assert not services.is_alive(ctxt, 'node@beta', 60)


def test_service_is_not_alive_once_its_heart_has_stood_still(database, ctxt):
    row = _beat(ctxt, binary=services.VOLUME_BINARY)
    _set(ctxt, row.id, updated_at=timeutils.utcnow() - datetime.timedelta(seconds=61))
    assert not services.is_alive(ctxt, 'node@alpha', 60)


def test_backend_is_active_at_home_until_its_row_says_otherwise(database, ctxt):
    row = _beat(ctxt, binary=services.VOLUME_BINARY)
    assert services.active_backend(ctxt, 'node@alpha') is None
    assert services.active_backend(ctxt, 'node@beta') is None
    _set(ctxt, row.id, active_backend_id='alpha-dr')
    assert services.active_backend(ctxt, 'node@alpha') == 'alpha-dr'


@session.writer
def _set(context, service_id, **values):
    row = context.session.get(models.Service, service_id)
    for name, value in values.items():
        setattr(row, name, value)
