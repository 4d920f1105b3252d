"""From where to where an operation moves a replication; what it does at once."""
# SPDX-License-Identifier: Apache-2.0

import threading
import types
import uuid

import pytest

from cinder_ext import exceptions
from cinder_ext.volume import engine
from cinder_ext.volume.replication import work as works


def sides(verb, source=None, **asked):
    return works.sides(
        types.SimpleNamespace(**{'verb': verb, 'target': None, 'discard': None, **asked}),
        types.SimpleNamespace(target='dr', source_side=source))


@pytest.mark.parametrize(('verb', 'source', 'found'), [
    ('failover', None, (None, 'dr')), ('failback', 'dr', ('dr', None)),
    ('failback', None, ('dr', None)), ('reprotect', 'dr', ('dr', None)),
    ('sync_now', None, (None, 'dr')), ('test', 'dr', ('dr', None))])
def test_the_sides_follow_from_the_verb(verb, source, found):
    assert sides(verb, source) == found


def test_a_resync_discards_what_it_names():
    assert sides('resync', 'dr', discard='home') == ('dr', None)
    assert sides('resync', 'dr', discard='dr') == (None, 'dr')


@pytest.fixture
def work():
    made = works.Work.__new__(works.Work)
    made.tools = types.SimpleNamespace(stopping=threading.Event())
    made.context = types.SimpleNamespace()
    made.id = 'operation'
    return made


def test_faults_of_arrays_are_told_apart_by_item_and_others_raised(work):
    def call(item):
        if item == 1:
            raise exceptions.NoSpace(reason='full')
        if item == 2:
            raise OSError(5, 'bad')
        return item * 10

    done, failed = work.each(call, range(5))
    assert done == [(0, 0), (3, 30), (4, 40)]
    assert [(item, type(fault)) for item, fault in failed] == [
        (1, exceptions.NoSpace), (2, exceptions.DriverError)]
    with pytest.raises(ZeroDivisionError):
        work.each(lambda item: 1 // item, [1, 0])


def test_a_service_that_stops_begins_nothing_more(work):
    work.tools.stopping.set()
    with pytest.raises(engine.Parked):
        work.each(int, [1])


def test_a_point_has_the_same_id_when_it_is_taken_again(work):
    first = work.point_id('replication', 'last')
    assert work.point_id('replication', 'last') == first != work.point_id('replication', 'now')
    assert str(uuid.UUID(first)) == first
