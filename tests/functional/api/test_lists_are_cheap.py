"""A list takes the same few statements, however long it is."""
# SPDX-License-Identifier: Apache-2.0

import os

import pytest
import sqlalchemy as sa
import webob

from cinder_ext import context
from cinder_ext.db import (
    group_snapshots,
    group_types,
    groups,
    qos_specs,
    replications,
    session,
    transition,
    volume_types,
    volumes,
)
from cinder_ext.states import replication_policy
from cinder_ext.states import volume as volume_states


def _statements(application, path):
    seen = []

    def note(_connection, _cursor, statement, *_more):
        if statement.lstrip().upper().startswith('SELECT'):
            seen.append(statement)

    engine = session.get_engine()
    sa.event.listen(engine, 'before_cursor_execute', note)
    try:
        response = webob.Request.blank(
            path, headers={'OpenStack-API-Version': 'volume latest'}).get_response(application)
    finally:
        sa.event.remove(engine, 'before_cursor_execute', note)
    assert response.status_int == 200
    return len(seen), response.json


@pytest.mark.parametrize(('path', 'most'), [('/v3/volumes', 1), ('/v3/volumes/detail', 4),
                                            ('/v3/volume-migrations', 1), ('/v3/replications', 1),
                                            ('/v3/replication-operations', 1)])
def test_a_longer_list_takes_no_more_statements(known, application, path, most):
    before, _shorter = _statements(application, path)
    ctxt = context.admin_context()
    for number in range(30):
        volumes.create(ctxt, {'project_id': '0123456789abcdef0123456789abcdef', 'user_id': 'u',
                              'size': 1, 'volume_type_id': os.environ['TYPE_ALPHA'],
                              'name': str(number)}, {'number': str(number)})
    after, longer = _statements(application, path)
    assert after == before <= most
    if 'volumes' in longer:
        assert len(longer['volumes']) == 32


@pytest.mark.parametrize(('path', 'most'), [
    ('/v3/groups', 1), ('/v3/groups/detail?list_volume=1', 4), ('/v3/group_snapshots/detail', 1),
    ('/v3/group_types?is_public=None', 2), ('/v3/consistencygroups/detail', 2)])
def test_a_longer_list_of_groups_takes_no_more_statements(known, application, path, most):
    ctxt = context.admin_context()
    kind = group_types.create(ctxt, {'name': 'kind'}).id
    _groups(ctxt, kind, 1)
    before, shorter = _statements(application, path)
    _groups(ctxt, kind, 6)
    after, longer = _statements(application, path)
    assert after == before <= most
    assert [len(next(iter(each.values()))) for each in (shorter, longer)] == (
        [2, 8] if 'types' in path else [1, 7])


def _groups(ctxt, kind, count):
    """Groups with a volume and a snapshot each, and group types."""
    for _ in range(count):
        group = groups.create(ctxt, {
            'project_id': '0123456789abcdef0123456789abcdef', 'user_id': 'u',
            'group_type_id': kind}, [os.environ['TYPE_ALPHA']])
        groups.created(ctxt, group.id)
        group_snapshots.create(ctxt, group.id, {'user_id': 'u'})
        volumes.create(ctxt, {'project_id': '0123456789abcdef0123456789abcdef', 'user_id': 'u',
                              'size': 1, 'group_id': group.id})
        group_types.create(ctxt, {'name': group.id, 'is_public': False})


@pytest.mark.parametrize(('path', 'most'), [('/v3/types', 2), ('/v3/qos-specs', 2)])
def test_longer_lists_of_types_take_no_more_statements(known, application, path, most):
    ctxt = context.admin_context()

    def add(count):
        for number in range(count):
            volume_types.create(ctxt, {'name': f'{count} {number}'}, {'number': str(number)})
            qos_specs.create(ctxt, f'{count} {number}', 'both', {'number': str(number)})

    add(1)
    before, shorter = _statements(application, path)
    add(30)
    after, longer = _statements(application, path)
    assert after == before <= most
    assert [len(longer[key]) - len(shorter[key]) for key in shorter] == [30]


@pytest.mark.parametrize(('path', 'name'), [
    ('/v3/volumes/detail', 'volumes'), ('/v3/replications', 'replications')])
def test_what_is_replicated_takes_no_more_statements(known, application, path, name):
    ctxt = context.admin_context()
    _replicated(ctxt, 1)
    before, shorter = _statements(application, path)
    _replicated(ctxt, 12)
    after, longer = _statements(application, path)
    assert after == before <= 5
    assert len(longer[name]) - len(shorter[name]) == 12
    if name == 'volumes':
        assert sum(each['replication'] is not None for each in longer[name]) == 13


def _replicated(ctxt, count):
    policy = replication_policy.merge(None, replication_policy.Policy(True))
    for _ in range(count):
        row = volumes.create(ctxt, {
            'project_id': '0123456789abcdef0123456789abcdef', 'user_id': 'u', 'size': 1,
            'host': 'node@alpha#alpha', 'volume_type_id': os.environ['TYPE_ALPHA']})
        transition.move(ctxt, volume_states.MACHINE, row.id, 'created')
        replications.create(ctxt, policy, row.id, 'dr')
