"""Assisted snapshots of layers: a kill at every change of the directory, and what locks tell."""
# SPDX-License-Identifier: Apache-2.0

import os
import signal
import stat
import subprocess

import layered_consumer
import pytest
from layered_consumer import FIRST, SECOND, SIZE, THIRD, UNIT, VOLUME

from cinder_ext import exceptions
from cinder_ext.drivers import capabilities, values
from cinder_ext.drivers.conformance import consumer, workbench
from cinder_ext.drivers.qcow2 import layers, locks

LONG = bool(os.environ.get('CINDER_EXT_LONG'))
ENDS = ('offline', 'begin', 'complete')
"""What comes after a kill while a snapshot that was merged goes."""
CHANGES = ('symlink', 'rename', 'unlink', 'truncate', 'chmod')


def end(process):
    """Let a writer, which has written nothing, have its image open no more."""
    process.kill()
    process.wait(60)


def killed_at(number, step):
    """Run a step in a process that is killed at a change of the directory.

    :param number: which change is not done any more
    :returns: whether it was killed; else the step was done
    """
    child = os.fork()
    if child:
        ended = os.waitpid(child, 0)[1]
        assert os.WIFSIGNALED(ended) or ended == 0
        return os.WIFSIGNALED(ended)
    left = [number]

    def counted(call):
        def change(*args, **kwargs):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **kwargs)
        return change

    for name in CHANGES:
        setattr(os, name, counted(getattr(os, name)))
    try:
        step()
        os._exit(0)
    finally:
        os._exit(1)


def after_kills(base, step):
    """A copy of the directory for each instant at which a step can be killed; at last it is done.

    :param step: takes a LayeredBase
    """
    for number in range(1, 100):
        copy = base.copy(base.directory.parent / f'copy-{number}')
        if not killed_at(number, lambda again=copy: step(again)):
            assert number > 2
            return
        yield layered_consumer.LayeredBase(copy.directory)
    raise AssertionError('it never ends')


def assert_whole(base, *taken, volume=3):
    """The volume and the snapshots hold what they have to, and there is nothing else."""
    assert base.holds(VOLUME, volume)
    for each, number in taken:
        assert base.holds(each, number)
    assert len(base.layers()) == len(taken) + 1
    assert os.listdir(base.directory / 'overlays') == []
    assert len(os.listdir(base.directory / 'snapshots')) == len(taken)
    assert base.layer(VOLUME).name == base.connected()


def test_a_begin_that_was_killed_is_repeated_or_taken_back(base):
    for number, left in enumerate(after_kills(
            base, lambda copy: copy.driver.create_snapshot_assisted_begin(THIRD))):
        before = left.connected()
        if number % 2:
            begun = left.driver.create_snapshot_assisted_begin(THIRD)
            assert left.driver.create_snapshot_assisted_begin(THIRD) == begun
            assert left.connected() == before
            left.driver.create_snapshot_assisted_complete(THIRD, begun.noted)
            left.write(left.connected(), 4)
            assert_whole(left, (FIRST, 1), (SECOND, 2), (THIRD, 3), volume=4)
        else:
            left.driver.create_snapshot_assisted_abort(THIRD, {}, capabilities.NEVER_ASKED)
            assert left.connected() == before
            assert_whole(left, (FIRST, 1), (SECOND, 2))


@pytest.mark.parametrize('step', ['complete', 'unknown'])
def test_what_goes_over_goes_on_after_a_kill(base, step):
    begun = base.driver.create_snapshot_assisted_begin(THIRD)
    base.write(begun.request['new_file'], 4)

    def gone_over(copy):
        if step == 'complete':
            return copy.driver.create_snapshot_assisted_complete(THIRD, begun.noted)
        return copy.driver.create_snapshot_assisted_abort(
            THIRD, begun.noted, capabilities.UNKNOWN)

    for left in after_kills(base, gone_over):
        assert begun.request['new_file'] in left.layers()
        gone_over(left)
        assert_whole(left, (FIRST, 1), (SECOND, 2), (THIRD, 3), volume=4)


