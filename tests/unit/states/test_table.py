"""Machines and rows, and what every state table of the service has in common."""
# SPDX-License-Identifier: Apache-2.0

import pytest

from cinder_ext.states import attachment, migration, snapshot, volume
from cinder_ext.states.table import Machine, Row

MACHINES = {'volume': volume.MACHINE, 'snapshot': snapshot.MACHINE,
            'attachment': attachment.MACHINE, 'migration': migration.MACHINE}
ATTACH_STATUS_WORDS = {'attached', 'attaching', 'reserved', 'detached'}


@pytest.fixture(params=MACHINES.values(), ids=MACHINES)
def machine(request):
    return request.param


def _reachable(machine):
    reached = set(machine.initial)
    while True:
        more = {row.target for row in machine if reached.intersection(row.sources)} - reached
        if not more:
            return reached
        reached |= more


def test_every_state_can_be_reached_from_an_initial_one(machine):
    assert sorted(_reachable(machine)) == machine.states


def test_every_source_is_a_state_that_something_leads_to(machine):
    led_to = {*machine.initial, *(row.target for row in machine)}
    assert [(row.event, source) for row in machine for source in row.sources
            if source not in led_to] == []


def test_no_row_names_a_source_twice(machine):
    for row in machine:
        assert len(set(row.sources)) == len(row.sources) > 0, row.event


def test_events_are_lower_case_words_with_hyphens(machine):
    for row in machine:
        assert row.event.replace('-', '').isalpha()
        assert row.event == row.event.lower()


def test_an_event_has_one_row():
    with pytest.raises(ValueError, match='two rows for go'):
        Machine('thing', 'status', ('a',), (Row('go', ('a',), 'b'), Row('go', ('b',), 'a')))


def test_a_row_is_found_by_its_event_and_an_unknown_one_is_an_error():
    machine = Machine('thing', 'status', ('a',), (Row('go', ('a',), 'b'),))
    assert machine.row('go').target == 'b'
    with pytest.raises(KeyError):
        machine.row('come')


def test_states_are_all_that_occur_sorted():
    machine = Machine('thing', 'status', ('c',), (Row('go', ('c', 'a'), 'b'),))
    assert machine.states == ['a', 'b', 'c']


def test_the_attach_status_takes_only_words_of_the_api():
    assert set(volume.ATTACH.states) <= ATTACH_STATUS_WORDS
    assert {row.target for row in volume.ATTACH} == {'attached', 'detached'}
