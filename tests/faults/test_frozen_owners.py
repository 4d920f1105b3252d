"""Two volume services of one backend: one is frozen past its lease, wakes up, and harms nothing."""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import os
import pathlib
import random
import time

import pairs
import pytest
import servers

from cinder_ext.drivers.conformance import media

LONG = bool(os.environ.get('CINDER_EXT_LONG'))
GIB = 1024 ** 3
LEASE = 20

STEPS = ['own-failure', 'create-target', 'copy-link-0000', 'copy-link-0001', 'copy-link-0002',
         'copy-links', 'verify-chain', 'swap-records',
         'begin-tidy', 'remove-source', 'finish-migration']


@pytest.fixture
def noise():
    return random.Random(13).randbytes


@pytest.fixture(params=['plain'])
def pair(request, tmp_path):
    with contextlib.ExitStack() as stack:
        place = tmp_path
        if request.param == 'xfs':
            place = pathlib.Path(stack.enter_context(media.mounted_xfs(str(tmp_path), 6 * GIB)))
        (place / 'pair').mkdir()
        made = pairs.Pair(place / 'pair')
        stack.callback(made.close)
        made.launch('one', 'two')
        yield made


def freeze(pair, noise, point, is_early=False):
    """One migration whose owner freezes at a point, is succeeded, and wakes up.

    :param is_early: it wakes while its successor is at work; else when that has finished
    :returns: (volume id, refused): whether there was a takeover
    """
    volume_id, before = pair.chain(noise)
    pair.arm('one', point)
    migration_id = pair.migrate(volume_id, 'one')
    pair.until(lambda: pair.is_frozen('one'), name=point)
    frozen = len(pair.events('one'))
    if is_early:
        pair.until(lambda: is_succeeded(pair, migration_id), name=point)
    else:
        pair.is_over(migration_id)
        left = pair.rows()
    pair.thaw('one')
    pair.until(lambda: f'over {migration_id}' in pair.events('one')[frozen:], name=point)
    record = pair.is_over(migration_id)
    if not is_early:
        differing = {name for name, rows in pair.rows().items() if rows != left[name]}
        assert differing <= (set() if record.attempt > 1 else {'volume_migrations'}), point
    if record.attempt > 1:
        changed = [line for line in pair.events('one')[frozen:]
                   if line.startswith(f'changed {migration_id}')]
        assert changed == [], point
    assert (record.phase, record.leftovers or []) == ('finished', []), point
    assert pair.contents(volume_id) == before, point
    return volume_id, record.attempt > 1


def is_succeeded(pair, migration_id):
    record = pair.record(migration_id)
    return record.attempt > 1 or record.phase == 'finished'


def freeze_at(pair, noise, points):
    """Freeze at one point after the other; returns of how many there was a takeover."""
    done, succeeded = [], 0
    for number, point in enumerate(points):
        volume_id, is_taken = freeze(pair, noise, point, number % 2 == 1)
        done.append(volume_id)
        succeeded += is_taken
        assert pair.files() == pair.expected(done), point
    return succeeded


def test_frozen_at_every_step_of_both_flows(pair, noise, record_property):
    points = [f'step:{step}:{state}' for state in ('RUNNING', 'SUCCESS') for step in STEPS]
    points = points if LONG else points[:len(STEPS)]
    # What is finished already has no successor.
    finished = points.count('step:finish-migration:SUCCESS')
    assert freeze_at(pair, noise, points) == len(points) - finished
    record_property('freezes', len(points))


@pytest.mark.parametrize('pair', ['xfs', 'plain'] if LONG else ['xfs'], indirect=True)
def test_frozen_in_the_middle_of_writes_and_calls(pair, noise, record_property):
    points = ['write:1', 'answer:create_snapshot', 'answer:create']
    points += ['answer:connect', *(f'write:{number}' for number in range(2, 9))] if LONG else []
    assert freeze_at(pair, noise, points) == len(points)
    record_property('freezes', len(points))


@pytest.fixture
def layered_pair(tmp_path):
    made = pairs.LayeredPair(tmp_path)
    yield made
    made.close()


