"""Raw views of layers: real processes, killed and started again."""
# SPDX-License-Identifier: Apache-2.0

import concurrent.futures
import os
import random
import signal
import subprocess
import sys
import threading

import processes
import pytest

from cinder_ext import exceptions
from cinder_ext.drivers import values
from cinder_ext.drivers.generic import blockio
from cinder_ext.drivers.qcow2 import daemon, layers, locks

MIB = values.MIB
LOW, TOP = (layers.named('family', name) for name in ('low', 'top'))


@pytest.fixture
def forest(tmp_path):
    made = layers.Layers(str(tmp_path))
    made.start()
    made.create(LOW, values.GIB)
    made.create(TOP, values.GIB, LOW)
    return made


@pytest.fixture
def served(tmp_path):
    views = tmp_path / 'views'
    views.mkdir()
    made = daemon.StorageDaemon(str(views))
    yield made
    made.withdraw('view')
    made.stop()
    processes.wait_for_the_end(views)


def write(path, offset, content):
    with open(path, 'r+b') as view:
        view.seek(offset)
        view.write(content)
        view.flush()
        os.fsync(view.fileno())


def read(path, offset, length):
    with open(path, 'rb') as view:
        view.seek(offset)
        return view.read(length)


def test_a_view_has_the_bytes_of_the_chain(forest, served):
    path = served.export('view', forest.nodes(TOP), True)
    assert os.stat(path).st_size == values.GIB
    write(path, 5 * MIB, b'bytes')
    assert served.export('view', forest.nodes(TOP), True) == path
    assert read(path, 5 * MIB, 5) == b'bytes'
    assert locks.is_written(forest.path(TOP))
    served.withdraw('view')
    served.withdraw('view')
    assert not locks.is_written(forest.path(TOP))
    assert not os.path.exists(path)
    assert forest.allocated(TOP, values.GIB) == [values.Range(5 * MIB, 64 * 1024)]


def test_parallel_direct_writers_do_not_disturb_each_other(forest, served):
    path = served.export('view', forest.nodes(TOP), True)
    descriptor, is_direct = blockio.open_target(path, values.GIB)
    assert is_direct
    noise = random.Random(3)
    wanted = {offset: noise.randbytes(4 * MIB) for offset in range(0, 32 * MIB, 4 * MIB)}

    def write_all(part):
        view = blockio.buffer(4 * MIB)
        for offset in part:
            view[:] = wanted[offset]
            blockio.write_from(descriptor, view, offset)

    threads = [threading.Thread(target=write_all, args=(list(wanted)[number::4],))
               for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.close(descriptor)
    served.withdraw('view')
    path = served.export('view', forest.nodes(TOP), False)
    for offset, content in wanted.items():
        assert read(path, offset, len(content)) == content


def test_a_view_of_a_frozen_layer_is_not_written(forest, served):
    path = served.export('view', forest.nodes(LOW), False)
    with pytest.raises(OSError, match='Permission|Read-only|not permitted'):
        write(path, 0, b'x')
    assert read(path, 0, 4096) == bytes(4096)


@pytest.mark.parametrize('tool', [daemon.TOOL, daemon.VIEWER])
def test_after_a_kill_a_view_comes_back_with_its_bytes(forest, served, tool):
    path = served.export('view', forest.nodes(TOP), True)
    write(path, MIB, b'kept')
    for process in processes.within(served.directory):
        with open(f'/proc/{process}/cmdline', 'rb') as words:
            if tool.encode() in words.read():
                os.kill(process, signal.SIGKILL)
    path = served.export('view', forest.nodes(TOP), True)
    assert read(path, MIB, 4) == b'kept'


STARTER = '''
import os, sys
from cinder_ext.drivers.qcow2 import daemon

def end_when_it_waits():
    with open(made.path('.messages'), encoding='utf-8') as said:
        if 'waiting for connection' in said.read():
            os._exit(0)

made = daemon.StorageDaemon(sys.argv[1])
made._connect = end_when_it_waits
made._start()
'''
"""Ends between the start of a daemon and the first connection."""


def test_a_daemon_whose_starter_was_killed_before_it_spoke_with_it_is_used(forest, served):
    subprocess.run([sys.executable, '-c', STARTER, served.directory], check=True, timeout=60)
    waiting = processes.within(served.directory)
    path = served.export('view', forest.nodes(TOP), True)
    write(path, MIB, b'kept')
    assert read(path, MIB, 4) == b'kept'
    assert waiting
    assert set(waiting) <= set(processes.within(served.directory))


def test_daemons_greet_once_however_early_they_are_asked(tmp_path):
    def greeted(number):
        (tmp_path / str(number)).mkdir()
        made = daemon.StorageDaemon(str(tmp_path / str(number)))
        with made._monitor() as monitor:
            found = monitor.cmd('query-block-exports')
            monitor.cmd('quit')
        return found
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        assert list(pool.map(greeted, range(30))) == [[]] * 30
    processes.wait_for_the_end(tmp_path)


def test_what_another_process_writes_is_busy(forest, served):
    other = subprocess.Popen(['qemu-io', '-f', 'qcow2', forest.path(TOP)], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE)
    try:
        other.stdin.write(b'read 0 512\n')
        other.stdin.flush()
        other.stdout.readline()
        with pytest.raises(exceptions.ResourceBusy):
            served.export('view', forest.nodes(TOP), True)
    finally:
        other.communicate()
