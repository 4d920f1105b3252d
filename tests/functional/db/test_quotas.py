"""Quotas: what is counted, what is refused, and what a hundred requests at once can do."""
# SPDX-License-Identifier: Apache-2.0

import concurrent.futures
import contextlib
import subprocess
import sys
import threading

import pytest
import sqlalchemy as sa

from cinder_ext import context as contexts
from cinder_ext import exceptions
from cinder_ext.db import (
    group_types,
    groups,
    models,
    quota_errors,
    quotas,
    session,
    snapshots,
    transition,
    volume_migrations,
    volume_requests,
    volume_types,
    volumes,
)
from cinder_ext.states import volume as states

VOLUME = {'project_id': 'project', 'user_id': 'user', 'size': 1}


@pytest.fixture(autouse=True)
def limits_as_shipped(database):
    for option in ('quota_volumes', 'quota_snapshots', 'quota_gigabytes', 'quota_groups'):
        session.options().clear_override(option)


@pytest.fixture
def fast(database, ctxt):
    return volume_types.create(ctxt, {'name': 'fast'}).id


def _create(ctxt, **columns):
    return volumes.create(ctxt, {**VOLUME, **columns}).id


def _count(ctxt, project_id='project'):
    return quotas.usage(ctxt, project_id)['volumes']


def test_the_tenth_volume_is_made_and_the_eleventh_is_refused(database, ctxt):
    for _number in range(10):
        _create(ctxt)
    with pytest.raises(quota_errors.VolumeLimitExceeded, match='exceed'):
        _create(ctxt)
    assert _count(ctxt) == 10
    _create(ctxt, project_id='another')


def test_what_is_deleted_is_free_at_once(database, ctxt):
    quotas.set_limits(ctxt, 'project', {'volumes': 1})
    volumes.mark_deleted(ctxt, _create(ctxt))
    _create(ctxt)


def test_volumes_and_snapshots_share_the_gigabytes(make_volume, ctxt):
    quotas.set_limits(ctxt, 'project', {'gigabytes': 5})
    volume_id = make_volume(size=2)
    snapshots.create(ctxt, {'volume_id': volume_id})
    with pytest.raises(quota_errors.VolumeSizeExceedsAvailableQuota):
        snapshots.create(ctxt, {'volume_id': volume_id})
    with pytest.raises(quota_errors.VolumeSizeExceedsAvailableQuota):
        _create(ctxt, size=2)
    assert quotas.usage(ctxt, 'project') == {'volumes': 1, 'snapshots': 1, 'gigabytes': 4,
                                             'groups': 0}


def test_snapshots_have_a_limit_of_their_own(make_volume, ctxt):
    quotas.set_limits(ctxt, 'project', {'snapshots': 1})
    volume_id = make_volume()
    snapshots.create(ctxt, {'volume_id': volume_id})
    with pytest.raises(quota_errors.SnapshotLimitExceeded):
        snapshots.create(ctxt, {'volume_id': volume_id})


def test_snapshots_may_be_free_of_gigabytes(make_volume, ctxt):
    session.options().set_override('no_snapshot_gb_quota', True)
    quotas.set_limits(ctxt, 'project', {'gigabytes': 2})
    snapshots.create(ctxt, {'volume_id': make_volume(size=2)})
    assert quotas.usage(ctxt, 'project')['gigabytes'] == 2


def test_what_the_service_makes_for_itself_does_not_count(make_volume, ctxt):
    quotas.set_limits(ctxt, 'project', {'volumes': 0, 'snapshots': 0, 'gigabytes': 0})
    volume_id = make_volume(consumes_quota=False)
    _create(ctxt, consumes_quota=False)
    snapshots.create(ctxt, {'volume_id': volume_id, 'consumes_quota': False})
    volume_requests.begin_extend(ctxt, volume_id, 'extend', 2)
    assert not +quotas.usage(ctxt, 'project')


def test_one_volume_may_be_as_large_as_the_limit(database, ctxt):
    quotas.set_limits(ctxt, 'project', {quotas.PER_VOLUME: 2})
    _create(ctxt, size=2)
    with pytest.raises(quota_errors.VolumeSizeExceedsLimit):
        _create(ctxt, size=3)


def test_a_volume_type_has_limits_of_its_own(fast, ctxt):
    quotas.set_limits(ctxt, 'project', {quotas.of_type('volumes', fast): 1,
                                        quotas.of_type('gigabytes', fast): 3})
    _create(ctxt, volume_type_id=fast)
    with pytest.raises(quota_errors.VolumeLimitExceeded, match='volumes_fast'):
        _create(ctxt, volume_type_id=fast)
    _create(ctxt)


