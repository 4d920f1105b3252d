"""Quota of a destination type: taken at the start, by one of those who race, given back in the end."""
# SPDX-License-Identifier: Apache-2.0

import concurrent.futures
import threading

import pytest

from cinder_ext import context as contexts
from cinder_ext import exceptions
from cinder_ext.db import (
    migration_actions,
    migration_facts,
    migration_preview,
    placement,
    quota_errors,
    quotas,
    snapshots,
    transition,
    volume_migrations,
    volume_requests,
    volume_types,
    volumes,
)
from cinder_ext.states import messages as words
from cinder_ext.states import migration as states


@pytest.fixture
def fast(database, ctxt):
    return volume_types.create(ctxt, {'name': 'fast'}).id


@pytest.fixture
def make_chain(make_volume, ctxt):
    """make_chain(**columns) -> id of a volume of 2 GiB with a snapshot."""
    def make(**columns):
        volume_id = make_volume(size=2, **columns)
        snapshot_id = snapshots.create(ctxt, {'volume_id': volume_id}).id
        volume_requests.reset_snapshot_status(ctxt, snapshot_id, 'available')
        return volume_id
    return make


def _start(context, volume_id, type_id):
    return volume_migrations.start(context, volume_id, {
        'operation': 'retype', 'destination_type_id': type_id, 'include_snapshots': True}, 'retype')


def _used(ctxt, type_id):
    used = quotas.usage(ctxt, 'project')
    return tuple(used[quotas.of_type(resource, type_id)] for resource in quotas.OF_TYPES)


@pytest.mark.parametrize(('resource', 'limit', 'error'), [
    ('volumes', 1, quota_errors.VolumeLimitExceeded),
    ('snapshots', 1, quota_errors.SnapshotLimitExceeded),
    ('gigabytes', 7, quota_errors.VolumeSizeExceedsAvailableQuota)])
def test_of_many_that_are_retyped_at_once_one_is_admitted(make_chain, fast, ctxt, resource, limit,
                                                          error):
    quotas.set_limits(ctxt, 'project', {quotas.of_type(resource, fast): limit})
    chains = [make_chain() for _ in range(6)]
    barrier = threading.Barrier(len(chains))

    def retype(volume_id):
        barrier.wait()
        try:
            return _start(contexts.RequestContext(user_id='user', overwrite=False), volume_id, fast)
        except error:
            return None

    with concurrent.futures.ThreadPoolExecutor(len(chains)) as threads:
        begun = [found for found in threads.map(retype, chains) if found is not None]
    assert len(begun) == 1
    assert _used(ctxt, fast) == (1, 4, 1)
    assert sorted(volumes.get(ctxt, each).status for each in chains) == ['available'] * 5 + ['retyping']


def _refuse(ctxt, record):
    placement.end(ctxt, record.id, 'refuse', exceptions.NoValidBackend(reason='none'),
                  words.NO_DESTINATION)


def _fail(ctxt, record):
    _run(ctxt, record, 'schedule')
    volume_migrations.fail(ctxt, record.id, 'fail', 'it', 'code', 'none')


def _revert(ctxt, record):
    _run(ctxt, record, 'schedule', 'copy', 'revert')
    volume_migrations.fail(ctxt, record.id, 'fail', 'it', 'code', 'none')


def _cancel_unplaced(ctxt, record):
    migration_actions.cancel(ctxt, record.id)


def _cancel(ctxt, record):
    _run(ctxt, record, 'schedule', 'copy')
    migration_actions.pause(ctxt, record.id)
    migration_actions.cancel(ctxt, record.id)
    assert _used(ctxt, record.destination_type_id) == (1, 4, 1)
    migration_actions.end_called_off(ctxt, record.id)


def _run(ctxt, record, *events):
    for event in events:
        transition.move(ctxt, states.MACHINE, record.id, event)
        assert _used(ctxt, record.destination_type_id) == (1, 4, 1)


@pytest.mark.parametrize('end', [_refuse, _fail, _revert, _cancel_unplaced, _cancel],
                         ids=lambda end: end.__name__.strip('_'))
def test_whatever_ends_it_gives_the_quota_back(make_chain, fast, ctxt, end):
    quotas.set_limits(ctxt, 'project', {quotas.of_type('gigabytes', fast): 4})
    volume_id, other = make_chain(), make_chain()
    record = _start(ctxt, volume_id, fast)
    assert _used(ctxt, fast) == (1, 4, 1)
    with pytest.raises(quota_errors.VolumeSizeExceedsAvailableQuota):
        _start(ctxt, other, fast)
    end(ctxt, record)
    assert _used(ctxt, fast) == (0, 0, 0)
    assert volumes.get(ctxt, volume_id).status == 'available'
    _start(ctxt, other, fast)


