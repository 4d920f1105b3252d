"""What the old calls write when a whole backend is failed over, on real databases."""
# SPDX-License-Identifier: Apache-2.0

import concurrent.futures
import threading

import pytest

from cinder_ext import context as contexts
from cinder_ext import exceptions
from cinder_ext.db import (
    backend_failovers,
    failovers,
    replication_operations,
    replications,
    services,
)
from cinder_ext.states import replication_policy

HOST = 'node@alpha'


@pytest.fixture
def backend(database, ctxt):
    """A service that can be failed over."""
    services.heartbeat(ctxt, services.VOLUME_BINARY, HOST, 'topic', 'nova')
    backend_failovers.announce(ctxt, HOST, True)
    return HOST


def shown(ctxt):
    row = services.get(ctxt, services.VOLUME_BINARY, HOST)
    return row.replication_status, row.active_backend_id, row.disabled, row.disabled_reason


def replicated(ctxt, make_volume, target, host='node@alpha#p'):
    volume_id = make_volume(host=host)
    policy = replication_policy.merge(None, replication_policy.Policy(True))
    return volume_id, replications.create(ctxt, policy, volume_id, target)


def test_service_says_what_its_driver_can_and_never_forgets_a_failover(backend, ctxt):
    assert shown(ctxt) == ('enabled', None, False, None)
    backend_failovers.announce(ctxt, HOST, False)
    assert shown(ctxt)[0] == 'disabled'
    backend_failovers.announce(ctxt, HOST, True)
    backend_failovers.ask(ctxt, HOST, 'far')
    failovers.end_backend(ctxt, HOST, 'failed-over', 'far')
    for is_able in (True, False):
        backend_failovers.announce(ctxt, HOST, is_able)
        assert shown(ctxt) == ('failed-over', 'far', True, 'failed-over')


def test_members_are_the_volumes_that_are_replicated_to_the_target(backend, ctxt, make_volume):
    wanted, row = replicated(ctxt, make_volume, 'far')
    replicated(ctxt, make_volume, 'near')
    replicated(ctxt, make_volume, 'far', 'node@beta#p')
    make_volume(host='node@alpha#p')
    asked = backend_failovers.ask(ctxt, HOST, 'far')
    [member] = replication_operations.members(ctxt, asked.id)
    assert (member.volume_id, member.replication_id) == (wanted, row.id)
    assert (asked.verb, asked.scope, asked.home, asked.target, asked.allow_attached) == (
        'failover', 'backend', HOST, 'far', True)


def test_first_of_the_configured_targets_that_is_used_is_meant(backend, ctxt, make_volume):
    for target in ('c', 'b'):
        replicated(ctxt, make_volume, target)
    with pytest.raises(exceptions.InvalidInput, match='replicates to b, c; name a target'):
        backend_failovers.ask(ctxt, HOST, None)
    assert backend_failovers.ask(ctxt, HOST, None, ['a', 'c', 'b']).target == 'c'


def test_of_several_failovers_at_once_one_wins(backend, ctxt):
    barrier = threading.Barrier(4)

    def ask(_number):
        barrier.wait()
        try:
            return backend_failovers.ask(contexts.admin_context(), HOST, 'far').id
        except (exceptions.InvalidInput, exceptions.ReplicationOperationActive):
            return None

    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        won = [each for each in threads.map(ask, range(4)) if each]
    assert [row.id for row in replication_operations.open_of(ctxt, HOST)] == won
    assert shown(ctxt)[0] == 'failing-over'


@pytest.mark.parametrize('events', [(), ('failed-over',), ('failover-failed',)],
                         ids=['home', 'away', 'failed'])
def test_what_was_not_begun_is_shown_no_more(backend, ctxt, events):
    for event in events:
        backend_failovers.ask(ctxt, HOST, 'near')
        failovers.end_backend(ctxt, HOST, event, 'near')
        for row in replication_operations.open_of(ctxt, HOST):
            replication_operations.close(ctxt, row.id)
    before = shown(ctxt)
    asked = backend_failovers.ask(ctxt, HOST, 'far')
    assert shown(ctxt)[0] == 'failing-over'
    for _ in range(2):
        backend_failovers.give_back(ctxt, replication_operations.get(ctxt, asked.id))
        assert shown(ctxt) == before


def test_force_is_decided_once(backend, ctxt):
    asked = backend_failovers.ask(ctxt, HOST, 'far')
    assert asked.facts[backend_failovers.FORCE_IF_NEEDED] is True
    backend_failovers.decide_force(ctxt, asked.id, True)
    row = replication_operations.get(ctxt, asked.id)
    assert (row.force, row.facts[backend_failovers.FORCE_IF_NEEDED]) == (True, False)
    assert row.facts[backend_failovers.FORMER] == 'enabled'
