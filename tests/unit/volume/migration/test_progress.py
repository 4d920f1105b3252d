"""The stored figures, on a real database and a clock of the test."""
# SPDX-License-Identifier: Apache-2.0

import blank
import pytest

from cinder_ext import context
from cinder_ext.conf import options
from cinder_ext.db import models, session, volume_migrations
from cinder_ext.volume.migration import progress


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def ctxt(tmp_path):
    conf = options.new()
    options.parse(conf, [])
    conf.set_override('connection', f'sqlite:///{tmp_path}/test.db', 'database')
    blank.put(tmp_path / 'test.db')
    session.configure(conf)
    yield context.admin_context()
    session.dispose()


@pytest.fixture
def stored(ctxt):
    @session.writer
    def insert(context):
        volume = models.Volume(project_id='p', user_id='u', size=1, status='retyping')
        context.session.add(volume)
        context.session.flush()
        record = models.VolumeMigration(volume_id=volume.id, project_id='p', operation='retype',
                                        phase='copying', bytes_total=1000)
        context.session.add(record)
        context.session.flush()
        return record.id

    migration_id = insert(ctxt)
    return lambda: volume_migrations.get(ctxt, migration_id)


@pytest.fixture
def make(ctxt, stored):
    def made(clock, verifies=True):
        return progress.Progress(ctxt, stored(), verifies, lambda: 5.0, clock)
    return made


def test_percent_follows_the_bytes_and_stays_below_100_before_the_commit(make, stored):
    clock = Clock()
    figures, seen = make(clock), []
    for done in (0, 100, 500, 900, 1000):
        figures.copied(done)
        clock.now += 6
        seen.append(stored().percent)
    figures.end_copy()
    for done in (0, 30, 60):
        figures.verified(done, 60)
        clock.now += 6
        seen.append(stored().percent)
    figures.end_verify(60)
    seen.append(stored().percent)
    assert seen == [0, 5, 25, 45, 50, 50, 75, 99, 99]
    assert (stored().bytes_done, stored().bytes_verified) == (1000, 60)


def test_copy_that_is_not_verified_ends_at_99(make, stored):
    make(Clock(), verifies=False).end_copy()
    assert stored().percent == 99


def test_nothing_goes_back_after_a_restart(make, stored):
    """Its successor begins at the last checkpoint, and copies a little again."""
    clock = Clock()
    first = make(clock)
    first.copied(0)
    clock.now += 6
    first.copied(600)

    second = make(clock)
    for done in (400, 500, 700):
        second.copied(done)
        clock.now += 6
        assert stored().percent >= 30
        assert stored().bytes_done >= 600
    assert stored().bytes_done == 700


def test_figures_are_stored_at_each_percent_or_interval_only(make, stored):
    clock = Clock()
    figures = make(clock)
    figures.copied(0)
    clock.now += 1
    figures.copied(15)
    assert stored().bytes_done == 0
    clock.now += 1
    figures.copied(20)
    assert (stored().bytes_done, stored().percent) == (20, 1)
    assert stored().bytes_per_second == 10
    clock.now += 5
    figures.copied(21)
    assert stored().bytes_done == 21


def test_chain_that_turns_out_longer_does_not_go_back(make, stored):
    clock = Clock()
    figures = make(clock)
    figures.copied(0)
    clock.now += 6
    figures.copied(800)
    figures.total(4000)
    clock.now += 6
    figures.copied(900)
    assert stored().percent == 40
