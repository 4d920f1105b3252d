"""A server that moves while its volume is migrated: let in, or refused by the first request."""
# SPDX-License-Identifier: Apache-2.0

import pytest

from cinder_ext import exceptions
from cinder_ext.db import (
    attached_migrations,
    attachments,
    server_moves,
    transition,
    volume_migrations,
    volumes,
)
from cinder_ext.states import migration as states

SERVER = '5e7e4e7e-0000-4000-8000-000000000001'
WAYS = {
    states.SCHEDULING: (),
    states.PREFLIGHT: ('schedule',),
    states.COPYING: ('schedule', 'copy'),
    states.VERIFYING: ('schedule', 'copy', 'verify'),
    states.PAUSED: ('schedule', 'copy', 'pause'),
    states.REVERTING: ('schedule', 'copy', 'revert'),
    states.CANCELLING: ('schedule', 'copy', 'cancel'),
    states.SWAPPING: ('schedule', 'copy', 'swap'),
    states.COMMITTING: ('schedule', 'copy', 'commit'),
    states.COMMITTED: ('schedule', 'copy', 'commit', 'committed'),
    states.TIDYING: ('schedule', 'copy', 'commit', 'committed', 'tidy'),
    states.LEFTOVERS: ('schedule', 'copy', 'commit', 'committed', 'tidy', 'leave'),
}
"""Phase -> the events that lead there."""
AFTERWARDS = states.TIDY


@pytest.fixture
def url(tmp_path):
    """The rules are the same on every engine; what differs there is in test_races.py."""
    return f'sqlite:///{tmp_path}/test.db'


class Story:
    """A volume that a server has attached on host one."""

    def __init__(self, ctxt, volume_id):
        self.context, self.volume_id = ctxt, volume_id
        self.old = self.reserve()
        self.connect(self.old, 'one')
        attachments.complete(ctxt, self.old)

    def reserve(self, server_id=SERVER):
        return attachments.reserve(self.context, self.volume_id, server_id).id

    def connect(self, attachment_id, host):
        attachments.connect(self.context, attachment_id, {'host': host})
        attachments.store_connection(self.context, attachment_id, {'path': host})

    def migrate(self, lock, phase):
        record = volume_migrations.start(self.context, self.volume_id, {
            'operation': 'retype' if lock else 'migrate', 'server_id': SERVER,
            'destination_host': 'node@beta#beta'}, lock)
        for event in WAYS[phase]:
            if event == 'swap':
                attached_migrations.begin_swap(self.context, record.id, 0)
            elif event == 'committed':
                volume_migrations.swap(self.context, record.id, 0)
            else:
                transition.move(self.context, states.MACHINE, record.id, event)
        return record.id

    @property
    def seen(self):
        volume = volumes.get(self.context, self.volume_id)
        return volume.status, volume.attach_status

    @property
    def hosts(self):
        return [(each.attached_host, each.attach_status)
                for each in attachments.of_volume(self.context, self.volume_id)]


@pytest.fixture
def story(make_volume, ctxt):
    return Story(ctxt, make_volume())


def test_every_phase_in_which_a_volume_is_kept_away_is_looked_at():
    assert set(WAYS) >= set(states.ACTIVE) | set(states.TIDY)


@pytest.mark.parametrize('lock', [None, 'retype-attached'])
@pytest.mark.parametrize('phase', [*server_moves.ADMITTING, *AFTERWARDS])
def test_a_cold_move_is_let_in(story, phase, lock):
    story.migrate(lock, phase)
    before = story.seen
    new = story.reserve()
    attachments.detached(story.context, story.old)
    story.connect(new, 'two')
    attachments.complete(story.context, new)
    assert story.seen == before
    assert story.hosts == [('two', 'attached')]


@pytest.mark.parametrize('phase', server_moves.ADMITTING)
def test_a_live_move_is_let_in_and_may_be_taken_back(story, phase):
    story.migrate('retype-attached', phase)
    new = story.reserve()
    story.connect(new, 'two')
    attachments.detached(story.context, new)
    assert (story.seen, story.hosts) == (('retyping', 'attached'), [('one', 'attached')])


@pytest.mark.parametrize('lock', [None, 'retype-attached'])
@pytest.mark.parametrize('phase', sorted({*states.ACTIVE} - {*server_moves.ADMITTING}))
def test_a_move_is_refused_by_its_first_request_and_the_migration_is_named(story, phase, lock):
    migration_id = story.migrate(lock, phase)
    before = story.seen
    with pytest.raises(exceptions.MigrationActive, match=migration_id):
        story.reserve()
    assert (story.seen, story.hosts) == (before, [('one', 'attached')])


@pytest.mark.parametrize('server_id', [None, 'another-server'])
def test_nobody_else_is_let_in(story, server_id):
    story.migrate(None, states.COPYING)
    with pytest.raises(exceptions.MigrationActive):
        story.reserve(server_id)


def test_a_volume_that_was_detached_meanwhile_stays_so(story):
    story.migrate('retype-attached', states.COPYING)
    attachments.detached(story.context, story.old)
    with pytest.raises(exceptions.MigrationActive):
        story.reserve()


@pytest.mark.parametrize(('upto', 'status'), [(0, 'reserved'), (1, 'attaching'), (2, 'in-use')])
def test_a_retype_that_ends_in_the_middle_of_a_move_leaves_the_status_of_the_move(
        story, upto, status):
    migration_id = story.migrate('retype-attached', states.REVERTING)
    new = story.reserve()
    attachments.detached(story.context, story.old)
    for step in (lambda: story.connect(new, 'two'),
                 lambda: attachments.complete(story.context, new))[:upto]:
        step()
    volume_migrations.fail(story.context, migration_id, 'fail', 'it failed', 'code', 'remedy')
    assert story.seen[0] == status


def test_the_server_that_has_moved_is_asked_to_swap_with_its_new_attachment(story):
    migration_id = story.migrate('retype-attached', states.COPYING)
    new = story.reserve()
    story.connect(new, 'two')
    with pytest.raises(exceptions.InvalidState, match='is moving'):
        attached_migrations.begin_swap(story.context, migration_id, 0)
    attachments.complete(story.context, new)
    with pytest.raises(exceptions.InvalidState, match='alone'):
        attached_migrations.begin_swap(story.context, migration_id, 0)
    attachments.detached(story.context, story.old)
    record = attached_migrations.begin_swap(story.context, migration_id, 0)
    assert (record.phase, record.compute['attachment_id']) == ('swapping', new)


def _beside(story):
    story.reserve()


def _on_two_hosts(story):
    new = story.reserve()
    story.connect(new, 'two')
    attachments.complete(story.context, new)


def _leaving(story):
    attachments.begin_detach(story.context, story.old)


def _without_host(story):
    story.reserve()
    attachments.detached(story.context, story.old)


@pytest.mark.parametrize('begin', [_beside, _on_two_hosts, _leaving, _without_host])
@pytest.mark.parametrize('lock', [None, 'retype-attached'])
def test_a_migration_does_not_begin_while_a_server_is_between_hosts(story, begin, lock):
    begin(story)
    before = story.seen, story.hosts
    with pytest.raises(exceptions.InvalidState):
        story.migrate(lock, states.SCHEDULING)
    assert (story.seen, story.hosts) == before
