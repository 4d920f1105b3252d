"""What an emulator that is killed has not written of a merge that it called done: nothing is lost."""
# SPDX-License-Identifier: Apache-2.0

import os
import subprocess

import layered_consumer
import pytest
from layered_consumer import FIRST, SECOND, UNIT, VOLUME

from cinder_ext import exceptions
from cinder_ext.drivers.conformance import consumer


@pytest.fixture
def serve(base):
    """serve(): a consumer of the volume, killed at the end."""
    served = []

    def start():
        served.append(consumer.Consumer(str(base.path(base.connected())), 'qcow2'))
        return served[-1]

    yield start
    for each in served:
        each.kill()


@pytest.fixture
def base(base):
    """Each number has a block of its own too, which is to be there ever after."""
    assert base.numbers() == [3, 1, 2, 3]
    return base


def flush(serving):
    subprocess.run(['qemu-io', '-f', 'raw', '-c', f'write -P 3 {3 * UNIT} {UNIT}', '-c', 'flush',
                    serving.url()], check=True, capture_output=True, timeout=60)


def spares(base):
    return os.listdir(base.directory / 'spares')


def merged(base, serving, gone):
    begun = base.driver.delete_snapshot_assisted_begin(gone)
    serving.merge(begun.request)
    return begun


def test_data_that_were_lost_with_the_emulator_are_read_where_they_were(base, serve):
    serving = serve()
    begun = merged(base, serving, SECOND)
    serving.kill()
    assert base.numbers() != [3, 1, 2, 3], 'this emulator flushes: the test shows nothing'
    with pytest.raises(exceptions.DriverError):
        base.driver.delete_snapshot_assisted_complete(SECOND, begun.noted)
    base.driver.delete_snapshot_assisted_abort(SECOND, begun.noted)
    assert base.numbers() == [3, 1, 2, 3]
    base.driver.delete_snapshot(SECOND)
    assert base.numbers() == [3, 1, 2, 3]
    assert base.holds(FIRST, 1)
    assert len(base.layers()) == 2
    assert spares(base) == []


@pytest.mark.parametrize('comes_back', ['connect', 'restart', 'report', 'delete'])
def test_they_are_kept_when_the_snapshot_is_gone_already(base, serve, comes_back):
    serving = serve()
    begun = merged(base, serving, SECOND)
    base.driver.delete_snapshot_assisted_complete(SECOND, begun.noted)
    assert os.listdir(base.directory / 'snapshots') == ['snapshot-first']
    assert len(base.layers()) == 3
    serving.kill()
    {'connect': base.connected, 'report': base.driver.report,
     'restart': lambda: layered_consumer.LayeredBase(base.directory),
     'delete': lambda: base.driver.delete_snapshot(FIRST)}[comes_back]()
    assert base.numbers() == [3, 1, 2, 3]
    base.driver.delete_snapshot(FIRST)
    assert base.numbers() == [3, 1, 2, 3]
    assert len(base.layers()) == 1


def test_they_are_kept_when_the_one_below_is_deleted(base, serve):
    serving = serve()
    begun = merged(base, serving, SECOND)
    base.driver.delete_snapshot_assisted_complete(SECOND, begun.noted)
    base.driver.delete_snapshot(FIRST)
    assert len(base.layers()) == 3
    serving.kill()
    assert base.driver.report()
    assert base.numbers() == [3, 1, 2, 3]


def test_they_go_when_the_medium_has_them(base, serve):
    serving = serve()
    begun = merged(base, serving, SECOND)
    base.driver.delete_snapshot_assisted_complete(SECOND, begun.noted)
    base.driver.report()
    assert len(base.layers()) == 3
    flush(serving)
    base.driver.report()
    assert len(base.layers()) == 2
    assert spares(base) == []
    serving.kill()
    assert base.numbers() == [3, 1, 2, 3]


def test_one_after_the_other_without_a_flush(base, serve):
    serving = serve()
    for gone in (SECOND, FIRST):
        begun = merged(base, serving, gone)
        base.driver.delete_snapshot_assisted_complete(gone, begun.noted)
    assert len(base.layers()) == 3
    serving.kill()
    serving = serve()
    assert base.numbers() == [3, 1, 2, 3]
    flush(serving)
    serving.stop()
    base.driver.create_snapshot(FIRST)
    base.driver.delete_snapshot(FIRST)
    assert base.numbers() == [3, 1, 2, 3]


def test_a_frozen_layer_that_took_over_is_on_the_medium(base, serve):
    """The emulator flushes what it opens for reading only, at the end of a block-commit."""
    serving = serve()
    begun = merged(base, serving, FIRST)
    base.driver.delete_snapshot_assisted_complete(FIRST, begun.noted)
    assert spares(base) == []
    assert len(base.layers()) == 2
    serving.kill()
    assert base.numbers() == [3, 1, 2, 3]
    assert base.holds(SECOND, 2)


def test_a_merge_that_never_was_is_forgotten(base, serve):
    serving = serve()
    assert base.driver.delete_snapshot_assisted_begin(SECOND).request is not None
    assert spares(base) == [base.connected()]
    serving.stop()
    base.driver.delete_snapshot(SECOND)
    base.driver.delete_snapshot(FIRST)
    base.driver.report()
    assert base.numbers() == [3, 1, 2, 3]
    assert len(base.layers()) == 1
    assert spares(base) == []
    base.driver.delete_volume(VOLUME)