def test_what_is_taken_back_is_gone_after_a_kill(base):
    begun = base.driver.create_snapshot_assisted_begin(THIRD)

    def take_back(copy):
        copy.driver.create_snapshot_assisted_abort(THIRD, begun.noted, capabilities.NEVER_ASKED)

    for left in after_kills(base, take_back):
        take_back(left)
        assert_whole(left, (FIRST, 1), (SECOND, 2))


@pytest.mark.parametrize(('gone', 'kept'), [(FIRST, (SECOND, 2)), (SECOND, (FIRST, 1))],
                         ids=['frozen', 'newest'])
@pytest.mark.parametrize('shift', range(len(ENDS) if LONG else 1))
def test_a_merge_that_was_done_ends_after_a_kill(base, gone, kept, shift):
    begun = base.driver.delete_snapshot_assisted_begin(gone)
    base.consumer_merges(begun.request)

    def complete(copy):
        copy.driver.delete_snapshot_assisted_complete(gone, begun.noted)

    for number, left in enumerate(after_kills(base, complete)):
        then = ENDS[(number + shift) % len(ENDS)]
        assert left.holds(VOLUME, 3)
        if then == 'complete':
            complete(left)
        elif then == 'begin':
            assert left.driver.delete_snapshot_assisted_begin(gone).request is None
        else:
            left.driver.delete_snapshot(gone)
        assert_whole(left, kept)


@pytest.mark.parametrize(('gone', 'kept'), [(FIRST, (SECOND, 2)), (SECOND, (FIRST, 1))],
                         ids=['frozen', 'newest'])
def test_a_merge_that_was_done_and_not_reported_is_ended_offline(base, gone, kept):
    begun = base.driver.delete_snapshot_assisted_begin(gone)
    base.consumer_merges(begun.request)
    base.driver.delete_snapshot_assisted_abort(gone, begun.noted)
    base.driver.delete_snapshot(gone)
    assert base.holds(VOLUME, 3)
    assert base.holds(kept[0], kept[1])
    base.driver.delete_snapshot(kept[0])
    assert_whole(base)


def test_what_the_consumer_never_reached_is_taken_back_after_a_kill(base, writer):
    before = base.connected()
    begun = base.driver.create_snapshot_assisted_begin(THIRD)
    base.driver.create_snapshot_assisted_abort(THIRD, begun.noted, capabilities.UNKNOWN)
    for left in after_kills(base, lambda copy: _deleted_while_written(copy, writer, before)):
        writer(left.path(before))
        assert left.driver.delete_snapshot_assisted_begin(THIRD).request is None
        assert_whole(left, (FIRST, 1), (SECOND, 2))
        assert left.connected() == before


def _deleted_while_written(copy, writer, name):
    writer(copy.path(name))
    copy.driver.delete_snapshot_assisted_begin(THIRD)


def test_what_others_stand_on_stays_and_nothing_is_asked(base):
    base.driver.create_volume_from_snapshot(values.Volume('clone', SIZE), FIRST)
    assert base.driver.delete_snapshot_assisted_begin(FIRST).request is None
    assert base.holds(values.Volume('clone', SIZE), 1)
    assert base.holds(VOLUME, 3)
    assert base.holds(SECOND, 2)
    base.driver.delete_volume(values.Volume('clone', SIZE))
    assert_whole(base, (SECOND, 2))


def test_what_a_clone_held_back_goes_with_the_next(base):
    """The layer of the first snapshot has no name and waits for the one above it."""
    base.driver.create_volume_from_snapshot(values.Volume('clone', SIZE), SECOND)
    assert base.driver.delete_snapshot_assisted_begin(FIRST).request is None
    assert len(base.layers()) == 4
    os.unlink(base.layer(values.Volume('clone', SIZE)))
    os.unlink(base.directory / 'volumes' / 'volume-clone')
    begun = base.driver.delete_snapshot_assisted_begin(SECOND)
    assert begun.request == {'type': 'qcow2', 'file_to_merge': None, 'merge_target_file': None}
    base.consumer_merges(begun.request)
    base.driver.delete_snapshot_assisted_complete(SECOND, begun.noted)
    assert_whole(base)


