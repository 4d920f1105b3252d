"""Services in the database."""
# SPDX-License-Identifier: Apache-2.0

import concurrent.futures
import datetime

import pytest
from oslo_utils import timeutils

from cinder_ext import context as contexts
from cinder_ext import exceptions
from cinder_ext.db import services

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


def test_a_zone_is_available_while_one_of_its_services_is_enabled(database, ctxt):
    for host, zone in (('a', 'east'), ('b', 'east'), ('c', 'west')):
        services.heartbeat(ctxt, 'cinder-volume', host, 'topic', zone)
    services.heartbeat(ctxt, 'cinder-scheduler', 'd', 'topic', 'north')
    for host in ('a', 'c'):
        services.set_disabled(ctxt, 'cinder-volume', host, True)
    assert services.zones(ctxt, 'cinder-volume') == {'east': True, 'west': False}