def test_frozen_in_the_middle_of_writing_to_layers(layered_pair, noise, record_property):
    """Its view of the layers ends; the successor goes on with what was copied."""
    pair = layered_pair
    pair.launch('one', 'two')
    points = ['write:3', 'answer:create_snapshot']
    points += ['answer:create', 'answer:connect', 'write:4', 'write:5', 'write:8'] if LONG else []
    assert freeze_at(pair, noise, points) == len(points)
    assert pair.has_logged('the destination has other names')
    assert not pair.has_logged('it is begun anew')
    record_property('freezes', len(points))


def test_frozen_around_transactions(pair, noise, record_property):
    moments = random.Random(17)
    points = [f'{kind}:{moments.randrange(1, 120)}' for kind in ('begin', 'end')
              for _ in range(20 if LONG else 1)]
    assert freeze_at(pair, noise, points) >= len(points) - 1
    record_property('freezes', len(points))


@pytest.mark.parametrize('url', servers.database_urls()[:None if LONG else 1],
                         ids=servers.kind)
def test_frozen_in_the_middle_of_transactions(tmp_path, url, noise, record_property):
    """With rows locked: the server ends what is idle for as long as a lease."""
    urls = [servers.neighbour(url, word) for word in ('frozen', 'frozen_flows')]
    for each in urls:
        servers.make_empty(each)
    tmp_path.chmod(0o700)
    pair = pairs.Pair(tmp_path, *urls)
    try:
        pair.launch('one', 'two')
        points = [f'commit:{number}' for number in (range(2, 60, 4) if LONG else (9, 41))]
        assert freeze_at(pair, noise, points) >= len(points) - 1
        record_property('freezes', len(points))
    finally:
        pair.close()


@pytest.fixture
def slow_pair(tmp_path):
    """Copies take some seconds, and a lease longer than the test waits."""
    made = pairs.Pair(tmp_path, lease_seconds=LEASE, more='file_copy_bytes_per_second = 12582912')
    yield made
    made.close()


def test_killed_owner_is_succeeded_before_its_lease_ends(slow_pair, noise):
    """At the other's next look, or at once when it is started again; nothing is renamed."""
    pair = slow_pair
    pair.launch('one', 'two')
    volume_id, before = pair.chain(noise)
    migration_id = pair.migrate(volume_id, 'one')
    pair.until(lambda: pair.record(migration_id).bytes_written)
    name_id = pair.record(migration_id).destination_name_id

    killed_at = time.monotonic()
    pair.kill('one')
    pair.until(lambda: pair.record(migration_id).attempt == 2)
    assert time.monotonic() - killed_at < LEASE / 2
    pair.kill('two')
    pair.launch('one')
    pair.until(lambda: pair.record(migration_id).attempt == 3, seconds=LEASE / 2)

    record = pair.is_over(migration_id)
    assert (record.phase, record.doubtful_attempt) == ('finished', 0)
    assert record.destination_name_id == name_id
    assert pair.contents(volume_id) == before
    assert pair.files() == pair.expected([volume_id])
    # What the dead left is swept when no record names them.
    assert len(os.listdir(pair.directory / 'owners')) <= 2


@pytest.fixture
def steady_pair(tmp_path):
    """With a lease that a busy machine does not miss."""
    made = pairs.Pair(tmp_path, lease_seconds=4)
    yield made
    made.close()


def test_owner_keeps_what_it_works_on_beyond_its_lease(steady_pair, noise):
    """The other one is there and looks; it gets what the first one loses when it is frozen."""
    pair = steady_pair
    pair.launch('one', 'two')
    volume_id, _ = pair.chain(noise)
    pair.arm('one', 'write:9')
    migration_id = pair.migrate(volume_id, 'one')
    pair.until(lambda: pair.is_frozen('one'))
    assert pair.record(migration_id).attempt == 1
    frozen_at = time.monotonic()
    pair.until(lambda: pair.record(migration_id).attempt == 2)
    assert 0.5 < time.monotonic() - frozen_at < 40
    pair.kill('one')
    assert pair.is_over(migration_id).phase == 'finished'