def test_the_format_of_every_file_is_noted(base):
    begun = base.driver.create_snapshot_assisted_begin(THIRD)
    formats = {key.removesuffix(':format'): value for key, value in begun.noted.items()
               if key.endswith(':format')}
    assert formats == {base.connected(): 'qcow2', begun.request['new_file']: 'qcow2'}
    base.driver.create_snapshot_assisted_complete(THIRD, begun.noted)
    noted = base.driver.delete_snapshot_assisted_begin(FIRST).noted
    for name in (base.layer(FIRST).name, base.layer(SECOND).name):
        assert noted[f'{name}:format'] == 'qcow2'


def test_who_may_open_the_old_layer_may_open_the_new_one(base):
    os.chmod(base.path(base.connected()), 0o660)
    os.chown(base.path(base.connected()), os.getuid(), os.getgid())
    begun = base.driver.create_snapshot_assisted_begin(THIRD)
    assert stat.S_IMODE(os.stat(base.path(begun.request['new_file'])).st_mode) == 0o660


def test_a_layer_on_its_way_survives_a_restart(base):
    begun = base.driver.create_snapshot_assisted_begin(THIRD)
    again = layered_consumer.LayeredBase(base.directory)
    assert begun.request['new_file'] in again.layers()
    assert again.driver.create_snapshot_assisted_begin(THIRD) == begun


@pytest.mark.parametrize('step', ['on its way', 'unknown'])
@pytest.mark.parametrize('writes_to', ['old', 'new'])
def test_whatever_needs_a_quiet_volume_waits_for_its_consumer(base, writer, step, writes_to):
    old = base.connected()
    begun = base.driver.create_snapshot_assisted_begin(THIRD)
    if step == 'unknown':
        base.driver.create_snapshot_assisted_abort(THIRD, begun.noted, capabilities.UNKNOWN)
    process = writer(base.path(old if writes_to == 'old' else begun.request['new_file']))
    for refused in (lambda: base.driver.create_snapshot(layered_consumer.snapshot('other')),
                    lambda: base.driver.clone_volume(values.Volume('clone', SIZE), VOLUME),
                    lambda: base.driver.revert_to_snapshot(VOLUME, SECOND)):
        with pytest.raises(exceptions.ResourceBusy):
            refused()
    with pytest.raises(exceptions.ResourceBusy):
        base.driver.create_snapshot_assisted_abort(THIRD, begun.noted, capabilities.GONE)
    end(process)
    assert base.driver.create_snapshot_assisted_abort(
        THIRD, begun.noted, capabilities.GONE).noted == {}
    base.driver.clone_volume(values.Volume('clone', SIZE), VOLUME)
    assert base.holds(values.Volume('clone', SIZE), 3)
    base.driver.delete_snapshot(THIRD)
    base.driver.revert_to_snapshot(VOLUME, SECOND)
    assert base.holds(VOLUME, 2)


@pytest.mark.parametrize('writes_to', ['old', 'new'])
def test_a_volume_that_nobody_knows_of_is_deleted_with_all_its_layers(base, writer, writes_to):
    old = base.connected()
    begun = base.driver.create_snapshot_assisted_begin(THIRD)
    base.driver.create_snapshot_assisted_abort(THIRD, begun.noted, capabilities.UNKNOWN)
    end(writer(base.path(old if writes_to == 'old' else begun.request['new_file'])))
    for each in (THIRD, FIRST, SECOND):
        base.driver.delete_snapshot(each)
    base.driver.delete_volume(VOLUME)
    assert base.layers() == []


def test_a_layer_that_is_written_to_is_never_removed(base, writer):
    writer(base.path(base.connected()))
    for each in (FIRST, SECOND):
        begun = base.driver.delete_snapshot_assisted_begin(each)
        assert begun.request is not None
    with pytest.raises(exceptions.ResourceBusy):
        base.driver.delete_volume(VOLUME)
    with pytest.raises(exceptions.ResourceBusy):
        base.driver.delete_snapshot(SECOND)
    assert_whole(base, (FIRST, 1), (SECOND, 2))


