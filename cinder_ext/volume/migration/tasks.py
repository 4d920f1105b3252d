"""The steps of a migration.  Each may be repeated; each undoes only what it did.

Steps of *move* stand before the commit, steps of *tidy* after it.  What they
did is in the record and its links, so a step finds out by itself where a
killed predecessor stood.
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import time

from oslo_log import log
from taskflow import task

from cinder_ext import exceptions
from cinder_ext.db import away, migration_copies, volume_migrations
from cinder_ext.drivers import values
from cinder_ext.states import migration as states
from cinder_ext.volume import engine
from cinder_ext.volume.migration import copies, leftovers, links, outcome, plan

LOG = log.getLogger(__name__)

_SWAP_ATTEMPTS = 5

_STORE_SECONDS = 1.0
"""Links that were read back are noted together so often; what was not noted is read again."""

_MOST_DELTA_BYTES = 16 * values.MIB


@contextlib.contextmanager
def _parked_when_it_must_wait(work):
    """Leave a step as it stands, to be resumed, when what stops it is no fault of either end.

    :raises Parked: the database is away, the service is stopping and its messages with it, or
        another process has taken the migration up
    """
    with engine.parked_without_database(f'migration {work.id}'):
        try:
            yield
        except (exceptions.DriverError, exceptions.RecordLost) as fault:
            # Asking that, the database may be lost too.
            if work.tools.stopping.is_set() or work.is_superseded():
                raise engine.Parked from fault
            raise


@contextlib.contextmanager
def _parked_when_it_was_told(work):
    """Leave a step when the record was paused or called off, or another process has taken it up.

    Also one that fails since that happened meanwhile.

    :raises Parked: the record decides what comes next
    """
    try:
        work.obey()
        yield
    except exceptions.CinderExtError as fault:
        phase = work.record().phase
        is_behind = isinstance(fault, exceptions.RecordLost | exceptions.TransitionRefused)
        if phase in states.CALLED_OFF or (phase == states.PAUSED and is_behind):
            raise engine.Parked from fault
        raise


class MoveStep(task.Task):
    """A step before the commit: ``do`` and ``undo``.

    Its revert is refused once the record is committed: nothing undoes a committed migration.
    """

    def __init__(self, name, work):
        super().__init__(name=name)
        self.work = work

    def execute(self):
        with _parked_when_it_must_wait(self.work), _parked_when_it_was_told(self.work):
            self.do()

    def revert(self, flow_failures, **kwargs):
        with _parked_when_it_must_wait(self.work):
            if self.work.is_superseded():
                raise engine.Parked
            if outcome.begin_revert(self.work, flow_failures):
                self.work.let_go()
                self.undo()

    def do(self):
        """Do the step; nothing by default."""

    def undo(self):
        """Take back what this step did; nothing by default."""


class OwnFailure(MoveStep):
    """First of *move*, so the last to be reverted: ends the record and frees the volume."""

    def undo(self):
        outcome.end_undone(self.work)


class CreateTarget(MoveStep):
    """Make the destination's volume, with the size of the first link.

    Undone, it goes with all its snapshots.
    """

    def do(self):
        location = self.work.destination.create(self.work.links[0].destination_volume)
        volume_migrations.update(self.work.context, self.work.id,
                                 {'destination_location': location})
        self.work.locate()

    def undo(self):
        leftovers.remove_destination(self.work)
        migration_copies.forget_copies(self.work.context, self.work.id)


class CopyLinks(MoveStep):
    """Make the destination's content equal to each link's in turn, and freeze the snapshots there.

    What is frozen goes with the volume when it is undone.

    :param tell: as with copies.copy_all
    """

    def __init__(self, name, work, tell):
        super().__init__(name, work)
        self._tell = tell

    def do(self):
        copies.copy_all(self.work, self._tell)

    def undo(self):
        leftovers.remove_temporaries(self.work)


class VerifyChain(MoveStep):
    """Read back from the destination what the policy asks for, link by link."""

    def do(self):
        work, rows = self.work, self.work.rows()
        left = {link.number for link in work.copied_links
                if rows[link.number].verified_at is None}
        if not left:
            return
        outcome.enter(work, 'verify')
        self._deltas = _Deltas()
        lengths = {link.number: digest_map.length_of(blocks)
                   for link, digest_map, blocks in self._plans()}
        expected = sum(lengths.values())
        work.early.wait(work.control, lambda read: work.progress.verified(read, expected))
        self._equal, self._how, self._stored_at = [], work.early.how, time.monotonic()
        done = expected - sum(lengths[number] - work.early.length(number) for number in left)
        links.read_back(
            work, ((link, digest_map, work.early.left(link.number, blocks))
                   for link, digest_map, blocks in self._plans() if link.number in left),
            lambda read: work.progress.verified(done + read, expected), self._note)
        self._store()
        work.progress.end_verify(expected)

    def _note(self, link, how):
        """A link is equal.  Storing it costs as much as reading back a small one."""
        self._equal.append(link.number)
        self._how = how or self._how
        if time.monotonic() - self._stored_at >= _STORE_SECONDS:
            self._store()

    def _store(self):
        work = self.work
        volume_migrations.note_verified(work.context, work.id, self._equal, self._how)
        self._equal, self._stored_at = [], time.monotonic()

    def undo(self):
        leftovers.remove_temporaries(self.work)

    def _plans(self):
        """Yield (link, map, blocks) of each link, with the maps of two links in memory."""
        work = self.work
        maps = links.Maps(work.context, work.id, work.promises, self._deltas)
        for link in work.copied_links:
            digest_map, written = maps.before(work.links, link.number)
            maps.keep(link.number, digest_map)
            blocks = links.blocks_to_verify(work.verify, work.promises, digest_map, written)
            yield link, digest_map, blocks


class _Deltas:
    """The stored deltas of a migration's links, for two passes: read once as long as they are few."""

    def __init__(self):
        self._kept, self._bytes = {}, 0

    def __call__(self, context, migration_id, number):
        if number in self._kept:
            return self._kept[number]
        found = migration_copies.deltas(context, migration_id, number)
        self._bytes += sum(len(delta) for _, delta in found)
        if self._bytes <= _MOST_DELTA_BYTES:
            self._kept[number] = found
        return found


