"""The guests of the stand-in by themselves: chains, cuts, and a guest that is killed."""
# SPDX-License-Identifier: Apache-2.0

import os
import subprocess

import booted_guest
import pytest
import qcow2_guest
import stamped_writer

GIB = 1024 ** 3
LONG = bool(os.environ.get('CINDER_EXT_LONG'))


def _layer(directory, name, backing=None):
    path = directory / name
    behind = ['-u', '-b', backing, '-F', 'qcow2'] if backing else []
    subprocess.run(['qemu-img', 'create', '-q', '-f', 'qcow2', *behind, str(path), str(GIB)],
                   check=True)
    return path


def _is_sound(path):
    return subprocess.run(['qemu-img', 'check', '-U', '-q', '-f', 'qcow2', str(path)],
                          check=False).returncode == 0


def _backing(path):
    found = subprocess.run(['qemu-img', 'info', '-U', '-f', 'qcow2', str(path)], check=True,
                           capture_output=True, text=True).stdout
    return [line.split(': ')[1].split(' (')[0] for line in found.splitlines()
            if line.startswith('backing file: ')]


@pytest.fixture
def log():
    return stamped_writer.StampLog()


def _booted(path):
    """A guest with a kernel and a driver of the disk of its own, which know nothing of it all."""
    return booted_guest.BootedGuest(path, booted_guest.unpack(path.parent))


@pytest.mark.parametrize(('boot', 'writes'), [
    pytest.param(qcow2_guest.Guest, 100, id='daemon'),
    pytest.param(lambda path: qcow2_guest.Guest(path, 'machine'), 100, id='machine'),
    *([pytest.param(_booted, 20, id='booted')] if LONG else [])])
def test_a_guest_writes_through_snapshots_and_merges(tmp_path, log, boot, writes):
    guest = boot(_layer(tmp_path, 'one.qcow2'))
    writer = stamped_writer.StampedWriter(guest, log)
    cuts = []
    for before, name in (('one', 'two'), ('two', 'three'), ('three', 'four')):
        writer.goes_on(writes)
        least = log.acknowledged
        guest.snapshot(_layer(tmp_path, f'{name}.qcow2', f'{before}.qcow2'))
        cuts.append(log.cut_of(tmp_path / f'{before}.qcow2', least, log.started))
    assert [path for _, path in guest.chain()] == [
        str(tmp_path / f'{name}.qcow2') for name in ('four', 'three', 'two', 'one')]
    guest.commit('two.qcow2', 'one.qcow2')
    assert _backing(tmp_path / 'three.qcow2') == ['one.qcow2']
    assert log.cut_of(tmp_path / 'one.qcow2') == cuts[1]
    writer.goes_on(writes)
    guest.stream('one.qcow2')
    assert _backing(tmp_path / 'four.qcow2') == ['one.qcow2']
    guest.stream(None)
    assert _backing(tmp_path / 'four.qcow2') == []
    assert list(guest.open_files().values()) == [str(tmp_path / 'four.qcow2')]
    with pytest.raises(qcow2_guest.Refusal, match='not in the chain'):
        guest.commit('two.qcow2', 'one.qcow2')
    writer.goes_on(writes)
    with writer.held():
        assert _is_sound(guest.path)
        assert log.cut_of(guest.path) == log.acknowledged
    writer.stop()
    guest.close()
    assert log.cut_of(tmp_path / 'four.qcow2') == log.acknowledged


@pytest.mark.parametrize('merge', [
    pytest.param(lambda guest: guest.commit('two.qcow2', 'one.qcow2', guest.kill), id='commit'),
    pytest.param(lambda guest: guest.stream('one.qcow2', guest.kill), id='stream')])
def test_a_guest_that_is_killed_in_a_merge_has_what_it_flushed(tmp_path, log, merge):
    guest = qcow2_guest.Guest(_layer(tmp_path, 'one.qcow2'))
    writer = stamped_writer.StampedWriter(guest, log, pause_seconds=0)
    writer.goes_on()
    guest.snapshot(_layer(tmp_path, 'two.qcow2', 'one.qcow2'))
    writer.goes_on(600)
    guest.snapshot(_layer(tmp_path, 'three.qcow2', 'two.qcow2'))
    guest.job_bytes_per_second = 2 ** 19
    with pytest.raises(qcow2_guest.Gone):
        merge(guest)
    writer.stop()
    assert isinstance(writer.fault, OSError)
    assert _backing(tmp_path / 'three.qcow2') == ['two.qcow2']
    log.survives(tmp_path / 'three.qcow2')
    successor = qcow2_guest.Guest(tmp_path / 'three.qcow2')
    writer = stamped_writer.StampedWriter(successor, log)
    writer.goes_on()
    writer.stop()
    successor.close()
    assert log.cut_of(tmp_path / 'three.qcow2') == log.acknowledged


def test_what_is_no_cut_is_found(tmp_path, log):
    guest = qcow2_guest.Guest(_layer(tmp_path, 'one.qcow2'))
    writer = stamped_writer.StampedWriter(guest, log)
    writer.goes_on()
    writer.stop()
    guest.close()
    last = log.acknowledged
    with pytest.raises(AssertionError, match='later than'):
        log.cut_of(tmp_path / 'one.qcow2', 0, last - 1)
    _number, block = log.next_write()
    with pytest.raises(AssertionError, match='no cut'):
        log.cut_of(tmp_path / 'one.qcow2', last + 1)
    for command, complaint in (('write -P 9 512M 4k', 'has data at'),
                               (f'write -P 9 {block * 4096} 512', 'torn')):
        subprocess.run(['qemu-io', '-f', 'qcow2', '-c', command, str(tmp_path / 'one.qcow2')],
                       check=True, stdout=subprocess.DEVNULL)
        with pytest.raises(AssertionError, match=complaint):
            log.cut_of(tmp_path / 'one.qcow2')

