"""Words of replication that are refused where they are set."""
# SPDX-License-Identifier: Apache-2.0

import pytest

from cinder_ext import exceptions
from cinder_ext.api.resources import replication_specs
from cinder_ext.states.replication_policy import Policy


def _never():
    raise AssertionError('nobody has to look')


@pytest.mark.parametrize('new', [None, {}, {'colour': 'blue'}])
def test_other_specs_cost_nothing(new):
    replication_specs.refuse_bad(new, 'it', _never)


def test_what_is_there_counts_too():
    replication_specs.refuse_bad({'replication:mode': 'sync'}, 'it', lambda: {'colour': 'blue'})
    with pytest.raises(exceptions.InvalidInput, match='it has replication:rpo_seconds'):
        replication_specs.refuse_bad({'replication:schedule': 'every 9 minutes'}, 'it',
                                     lambda: {'replication:rpo_seconds': '60'})


def test_what_takes_the_place_of_another_does_not_contradict_it():
    replication_specs.refuse_bad({'replication:mode': 'sync'}, 'it',
                                 lambda: {'replication:mode': 'async'})


def test_a_request_is_filled_by_the_types_in_their_order():
    found = replication_specs.merged(
        Policy(True, 'volume', rpo_seconds=60), Policy(retention=7), Policy(mode='sync'))
    assert (found.scope, found.rpo_seconds, found.retention, found.mode, found.schedule) == (
        'volume', 60, 7, 'sync', None)


@pytest.mark.parametrize(('asked', 'of_group', 'of_type', 'words'), [
    (Policy(True, 'volume', mode='sync'), None, Policy(mode='async'),
     "request has mode 'sync' and the volume type has replication:mode 'async'"),
    (Policy(True, 'group', rpo_seconds=9), Policy(schedule='every 9 minutes'), None,
     "request has rpo_seconds '9' and the group type has replication:schedule 'every 9 minutes'"),
    (Policy(True, 'group'), Policy(scope='volume'), None, "request has scope 'group'"),
    (Policy(True, 'volume'), Policy(mode='sync'), Policy(mode='async'), 'group type .* volume type')])
def test_a_contradiction_names_both(asked, of_group, of_type, words):
    with pytest.raises(exceptions.InvalidInput, match=words):
        replication_specs.merged(asked, of_group, of_type)
