"""What is remembered of reports."""
# SPDX-License-Identifier: Apache-2.0

import types

import blank
import pytest
from oslo_utils import timeutils

from cinder_ext import context
from cinder_ext.conf import options
from cinder_ext.db import (
    migration_claims,
    placement,
    replication_models,
    services,
    session,
    transition,
    volume_migrations,
    volumes,
)
from cinder_ext.drivers import values
from cinder_ext.objects import backend_report
from cinder_ext.scheduler import backends, replication
from cinder_ext.states import migration as migration_states
from cinder_ext.states import replication as replication_states
from cinder_ext.states import volume as volume_states

GIB = 1024 ** 3


@pytest.fixture
def known(tmp_path):
    """Backends with the service of h@a alive; yields (backends, context)."""
    conf = options.new()
    options.parse(conf, [])
    conf.set_override('connection', f'sqlite:///{tmp_path}/test.db', 'database')
    blank.put(tmp_path / 'test.db')
    session.configure(conf)
    ctxt = context.admin_context()
    services.heartbeat(ctxt, backends.VOLUME_BINARY, 'h@a', 'topic', 'nova')
    yield backends.Backends(60), ctxt
    session.dispose()


def _report(free=50, age_seconds=0, ratio=2.0, provisioned=0, formula=None, **capabilities):
    pool = values.PoolReport('p', 100 * GIB, free if isinstance(free, str) else free * GIB, 0,
                             provisioned * GIB, capabilities)
    section = types.SimpleNamespace(max_over_subscription_ratio=ratio, reserved_percentage=10,
                                    filter_function=formula, goodness_function=None)
    report = backend_report.BackendReport.of(
        'h@a', 'nova', ([pool], ['changed_ranges'], values.Promises()), section,
        {'h@a#p': (3, 30 * GIB)})
    report.reported_at -= age_seconds
    return report


def test_pool_has_the_figures_of_the_report_and_the_words_of_the_driver(known):
    found, ctxt = known
    found.update(_report(colour='red'))
    [pool] = found.pools(ctxt)
    assert (pool.host, pool.free_bytes, pool.reserved_percentage) == ('h@a#p', 50 * GIB, 10)
    assert pool.capabilities == {'volume_backend_name': 'p', 'changed_ranges': True,
                                 'colour': 'red'}
    assert (pool.is_alive, pool.is_enabled, pool.fault) == (True, True, None)


def test_older_report_does_not_replace_a_later_one(known):
    found, ctxt = known
    found.update(_report(free=50))
    found.update(_report(free=70, age_seconds=0.1))
    assert found.pools(ctxt)[0].free_bytes == 50 * GIB


def test_what_was_placed_counts_until_the_next_report(known):
    found, ctxt = known
    found.update(_report(age_seconds=1))
    found.consume(found.pools(ctxt)[0], 20 * GIB)
    [pool] = found.pools(ctxt)
    assert (pool.free_bytes, pool.provisioned_bytes) == (30 * GIB, 20 * GIB)
    assert (pool.volume_count, pool.allocated_bytes) == (4, 50 * GIB)
    found.update(_report())
    assert found.pools(ctxt)[0].free_bytes == 50 * GIB


def test_pools_of_a_backend_that_went_down_stay_known_with_the_fault(known):
    found, ctxt = known
    found.update(_report(age_seconds=1))
    found.update(backend_report.BackendReport.of_fault('h@a', 'nova', 'unplugged'))
    [pool] = found.pools(ctxt)
    assert pool.fault == 'unplugged'


def test_disabled_service_and_silent_service_show_in_its_pools(known):
    found, ctxt = known
    found.update(_report())
    services.set_disabled(ctxt, backends.VOLUME_BINARY, 'h@a', True)
    assert found.pools(ctxt)[0].is_enabled is False
    services.remove(ctxt, backends.VOLUME_BINARY, 'h@a')
    assert found.pools(ctxt)[0].is_alive is False


def test_knowledge_is_complete_when_every_living_service_has_reported(known):
    found, ctxt = known
    assert not found.is_complete(ctxt)
    found.update(_report())
    assert found.is_complete(ctxt)
    services.heartbeat(ctxt, backends.VOLUME_BINARY, 'h@b', 'topic', 'nova')
    assert not found.is_complete(ctxt)


def test_pool_has_the_volumes_that_are_recorded_there(known):
    found, ctxt = known
    found.update(_report())
    [pool] = found.pools(ctxt)
    assert (pool.volume_count, pool.allocated_bytes) == (3, 30 * GIB)


def test_automatic_ratio_follows_what_is_provisioned_and_used(known):
    found, ctxt = known
    found.update(_report(ratio='auto', age_seconds=1))
    assert found.pools(ctxt)[0].max_over_subscription_ratio == 20.0
    found.update(_report(ratio='auto', free=51, provisioned=150))
    assert found.pools(ctxt)[0].max_over_subscription_ratio == 4.0


