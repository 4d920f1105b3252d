"""What the scheduler reads and decides, on real databases."""
# SPDX-License-Identifier: Apache-2.0

import concurrent.futures
import threading

import pytest

from cinder_ext import context as contexts
from cinder_ext.db import messages, placement, volumes
from cinder_ext.states import messages as words

GIB = 1024 ** 3


@pytest.fixture
def waiting(make_volume):
    """The id of a volume that is to be made and has no backend yet."""
    return make_volume(status='creating', host=None)


def _race(function, times):
    barrier = threading.Barrier(times)

    def run(number):
        barrier.wait()
        return function(contexts.RequestContext(user_id='user', overwrite=False), number)

    with concurrent.futures.ThreadPoolExecutor(times) as threads:
        return list(threads.map(run, range(times)))


def test_of_several_schedulers_one_places_a_volume(waiting, ctxt):
    placed = _race(lambda context, number: placement.place_volume(
        context, waiting, f'node@{number}#p', 'nova'), 6)
    assert placed.count(True) == 1
    assert volumes.get(ctxt, waiting).host == f'node@{placed.index(True)}#p'


def test_failure_that_is_reported_twice_counts_once(waiting, ctxt):
    placement.place_volume(ctxt, waiting, 'node@a#p', 'nova')
    row = volumes.get(ctxt, waiting)
    found = _race(lambda context, number: placement.place_again(context, row, 'burnt', 3), 4)
    assert sorted(found, key=str) == [None, None, None, True]
    assert placement.tried_hosts(volumes.get(ctxt, waiting)) == ['node@a#p']


def test_volume_goes_round_until_its_attempts_are_used_up(waiting, ctxt):
    for number in (1, 2, 3):
        assert volumes.get(ctxt, waiting).availability_zone is None
        assert placement.place_volume(ctxt, waiting, f'node@{number}#p', f'zone-{number}')
        row = volumes.get(ctxt, waiting)
        assert row.availability_zone == f'zone-{number}'
        assert placement.place_again(ctxt, row, f'burnt {number}', 3) is (number < 3)
    row = volumes.get(ctxt, waiting)
    assert (row.status, row.host) == ('error', 'node@3#p')
    assert row.request['tried'] == [{'host': f'node@{number}#p', 'reason': f'burnt {number}'}
                                    for number in (1, 2, 3)]
    [told] = messages.list_all(ctxt, resource_uuid=waiting)
    assert (told.action_id, told.detail_id) == (words.SCHEDULE_ALLOCATE_VOLUME,
                                                words.NO_BACKEND_AVAILABLE)


def test_hints_survive_a_failure(make_volume, ctxt):
    volume_id = make_volume(status='creating', request={'scheduler_hints': {'a': 1}})
    placement.place_again(ctxt, volumes.get(ctxt, volume_id), 'burnt', 3)
    assert volumes.get(ctxt, volume_id).request['scheduler_hints'] == {'a': 1}


def test_load_of_a_backend_is_counted_by_pool(make_volume, ctxt):
    for host, size in (('n@a#p', 1), ('n@a#p', 4), ('n@a#q', 2), ('n@ab#p', 8), ('n@A#p', 16)):
        make_volume(host=host, size=size)
    found = placement.loads(ctxt, 'n@a')
    assert (found['n@a#p'], found['n@a#q']) == ((2, 5 * GIB), (1, 2 * GIB))
    assert 'n@ab#p' not in found


def test_hosts_are_those_of_the_project_s_placed_volumes(make_volume, ctxt):
    here = make_volume(host='n@a#p')
    others = [make_volume(host='n@b#p', project_id='other'), make_volume(host=None)]
    gone = make_volume(host='n@c#p')
    volumes.mark_deleted(ctxt, gone)
    assert placement.hosts_of(ctxt, {here, gone, *others}, 'project') == {here: 'n@a#p'}
    assert placement.hosts_of(ctxt, set(), 'project') == {}
