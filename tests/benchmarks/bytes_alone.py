"""What the bytes of a migration cost alone: read, written and read back by threads, no more.

Run as root: ``python tests/benchmarks/bytes_alone.py [--directory DIR]``.  On the media of
``migration_cost.py`` it moves what a migration of 1 GiB moves that is verified: without snapshots,
and with 20 of 1 % (of each whole blocks of 1 MiB are read, about two for every changed one, and
the changed bytes are written).  Nothing is digested, no snapshot taken, nothing stored.
``qemu`` is ``qemu-img convert`` as there, of the unique bytes of the chain.  So the ratios are what
a migration could come to whose every other part cost nothing.  Medians; a minute, 16 GiB.
"""
# SPDX-License-Identifier: Apache-2.0

import argparse
import contextlib
import os
import pathlib
import random
import statistics
import tempfile
import threading
import time
import types

import migration_cost

from cinder_ext.drivers import values
from cinder_ext.drivers.conformance import media
from cinder_ext.drivers.generic import blockio

MIB, GIB = values.MIB, values.GIB
LINKS, CHANGED_MIB = 20, 10
TIMES, THREADS = 5, 4


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--directory', default=None, help='where the files are made')
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(
            tempfile.TemporaryDirectory(dir=parser.parse_args().directory))
        alpha, beta = (pathlib.Path(stack.enter_context(
            media.mounted_xfs(_made(directory, name), 8 * GIB, direct=True, sparse=False)))
            for name in ('place', 'other'))
        served = types.SimpleNamespace(state_dir=alpha, beta=beta, beta_format='raw')
        data = alpha / 'data'
        migration_cost.noise(data, GIB)
        found = []
        for _ in range(TIMES):
            unique = GIB + LINKS * CHANGED_MIB * MIB
            found.append((migration_cost.qemu(served, data, unique)['qemu'],
                          timed(data, beta, 0), timed(data, beta, LINKS)))
        qemu, none, chain = map(statistics.median, zip(*found, strict=True))
        print(f'qemu {qemu:.2f} s  none {none:.2f} s  chain {chain:.2f} s')
        print(f'chain / none {statistics.median(c / n for _, n, c in found):.2f}  '
              f'none / qemu {statistics.median(n / q for q, n, _ in found):.2f}  '
              f'chain / qemu {statistics.median(c / q for q, _, c in found):.2f}')


def _made(directory, name):
    os.mkdir(os.path.join(directory, name))
    return os.path.join(directory, name)


def timed(source, directory, links):
    """Seconds for a chain of so many links after the first."""
    target = directory / 'target'
    with open(target, 'wb') as made:
        made.truncate(4 * GIB)
    chance = random.Random(links)
    migration_cost.settle()
    began = time.monotonic()
    with contextlib.ExitStack() as opened:
        read = os.open(source, os.O_RDONLY | os.O_DIRECT)
        opened.callback(os.close, read)
        written = os.open(target, os.O_RDWR | os.O_DIRECT)
        opened.callback(os.close, written)
        move(read, written, [(number * MIB, True) for number in range(GIB // MIB)])
        for _ in range(links):
            blocks = chance.sample(range(GIB // MIB - 1), CHANGED_MIB)
            move(read, written, [part for block in blocks
                                 for part in ((block * MIB, True), (block * MIB + MIB, False))])
        count = GIB // MIB + links * CHANGED_MIB
        move(written, None, [(number * MIB % GIB, False) for number in range(count)])
    took = time.monotonic() - began
    target.unlink()
    return took


def move(read, written, parts):
    """Read parts of 1 MiB in threads, and write those that are to be written; flush then.

    :param parts: (offset, whether it is written)
    """
    left, lock = iter(parts), threading.Lock()

    def work():
        view = blockio.buffer(2 * MIB)[:MIB]
        while True:
            with lock:
                offset, is_written = next(left, (None, None))
            if offset is None:
                return
            blockio.read_into(read, view, offset)
            if is_written:
                blockio.write_from(written, view, offset)

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if written is not None:
        os.fdatasync(written)


if __name__ == '__main__':
    main()