class SwapRecords(MoveStep):
    """THE COMMIT.  The outcome of an interrupted transaction is read, never guessed."""

    def do(self):
        outcome.enter(self.work, 'commit', {
            'digest': self.work.rows()[-1].digest, 'digest_algorithm': links.ALGORITHM})
        for attempt in range(_SWAP_ATTEMPTS):
            try:
                volume_migrations.swap(self.work.context, self.work.id, self.work.attempt)
            except (exceptions.TransitionRefused, *outcome.DATABASE_FAULTS) as fault:
                if outcome.is_committed(self.work):
                    return
                if isinstance(fault, exceptions.TransitionRefused):
                    raise
                LOG.warning('migration %s: the commit did not happen (%s), attempt %d',
                            self.work.id, away.describe(fault), attempt + 1)
                if attempt == _SWAP_ATTEMPTS - 1 and isinstance(fault, away.FAULTS):
                    # It waits for the database, like every other step.
                    raise
                time.sleep(attempt)
            else:
                return
        raise exceptions.MigrationError(reason='the database did not take the commit')


class TidyStep(task.Task):
    """A step after the commit: goes forward only."""

    def __init__(self, name, work):
        super().__init__(name=name)
        self.work = work

    def execute(self):
        with _parked_when_it_must_wait(self.work):
            self.do()

    def do(self):
        """Do the step."""


class BeginTidy(TidyStep):
    """Note that the source is being removed."""

    def do(self):
        outcome.enter(self.work, 'tidy')


class RemoveSource(TidyStep):
    """Remove the source, snapshots newest to oldest, then the volume.

    What resists becomes a leftover.  One step for all: removing again is cheap, storing a step
    is not.
    """

    def do(self):
        work, removed = self.work, []
        listed = volume_migrations.leftovers(work.context, work.id)
        for link in plan.newest_first(work.links):
            if leftovers.remove(work, work.source, link.source, listed):
                removed.append(link.number)
        volume_migrations.note_removed(work.context, work.id, removed)


class FinishMigration(TidyStep):
    """Close the record, or list what is left at the source."""

    def do(self):
        outcome.finish(self.work)


def own_failure(work):
    return OwnFailure('own-failure', work)


def create_target(work):
    return CreateTarget('create-target', work)


def copy_links(work, tell):
    return CopyLinks('copy-links', work, tell)


def verify_chain(work):
    return VerifyChain('verify-chain', work)


def swap_records(work):
    return SwapRecords('swap-records', work)


def begin_tidy(work):
    return BeginTidy('begin-tidy', work)


def remove_source(work):
    return RemoveSource('remove-source', work)


def finish_migration(work):
    return FinishMigration('finish-migration', work)