def test_pool_that_cannot_tell_what_is_free_stays_so_when_something_is_placed(known):
    found, ctxt = known
    found.update(_report(free='unknown'))
    found.consume(found.pools(ctxt)[0], GIB)
    [pool] = found.pools(ctxt)
    assert (pool.free_bytes, pool.is_bounded, pool.volume_count) == ('unknown', False, 4)


def test_configured_formula_counts_before_that_of_the_driver(known):
    found, ctxt = known
    found.update(_report(filter_function='1', goodness_function='50', age_seconds=1))
    [pool] = found.pools(ctxt)
    assert (pool.filter_function, pool.goodness_function) == ('1', '50')
    found.update(_report(filter_function='1', formula='2', age_seconds=0.5))
    assert found.pools(ctxt)[0].filter_function == '2'
    found.update(_report(filter_function={'no': 'text'}))
    assert found.pools(ctxt)[0].filter_function == "{'no': 'text'}"


def _placed(ctxt, size):
    """A migration that was sent to the pool, and its volume's id."""
    volume = volumes.create(ctxt, {'project_id': 'p', 'user_id': 'u', 'size': size, 'host': 'h@c#c'})
    transition.move(ctxt, volume_states.MACHINE, volume.id, 'created')
    record = volume_migrations.start(ctxt, volume.id, {'operation': 'migrate'}, None)
    placement.schedule(ctxt, record.id, 'h@a#p')
    return volume_migrations.get(ctxt, record.id)


def _claim(ctxt, record, physical, virtual):
    assert migration_claims.save_plan(
        ctxt, record, [], {'promises': {'thin': True}},
        migration_claims.Claim(physical * GIB, virtual * GIB), migration_claims.Room(), {}) == []


def _figures(found, ctxt):
    [pool] = found.pools(ctxt)
    return pool.free_bytes // GIB, pool.provisioned_bytes // GIB, pool.volume_count


def test_migrations_on_their_way_count_whatever_is_reported_meanwhile(known):
    found, ctxt = known
    found.update(_report(age_seconds=1, thin_provisioning_support=True))
    record = _placed(ctxt, 20)
    assert _figures(found, ctxt) == (50, 20, 4)
    _claim(ctxt, record, 30, 20)
    assert _figures(found, ctxt) == (20, 20, 3)
    volume_migrations.update(ctxt, record.id, {'bytes_written': 10 * GIB})
    found.update(_report(free=40, thin_provisioning_support=True))
    assert _figures(found, ctxt) == (20, 20, 3)
    transition.move(ctxt, migration_states.MACHINE, record.id, 'cancel')
    assert _figures(found, ctxt) == (40, 0, 3)


def test_migration_to_a_pool_that_is_not_thin_takes_its_size_before_its_plan_is_made(known):
    found, ctxt = known
    found.update(_report())
    record = _placed(ctxt, 20)
    assert _figures(found, ctxt) == (30, 20, 4)
    _claim(ctxt, record, 70, 20)
    assert _figures(found, ctxt) == (0, 20, 3)
    volume_migrations.fail(ctxt, _placed(ctxt, 5).id, 'fail', 'it', 'code', 'none')
    assert _figures(found, ctxt) == (0, 20, 3)


def test_claims_on_a_pool_that_cannot_tell_what_is_free_change_nothing_there(known):
    found, ctxt = known
    found.update(_report(free='unknown'))
    _claim(ctxt, _placed(ctxt, 20), 30, 20)
    [pool] = found.pools(ctxt)
    assert (pool.free_bytes, pool.provisioned_bytes) == ('unknown', 20 * GIB)


@session.writer
def _whole(ctxt, scope, protected_id, **values):
    ctxt.session.merge(replication_models.ReplicationClaim(
        kind='container', key=f'{scope}:{protected_id}', scope=scope, protected_id=protected_id))
    transition.insert(ctxt, replication_states.MACHINE, {
        'scope': scope, 'protected_id': protected_id, 'home': 'h@a', 'target': 'far',
        'mode': 'async', 'topology': 'active-passive', 'auto_failover': 'none',
        'interval_seconds': 10, 'retention': 3, **values})


def test_pool_knows_that_it_or_its_backend_is_replicated_as_a_whole(known):
    found, ctxt = known
    found.update(_report(replication_enabled=True))
    assert found.pools(ctxt)[0].wholes == ()
    _whole(ctxt, 'pool', 'h@a#p')
    _whole(ctxt, 'pool', 'h@a#another')
    _whole(ctxt, 'pool', 'h@a#p', target='gone', deleted_at=timeutils.utcnow())
    assert found.pools(ctxt)[0].wholes == (
        replication.Whole('pool', 'h@a#p', 'far', 'async', 'enabling'),)
    _whole(ctxt, 'backend', 'h@a')
    assert [whole.scope for whole in found.pools(ctxt)[0].wholes] == ['pool', 'backend']


def test_what_a_volume_of_its_own_claims_is_no_whole(known):
    found, ctxt = known
    found.update(_report(replication_enabled=True))
    _whole(ctxt, 'volume', 'v')
    assert found.pools(ctxt)[0].wholes == ()