def test_a_project_s_limit_comes_before_the_default_class_and_that_before_the_option(
        database, ctxt):
    session.options().set_override('quota_volumes', 3)
    wanted = ['volumes', 'snapshots']
    assert quotas.limits(ctxt, wanted, 'project') == {'volumes': 3, 'snapshots': 10}
    quotas.set_class_limits(ctxt, 'default', {'volumes': 4})
    assert quotas.limits(ctxt, wanted, 'project')['volumes'] == 4
    quotas.set_limits(ctxt, 'project', {'volumes': 5})
    assert quotas.limits(ctxt, wanted, 'project')['volumes'] == 5
    assert quotas.limits(ctxt, wanted, 'another')['volumes'] == 4
    quotas.forget_limits(ctxt, 'project')
    assert quotas.limits(ctxt, wanted, 'project')['volumes'] == 4


def test_a_limit_below_what_is_used_is_refused(database, ctxt):
    _create(ctxt, size=3)
    with pytest.raises(exceptions.InvalidInput):
        quotas.set_limits(ctxt, 'project', {'volumes': 5, 'gigabytes': 2})
    assert quotas.limits(ctxt, ['volumes'], 'project') == {'volumes': 10}
    quotas.set_limits(ctxt, 'project', {'volumes': -1, 'gigabytes': 3, quotas.PER_VOLUME: 1})


def test_an_extend_counts_from_the_moment_that_it_begins(make_volume, ctxt):
    quotas.set_limits(ctxt, 'project', {'gigabytes': 5})
    volume_id = make_volume(size=1)
    with pytest.raises(quota_errors.VolumeSizeExceedsAvailableQuota):
        volume_requests.begin_extend(ctxt, volume_id, 'extend', 6)
    assert volumes.get(ctxt, volume_id).status == 'available'
    volume_requests.begin_extend(ctxt, volume_id, 'extend', 4)
    assert quotas.usage(ctxt, 'project')['gigabytes'] == 4
    with pytest.raises(quota_errors.VolumeSizeExceedsAvailableQuota):
        _create(ctxt, size=2)
    transition.move(ctxt, states.MACHINE, volume_id, 'extend-failed')
    assert quotas.usage(ctxt, 'project')['gigabytes'] == 1


def test_an_extend_beyond_what_one_volume_may_have_is_refused(make_volume, ctxt):
    quotas.set_limits(ctxt, 'project', {quotas.PER_VOLUME: 2})
    with pytest.raises(quota_errors.VolumeSizeExceedsLimit):
        volume_requests.begin_extend(ctxt, make_volume(), 'extend', 3)


def test_a_retype_needs_room_in_its_new_type_for_the_snapshots_too(make_volume, fast, ctxt):
    quotas.set_limits(ctxt, 'project', {quotas.of_type('gigabytes', fast): 3})
    volume_id = make_volume(size=2)
    snapshots.create(ctxt, {'volume_id': volume_id})
    volume_requests.reset_snapshot_status(
        ctxt, snapshots.of_volume(ctxt, volume_id)[0].id, 'available')
    wanted = {'operation': 'retype', 'destination_type_id': fast}
    with pytest.raises(quota_errors.VolumeSizeExceedsAvailableQuota):
        volume_migrations.start(ctxt, volume_id, wanted, 'retype')
    assert volumes.get(ctxt, volume_id).status == 'available'
    quotas.set_limits(ctxt, 'project', {quotas.of_type('gigabytes', fast): 4})
    record = volume_migrations.start(ctxt, volume_id, wanted, 'retype')
    used = quotas.usage(ctxt, 'project')
    assert (used['gigabytes'], used[f'gigabytes_{fast}'], used[f'snapshots_{fast}']) == (4, 4, 1)
    with pytest.raises(quota_errors.VolumeSizeExceedsAvailableQuota):
        _create(ctxt, volume_type_id=fast)
    volume_migrations.fail(ctxt, record.id, 'refuse', 'no', 'code', 'none')
    assert quotas.usage(ctxt, 'project')[f'gigabytes_{fast}'] == 0


def test_groups_have_a_limit(database, ctxt):
    group_type = group_types.create(ctxt, {'name': 'any'})
    quotas.set_limits(ctxt, 'project', {'groups': 1})
    columns = {'project_id': 'project', 'user_id': 'user', 'group_type_id': group_type.id}
    group_id = groups.create(ctxt, columns, []).id
    with pytest.raises(quota_errors.GroupLimitExceeded):
        groups.create(ctxt, columns, [])
    assert quotas.usage(ctxt, 'project', ['groups'])['groups'] == 1
    groups.mark_deleted(ctxt, group_id)
    groups.create(ctxt, columns, [])


