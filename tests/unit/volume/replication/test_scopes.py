"""One row per scope: what it is served by, and what that takes."""
# SPDX-License-Identifier: Apache-2.0

import types

import pytest

from cinder_ext.states import replication as states
from cinder_ext.volume.replication import scopes


def operation(scope, protected_id='it', consistency='strict', selector=None):
    return types.SimpleNamespace(scope=scope, protected_id=protected_id, consistency=consistency,
                                 selector=selector)


def replication(scope, protected_id='it'):
    return types.SimpleNamespace(scope=scope, protected_id=protected_id)


def test_there_is_a_row_for_each_scope():
    assert tuple(scopes.ROWS) == states.SCOPES
    assert [row.name for row in scopes.ROWS.values()] == list(states.SCOPES)


def test_fallbacks_are_narrower_and_widest_first():
    order = list(states.SCOPES)
    for row in scopes.ROWS.values():
        places = [order.index(each) for each in row.fallback]
        assert places == sorted(places, reverse=True)
        assert all(place < order.index(row.name) for place in places)


def test_only_a_group_stands_at_one_point_and_only_a_backend_takes_its_service_along():
    assert [row.name for row in scopes.ROWS.values() if row.is_together] == ['group']
    assert [row.name for row in scopes.ROWS.values() if row.is_backend] == ['backend']


@pytest.mark.parametrize(('scope', 'by', 'may'), [
    ('volume', 'group', False), ('group', 'volume', True),
    ('group', 'pool', False), ('pool', 'group', True), ('pool', 'backend', False),
    ('backend', 'pool', True), ('backend', 'volume', True)])
def test_narrower_replications_serve_a_wide_scope_and_never_the_other_way(scope, by, may):
    assert scopes.may_serve(operation(scope), replication(by, 'another')) is may


@pytest.mark.parametrize('scope', states.SCOPES)
def test_its_own_replication_serves_it(scope):
    assert scopes.may_serve(operation(scope), replication(scope))
    assert not scopes.needs_best_effort(operation(scope), [replication(scope)])


def test_a_selector_is_of_volumes_that_are_replicated_by_themselves():
    asked = operation('volume', None, selector={'volume_ids': ['a', 'b']})
    assert scopes.may_serve(asked, replication('volume', 'a'))
    assert not scopes.may_serve(asked, replication('group', 'a'))
    assert scopes.members(None, asked) == ['a', 'b']
    assert not scopes.needs_best_effort(asked, [replication('volume', 'a'), replication('volume', 'b')])


def test_several_narrow_ones_have_no_common_moment():
    used = [replication('volume', 'a'), replication('volume', 'b')]
    assert scopes.needs_best_effort(operation('pool'), used)
    assert not scopes.needs_best_effort(operation('pool', consistency='best-effort'), used)
    assert not scopes.needs_best_effort(operation('pool'), used[:1])
