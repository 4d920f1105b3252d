"""The states of replications, and the words that a volume shows of them."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext.states import replication

WORDS = {'error', 'enabled', 'disabled', 'not-capable', 'failing-over', 'failover-error',
         'failed-over', 'enabling', 'disabling', ''}
"""All that replication_status may say: clients compare them literally."""


def test_a_volume_shows_only_words_that_clients_know():
    assert set(replication.VOLUME.states) <= WORDS


def test_every_state_but_the_last_holds_its_claims():
    assert sorted((*replication.ALIVE, replication.DISABLED)) == replication.MACHINE.states


def test_what_ended_never_goes_on():
    ended = {replication.DISABLED}
    assert [row.event for row in replication.MACHINE if ended.intersection(row.sources)] == []
    over = {replication.SUCCEEDED, replication.PARTIAL, replication.FAILED}
    assert [row.event for row in replication.OPERATION if over.intersection(row.sources)] == []


def test_a_failover_may_be_retried_after_an_error():
    assert replication.FAILOVER_ERROR in replication.MACHINE.row('fail-over').sources
    assert 'failover-error' in replication.VOLUME.row('fail-over').sources


def test_two_failovers_cannot_both_begin():
    assert replication.FAILING_OVER not in replication.MACHINE.row('fail-over').sources
    assert 'failing-over' not in replication.VOLUME.row('fail-over').sources


def test_the_events_of_a_volume_are_told_apart_from_those_of_its_status():
    assert not {row.event for row in replication.VOLUME} & {'delete', 'created', 'attached'}
