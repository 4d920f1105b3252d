"""What tests of replication's records begin with."""
# SPDX-License-Identifier: Apache-2.0

import datetime
import uuid

import pytest
from oslo_utils import timeutils

from cinder_ext.db import (
    group_models,
    models,
    replication_shipping,
    replications,
    session,
    volumes,
)
from cinder_ext.states import replication_policy

BACKEND = 'node@alpha'
POOL = f'{BACKEND}#alpha'
OTHER_POOL = f'{BACKEND}#beta'
DR = 'alpha-dr'

ON_SQLITE = pytest.mark.parametrize('url', ['sqlite'], indirect=True)
"""For tests of decisions, which are the same everywhere; what SQL may do differently is shown on
every database in test_replication_races.py."""


def policy(scope='volume', **asked):
    """A whole policy, as placing a volume or enabling a scope makes it."""
    return replication_policy.merge(
        replication_policy.Policy(), replication_policy.Policy(True, scope=scope, **asked))


def protect(ctxt, protected_id, scope='volume', target=DR, values=None, **asked):
    return replications.create(ctxt, policy(scope, **asked), protected_id, target, values)


def ship(ctxt, replication, *volume_ids, ago=0, **values):
    """A point of some volumes arrives; by default of all members.  Returns its id."""
    point_id = str(uuid.uuid4())
    assert replication_shipping.arrived(
        ctxt, replications.get(ctxt, replication.id), point_id,
        timeutils.utcnow() - datetime.timedelta(seconds=ago),
        volume_ids or [each.volume_id for each in replications.members(ctxt, replication.id)],
        **values) is not None, 'nothing is shipped in its state'
    return point_id


def make_group(ctxt, host=POOL, status='available', volume_types=(), **columns):
    """A group with a type of its own, put there by the fixture; returns its id."""
    @session.writer
    def insert(context):
        kind = group_models.GroupType(name='replicated', description='')
        context.session.add(kind)
        context.session.flush()
        row = group_models.Group(**{'project_id': 'project', 'user_id': 'user', 'host': host,
                                    'status': status, 'group_type_id': kind.id, **columns})
        context.session.add(row)
        context.session.flush()
        for type_id in volume_types:
            context.session.add(group_models.GroupVolumeType(group_id=row.id,
                                                             volume_type_id=type_id))
        return row.id

    return insert(ctxt)


@session.writer
def make_snapshot(context, volume_id, status='available'):
    """A snapshot in any status, put there by the test and not by the door; returns its id."""
    row = models.Snapshot(volume_id=volume_id, project_id='project', user_id='user', size=1,
                          status=status)
    context.session.add(row)
    context.session.flush()
    return row.id


def word(ctxt, volume_id):
    """What a volume shows: its replication_status."""
    return volumes.get(ctxt, volume_id).replication_status