def test_a_retry_is_admitted_anew(make_chain, fast, ctxt):
    quotas.set_limits(ctxt, 'project', {quotas.of_type('gigabytes', fast): 4})
    volume_id, other = make_chain(), make_chain()
    record = _start(ctxt, volume_id, fast)
    _refuse(ctxt, record)
    _start(ctxt, other, fast)
    with pytest.raises(quota_errors.VolumeSizeExceedsAvailableQuota):
        migration_actions.retry(ctxt, record.id)
    assert volumes.get(ctxt, volume_id).status == 'available'
    assert _used(ctxt, fast) == (1, 4, 1)


def test_the_commit_gives_the_old_type_back(make_chain, fast, ctxt):
    slow = volume_types.create(ctxt, {'name': 'slow'}).id
    volume_id = make_chain(volume_type_id=slow)
    record = _start(ctxt, volume_id, fast)
    assert (_used(ctxt, slow), _used(ctxt, fast)) == ((1, 4, 1), (1, 4, 1))
    _run(ctxt, record, 'schedule')
    snapshot = snapshots.of_volume(ctxt, volume_id)[0]
    volume_migrations.save_plan(ctxt, record.id, [
        {'snapshot_id': each, 'size_bytes': 1, 'source_name_id': record.source_name_id,
         'destination_name_id': record.destination_name_id} for each in (snapshot.id, None)], {})
    _run(ctxt, record, 'commit')
    volume_migrations.swap(ctxt, record.id, record.attempt)
    assert (_used(ctxt, slow), _used(ctxt, fast)) == ((0, 0, 0), (1, 4, 1))


def test_what_consumes_no_quota_takes_none(make_volume, fast, ctxt):
    quotas.set_limits(ctxt, 'project', {quotas.of_type('volumes', fast): 0})
    _start(ctxt, make_volume(consumes_quota=False), fast)
    assert _used(ctxt, fast) == (0, 0, 0)


def test_a_volume_without_a_type_is_retyped_and_migrated(make_chain, fast, ctxt):
    """Migrating keeps the type, none here: no type's quota is asked."""
    quotas.set_limits(ctxt, 'project', {quotas.of_type('volumes', fast): 1})
    record = volume_migrations.start(ctxt, make_chain(), {
        'operation': 'migrate', 'destination_host': 'node@beta', 'include_snapshots': True}, None)
    assert record.destination_type_id is None
    assert _used(ctxt, fast) == (0, 0, 0)
    _start(ctxt, make_chain(), fast)
    assert _used(ctxt, fast) == (1, 4, 1)
    with pytest.raises(quota_errors.VolumeLimitExceeded):
        _start(ctxt, make_chain(), fast)


def _lacking(ctxt, **request):
    record = migration_preview.record_of(ctxt, request)
    return migration_facts.subject_of(ctxt, record).lacking


def test_the_dry_run_says_all_that_the_quota_lacks_and_locks_nothing(make_chain, fast, ctxt):
    quotas.set_limits(ctxt, 'project', {quotas.of_type('gigabytes', fast): 3,
                                        quotas.of_type('snapshots', fast): 0})
    volume_id = make_chain()
    first, second = _lacking(ctxt, volume_id=volume_id, operation='retype',
                             destination_type_id=fast)
    assert 'gigabytes_fast: 0 GiB are in use, 4 GiB more' in first
    assert 'snapshots_fast: 0 are in use, 1 more' in second
    assert _lacking(ctxt, volume_id=volume_id, operation='migrate') == []
    quotas.set_limits(ctxt, 'project', {quotas.of_type('gigabytes', fast): 4,
                                        quotas.of_type('snapshots', fast): 1})
    assert _lacking(ctxt, volume_id=volume_id, operation='retype', destination_type_id=fast) == []
    record = _start(ctxt, volume_id, fast)
    # It counts itself by now.
    assert migration_facts.subject_of(ctxt, record).lacking == []


def test_the_facts_know_who_hangs_on_a_volume(make_chain, make_volume, ctxt):
    volume_id = make_chain()
    snapshot = snapshots.of_volume(ctxt, volume_id)[0]
    hanging = [make_volume(snapshot_id=snapshot.id), make_volume(source_volid=volume_id)]
    make_volume(snapshot_id=snapshot.id, host='node@Alpha#alpha')
    make_volume(snapshot_id=snapshot.id, host='node@beta#beta')
    volumes.mark_deleted(ctxt, make_volume(source_volid=volume_id))
    record = migration_preview.record_of(ctxt, {'volume_id': volume_id})
    found = migration_facts.subject_of(ctxt, record)
    assert found.dependents == sorted(hanging)
    assert (found.others, found.clones) == ([], [])
    other = volume_migrations.start(ctxt, volume_id, {'operation': 'migrate'}, None)
    assert migration_facts.subject_of(ctxt, record).others == [other.id]
    assert migration_facts.subject_of(ctxt, other).others == []