def test_what_somebody_opened_is_not_taken_back(base, writer):
    begun = base.driver.create_snapshot_assisted_begin(THIRD)
    process = writer(base.path(begun.request['new_file']))
    with pytest.raises(exceptions.ResourceBusy):
        base.driver.create_snapshot_assisted_abort(THIRD, begun.noted, capabilities.NEVER_ASKED)
    assert begun.request['new_file'] in base.layers()
    end(process)
    base.driver.create_snapshot_assisted_abort(THIRD, begun.noted, capabilities.NEVER_ASKED)
    assert_whole(base, (FIRST, 1), (SECOND, 2))


def test_what_is_merged_into_now_is_busy(base):
    begun = base.driver.delete_snapshot_assisted_begin(FIRST)
    serving = consumer.Consumer(str(base.path(base.connected())), 'qcow2')
    try:
        serving.begin_merge(begun.request, speed=1)
        with pytest.raises(exceptions.ResourceBusy):
            base.driver.delete_snapshot_assisted_begin(FIRST)
    finally:
        serving.kill()
    assert base.driver.delete_snapshot_assisted_begin(FIRST) == begun


def test_nobody_opens_what_is_barred(base):
    path = base.path(base.connected())
    with locks.barred(path):
        opened = subprocess.run(['qemu-io', '-f', 'qcow2', '-c', 'length', path],
                                capture_output=True, text=True, timeout=60, check=False)
        assert 'lock' in opened.stderr
        with pytest.raises(BlockingIOError), locks.barred(path):
            pass
    assert not locks.is_open(path)


def test_without_an_export_nobody_is_asked(tmp_path):
    driver = workbench.started('file', file_path=tmp_path, file_format='qcow2')
    assert not capabilities.has(driver, capabilities.AssistedSnapshots)


def test_a_raw_disk_in_which_the_guest_wrote_a_header_stays_raw(tmp_path):
    """What looks like qcow2, standing on another file, is never read as that."""
    (tmp_path / 'base').mkdir()
    base = layered_consumer.LayeredBase(tmp_path / 'base')
    disk = base.directory / 'volumes' / 'disk'
    with open(disk, 'wb') as file:
        file.truncate(SIZE)
    base.driver.manage_volume(VOLUME, {'source-name': 'disk', 'format': 'raw'})
    forged = tmp_path / 'forged'
    base.tool('qemu-img', 'create', '-f', 'qcow2', '-u', '-b', '/etc/passwd', '-F', 'raw', forged,
              '1M')
    serving = consumer.Consumer(str(base.path(base.connected())), 'raw')
    try:
        base.tool('qemu-io', '-f', 'raw', '-c', f'write -s {forged} 0 {UNIT}', serving.url())
        for number, each in enumerate((FIRST, SECOND), 1):
            begun = base.driver.create_snapshot_assisted_begin(each)
            serving.go_over(begun.request)
            base.driver.create_snapshot_assisted_complete(each, begun.noted)
            base.tool('qemu-io', '-f', 'raw', '-c', f'write -P {number} {number * UNIT} {UNIT}',
                      '-c', 'flush', serving.url())
        begun = base.driver.delete_snapshot_assisted_begin(FIRST)
        assert begun.request['merge_target_file'].endswith('.raw')
        assert begun.noted[f'{begun.request["merge_target_file"]}:format'] == 'raw'
        serving.merge(begun.request)
        base.driver.delete_snapshot_assisted_complete(FIRST, begun.noted)
    finally:
        serving.stop()
    assert base.layer(SECOND).suffix == '.raw'
    assert layers.Layers(base.directory).chain(base.layer(VOLUME).name) == [
        base.layer(VOLUME).name, base.layer(SECOND).name]
    assert base.layer(SECOND).read_bytes()[:UNIT] == forged.read_bytes()[:UNIT].ljust(UNIT, b'\0')
    assert base.numbers()[1:3] == [1, 2]
