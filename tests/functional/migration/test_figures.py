"""What the record of a migration says was done: per link and in all."""
# SPDX-License-Identifier: Apache-2.0

import time

import pytest

from cinder_ext.db import volume_migrations
from cinder_ext.drivers import values
from cinder_ext.drivers.file import FileDriver

MIB = values.MIB
FIGURES = ('bytes_read', 'bytes_written', 'bytes_skipped', 'retries')


class Throttled(FileDriver):
    """Slow enough to be interrupted in the middle of a link."""

    copy_bytes_per_second = 8 * MIB


def links(cloud, migration_id):
    return volume_migrations.links(cloud.context, migration_id)


def assert_sums_are_those_of_the_links(cloud, migration_id):
    record, found = cloud.record(migration_id), links(cloud, migration_id)
    for figure in FIGURES:
        assert getattr(record, figure) == sum(getattr(link, figure) for link in found), figure


def test_each_link_says_what_its_copy_did(cloud, noise):
    volume_id = cloud.volume(1)
    cloud.write(volume_id, 0, noise(6 * MIB))
    cloud.snapshot(volume_id)
    cloud.write(volume_id, 2 * MIB, noise(MIB))

    record = cloud.record(cloud.migrate(volume_id))

    first, head = links(cloud, record.id)
    assert (first.bytes_written, head.bytes_written) == (6 * MIB, MIB)
    assert head.bytes_read == head.bytes_written + head.bytes_skipped
    assert (first.retries, head.retries) == (0, 0)
    assert record.started_at <= first.started_at <= first.copied_at <= head.started_at
    assert_sums_are_those_of_the_links(cloud, record.id)


@pytest.fixture
def interrupted(cloud_of, noise):
    """A migration that another process took up in the middle of its first link."""
    cloud = cloud_of(alpha=Throttled)
    cloud.conf.set_override('checkpoint_mib', 1, 'migration')
    volume_id = cloud.volume(1)
    cloud.write(volume_id, 0, noise(16 * MIB))
    cloud.snapshot(volume_id)
    cloud.write(volume_id, 0, noise(MIB))
    migration_id = cloud.migrate(volume_id, wait=False)
    deadline = time.monotonic() + 30
    while not any(0 < link.position < values.GIB for link in links(cloud, migration_id)):
        assert time.monotonic() < deadline, 'it stores no checkpoint'
        time.sleep(0.02)
    begun = links(cloud, migration_id)[0].started_at
    cloud.restart()
    assert cloud.wait(migration_id).phase == 'finished'
    return cloud, migration_id, begun


def test_link_that_was_interrupted_says_so_and_keeps_its_start(interrupted):
    cloud, migration_id, begun = interrupted
    first, head = links(cloud, migration_id)
    assert (first.retries, head.retries) == (1, 0)
    assert first.started_at == begun is not None
    assert first.bytes_written == 16 * MIB
    assert first.bytes_read >= 16 * MIB
    assert_sums_are_those_of_the_links(cloud, migration_id)
