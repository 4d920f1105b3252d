"""By which replication a volume takes part, and why it does not."""
# SPDX-License-Identifier: Apache-2.0

import types

import pytest

from cinder_ext.db import replication_operations
from cinder_ext.states import replication as states
from cinder_ext.volume.replication import participants


def asked(verb='failover', **more):
    return types.SimpleNamespace(**{
        'verb': verb, 'scope': 'pool', 'protected_id': 'a-pool', 'target': None, 'discard': None,
        'selector': None, 'replication_id': None, 'consistency': 'strict', **more})


def replication(scope='volume', state='enabled', source=None, **more):
    return types.SimpleNamespace(**{
        'id': f'of a {scope}', 'scope': scope, 'protected_id': 'a-pool', 'state': state,
        'source_side': source, 'target': 'dr', 'cross_os': False, **more})


@pytest.mark.parametrize('verb', states.VERBS)
def test_a_state_that_does_not_allow_a_verb_is_named(verb):
    operation = asked(verb, discard='home')
    for state in states.MACHINE.states:
        row = replication(state=state, source='dr' if verb != 'failover' else None)
        fault = participants.refusal(operation, row)
        if state in replication_operations.FROM[verb]:
            assert fault is None
        else:
            assert (fault.facts['state'], fault.facts['id']) == (state, row.id)


def test_what_is_at_the_target_already_is_not_moved_there_again():
    row = replication(state='error', source='dr')
    assert 'already' in participants.refusal(asked(), row).message
    assert participants.refusal(asked('failback'), row) is None


def test_a_resync_of_an_unknown_side_is_refused():
    row = replication(state='failed-over', source='dr')
    assert 'no side far' in participants.refusal(asked('resync', discard='far'), row).message


def test_its_own_replication_comes_before_narrower_ones():
    own, other = replication('pool'), replication('volume', protected_id='a-volume')
    assert min([other, own], key=lambda each: participants._rank(asked(), each)) is own


def test_the_one_that_was_failed_over_is_failed_back():
    far, near = replication(id='far'), replication(id='near', source='dr', state='failed-over')
    for verb in ('failback', 'reprotect', 'resync'):
        operation = asked(verb, scope='volume', protected_id='a-pool')
        assert min([far, near], key=lambda each: participants._rank(operation, each)) is near


def test_a_target_of_another_cloud_comes_last():
    theirs, ours = replication(id='theirs', cross_os=True), replication(id='ours')
    assert min([theirs, ours], key=lambda each: participants._rank(asked(), each)) is ours


@pytest.mark.parametrize(('scope', 'is_named'), [
    ('volume', True), ('group', True), ('pool', False), ('backend', False)])
def test_what_is_not_replicated_is_a_fault_only_where_it_was_meant(scope, is_named):
    found = participants._why_not(asked(scope=scope), 'a-volume', [])
    assert (found is not None) is is_named


def test_a_wider_replication_is_named():
    found = participants._why_not(asked(scope='volume'), 'a-volume', [replication('backend')])
    assert 'of a backend' in found.message