def test_names_on_the_wire_hide_the_types_that_a_project_may_not_use(fast, ctxt):
    secret = volume_types.create(ctxt, {'name': 'secret', 'is_public': False}).id
    assert quotas.names(ctxt)['gigabytes_secret'] == f'gigabytes_{secret}'
    shown = quotas.names(ctxt, 'project')
    assert shown['volumes_fast'] == f'volumes_{fast}'
    assert 'volumes_secret' not in shown


def test_a_type_that_gets_another_name_keeps_its_limits(fast, ctxt):
    quotas.set_limits(ctxt, 'project', {quotas.of_type('volumes', fast): 7})
    volume_types.update(ctxt, fast, {'name': 'faster'})
    stored = quotas.names(ctxt)['volumes_faster']
    assert quotas.limits(ctxt, [stored], 'project') == {stored: 7}


def test_the_count_takes_two_statements_on_top_of_the_lock(fast, ctxt):
    seen = []

    def note(_connection, _cursor, statement, *_more):
        seen.append(statement)

    @session.writer
    def admit(context):
        quotas.admit(context, 'project', {'volumes': 1, 'gigabytes': 1}, fast)

    admit(ctxt)
    engine = session.get_engine()
    sa.event.listen(engine, 'before_cursor_execute', note)
    try:
        admit(ctxt)
    finally:
        sa.event.remove(engine, 'before_cursor_execute', note)
    counted = [each for each in seen if each.startswith('SELECT') and 'project_locks' not in each]
    assert len(counted) == 2


def _race(number, function):
    """How many of so many calls at once were not refused."""
    barrier = threading.Barrier(number)

    def run(each):
        barrier.wait()
        try:
            return function(contexts.RequestContext(user_id='user', overwrite=False), each) or True
        except exceptions.OverLimit:
            return None

    with concurrent.futures.ThreadPoolExecutor(number) as threads:
        return len([found for found in threads.map(run, range(number)) if found])


def test_of_a_hundred_volumes_at_once_ten_are_made(database, ctxt):
    assert _race(100, lambda context, _each: _create(context)) == 10
    assert _count(ctxt) == 10


def test_volumes_snapshots_and_extends_at_once_do_not_pass_the_gigabytes(make_volume, ctxt):
    quotas.set_limits(ctxt, 'project', {'volumes': -1, 'snapshots': -1, 'gigabytes': 50})
    made = [make_volume() for _number in range(10)]

    def one(context, each):
        if each % 3 == 0:
            return _create(context, size=2)
        if each % 3 == 1:
            return snapshots.create(context, {'volume_id': made[0]})
        with contextlib.suppress(exceptions.InvalidState):
            volume_requests.begin_extend(context, made[1 + each % 9], 'extend', 3)
        return True

    _race(60, one)
    assert 49 <= quotas.usage(ctxt, 'project')['gigabytes'] <= 50


PROCESS = """
import sys
from cinder_ext import context, exceptions
from cinder_ext.conf import options
from cinder_ext.db import session, volumes
conf = options.new()
options.parse(conf, [])
conf.set_override('connection', sys.argv[1], 'database')
session.configure(conf)
print('ready', flush=True)
sys.stdin.readline()
made = 0
for _number in range(25):
    try:
        volumes.create(context.admin_context(), {'project_id': 'project', 'user_id': 'user',
                                                 'size': 1})
        made += 1
    except exceptions.OverLimit:
        pass
print(made)
"""


def test_processes_that_make_a_hundred_at_once_make_ten(database, ctxt):
    running = [subprocess.Popen([sys.executable, '-c', PROCESS, database], text=True,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE)
               for _number in range(4)]
    for process in running:
        assert process.stdout.readline() == 'ready\n'
    for process in running:
        process.stdin.write('\n')
        process.stdin.flush()
    made = [int(process.communicate(timeout=60)[0]) for process in running]
    assert sum(made) == _count(ctxt) == 10
    with session.get_engine().connect() as connection:
        rows = connection.execute(sa.select(sa.func.count()).select_from(models.Volume)).scalar()
    assert rows == 10


def test_of_many_who_set_one_limit_at_once_none_fails(database, ctxt):
    def put(context, each):
        quotas.set_limits(context, 'project', {'volumes': each + 1})
        quotas.set_class_limits(context, 'default', {'volumes': each + 1})

    assert _race(10, put) == 10
    assert 1 <= quotas.limits(ctxt, ['volumes'], 'project')['volumes'] <= 10
