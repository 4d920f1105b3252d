"""Whose migrations are taken up, and what a volume is given back."""
# SPDX-License-Identifier: Apache-2.0

import pytest

from cinder_ext import exceptions
from cinder_ext.db import attachments, lease, placement, transition, volume_migrations, volumes
from cinder_ext.states import migration as states


def migrating(ctxt, volume_id, lock=None):
    record = volume_migrations.start(ctxt, volume_id, {'operation': 'retype'}, lock)
    placement.schedule(ctxt, record.id, 'node@beta#beta')
    return record.id


@pytest.mark.parametrize('other', ['node1@alpha', 'Node_1@alpha', 'node_1@ALPHA', 'node_1@alpha2'])
def test_a_backend_takes_up_its_own_migrations_only(make_volume, ctxt, other):
    """LIKE takes _ for any character, and on SQLite capitals for small letters."""
    mine = migrating(ctxt, make_volume(host='node_1@alpha#pool'))
    other_volume = make_volume(host=f'{other}#pool')
    migrating(ctxt, other_volume)
    make_volume(host=f'{other}#pool', status='deleting')
    own = make_volume(host='node_1@alpha#pool', status='deleting')

    assert volume_migrations.waiting(ctxt, states.MOVING, 'node_1@alpha') == [mine]
    assert volumes.unfinished(ctxt, 'node_1@alpha') == [(own, 'deleting')]


def test_leftovers_are_those_of_the_backend_and_not_null(make_volume, ctxt):
    left = {'host': 'node@beta#beta', 'kind': 'volume', 'name_id': 'x', 'reason': 'no'}
    found = []
    for host, leftovers in (('node_1@alpha#p', [left]), ('nodeX1@alpha#p', [left]),
                            ('node_1@alpha#p', []), ('node_1@alpha#p', None)):
        found.append(migrating(ctxt, make_volume(host=host)))
        volume_migrations.update(ctxt, found[-1], {'leftovers': leftovers})
        volume_migrations.fail(ctxt, found[-1], 'fail', 'error', 'code', 'remedy')
    assert volume_migrations.failed_with_leftovers(ctxt, 'node_1@alpha') == found[:1]


def test_volume_that_lost_its_server_meanwhile_is_available(make_volume, ctxt):
    volume_id = make_volume()
    attachment = attachments.reserve(ctxt, volume_id, 'server')
    attachments.connect(ctxt, attachment.id, {'host': 'compute'})
    attachments.complete(ctxt, attachment.id)
    migration_id = migrating(ctxt, volume_id, 'retype-attached')
    attachments.begin_detach(ctxt, attachment.id)
    attachments.detached(ctxt, attachment.id)

    volume_migrations.fail(ctxt, migration_id, 'fail', 'error', 'code', 'remedy')

    assert volumes.get(ctxt, volume_id).status == 'available'


def test_volume_that_kept_its_server_is_in_use(make_volume, ctxt):
    volume_id = make_volume(status='in-use', attach_status='attached')
    migration_id = migrating(ctxt, volume_id, 'retype-attached')
    volume_migrations.fail(ctxt, migration_id, 'fail', 'error', 'code', 'remedy')
    assert volumes.get(ctxt, volume_id).status == 'in-use'


def test_a_commit_happens_once(make_volume, ctxt):
    migration_id = migrating(ctxt, make_volume())
    for event in ('copy', 'verify', 'commit'):
        transition.move(ctxt, states.MACHINE, migration_id, event)
    standing, = lease.standings(ctxt, [migration_id])
    attempt = lease.take(ctxt, standing, 'owner', False).attempt
    assert attempt == 1
    with pytest.raises(exceptions.TransitionRefused):
        volume_migrations.swap(ctxt, migration_id, attempt - 1)
    volume_migrations.swap(ctxt, migration_id, attempt)
    for event in ('revert', 'fail', 'committed', 'copy'):
        with pytest.raises(exceptions.TransitionRefused):
            transition.move(ctxt, states.MACHINE, migration_id, event)
