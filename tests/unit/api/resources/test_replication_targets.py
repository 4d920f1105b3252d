"""Which target a replication gets that names none, or one."""
# SPDX-License-Identifier: Apache-2.0

import types

import pytest

from cinder_ext import exceptions
from cinder_ext.api.resources import replication_targets
from cinder_ext.states.replication_policy import Policy

FAR = {'backend_id': 'far', 'modes': ['async'], 'cross_os': True}
NEAR = {'backend_id': 'near', 'modes': ['async'], 'cross_os': False}
TWIN = {'backend_id': 'twin', 'modes': ['sync'], 'cross_os': False}


class _Call:
    """What the scheduler tells of one backend."""

    rpc = types.SimpleNamespace(scheduler=types.SimpleNamespace(get_pools=None))

    def __init__(self, **told):
        self._pools = [{'name': 'h@other#p', 'capabilities': {'replication_targets': ['x']}},
                       {'name': 'h@b#p', 'capabilities': told}]

    def ask(self, _remote, **_options):
        return self._pools


@pytest.mark.parametrize(('policy', 'name'), [
    (Policy(mode='async'), 'near'), (Policy(mode='sync'), 'twin'),
    (Policy(mode='async', target='far'), 'far')])
def test_the_first_one_that_fits_and_is_of_this_cloud(policy, name):
    call = _Call(replication_target_details=[FAR, NEAR, TWIN])
    assert replication_targets.chosen(call, 'h@b', policy)['backend_id'] == name


def test_of_an_older_service_the_names_are_enough():
    call = _Call(replication_targets=['near'])
    assert replication_targets.chosen(call, 'h@b', Policy(mode='async')) == {'backend_id': 'near'}


@pytest.mark.parametrize(('told', 'policy', 'words'), [
    ({}, Policy(mode='async'), 'h@b has no target of replication'),
    ({'replication_target_details': [TWIN]}, Policy(mode='async'),
     r'no target with mode async; it has twin \(sync\)'),
    ({'replication_target_details': [TWIN]}, Policy(mode='sync', target='near'),
     'no target near with mode sync')])
def test_where_none_fits_it_says_what_there_is(told, policy, words):
    with pytest.raises(exceptions.InvalidInput, match=words):
        replication_targets.chosen(_Call(**told), 'h@b', policy)
