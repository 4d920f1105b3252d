"""How long a write and a flush wait while others read from the same disk.

Run: ``python tests/benchmarks/flush_behind_reads.py [--directory DIR]``.  Readers read a
file of 256 MiB past the page cache, in pieces of some length; meanwhile 1 MiB is written past
the page cache and flushed, twenty times, with a pause of 5 ms.  Medians, and how fast the
readers were.  It takes about ten seconds.
"""
# SPDX-License-Identifier: Apache-2.0

import argparse
import os
import statistics
import tempfile
import threading
import time

from cinder_ext.drivers import values
from cinder_ext.drivers.generic import blockio

MIB = values.MIB
LENGTH = 256 * MIB
TIMES = 20
KINDS = ((0, 0), (256, 2), (1024, 1), (1024, 2), (2048, 1), (2048, 2), (4096, 2))
"""(KiB of a piece, readers)"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--directory', default=None, help='where the files are made')
    with tempfile.TemporaryDirectory(dir=parser.parse_args().directory) as directory:
        paths = [os.path.join(directory, name) for name in ('read', 'written')]
        for path in paths:
            fill(path)
        print(f'{"piece":>9} {"readers":>7} {"write":>9} {"flush":>9} {"read":>11}')
        for kib, readers in KINDS:
            writes, flushes, speed = measure(*paths, kib * 1024, readers)
            print(f'{kib:5} KiB {readers:7} {writes * 1e3:6.2f} ms {flushes * 1e3:6.2f} ms '
                  f'{speed / MIB:5.0f} MiB/s')


def fill(path):
    with open(path, 'wb') as made:
        for _ in range(LENGTH // MIB):
            made.write(os.urandom(MIB))
        os.fsync(made.fileno())


def measure(source, target, piece, readers):
    """(median seconds of a write, of a flush, bytes per second of all readers)."""
    is_over, counts = threading.Event(), [0] * readers
    threads = [threading.Thread(target=read, args=(source, piece, number, counts, is_over))
               for number in range(readers)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    times = write(target)
    is_over.set()
    for thread in threads:
        thread.join()
    speed = sum(counts) / (time.monotonic() - began)
    return *(statistics.median(found) for found in zip(*times, strict=True)), speed


def read(path, piece, number, counts, is_over):
    """One reader: from its own place on, round and round."""
    descriptor, _ = blockio.open_source(path, direct=True)
    # In huge pages, as the copier's: of small ones a read is many requests, and slower.
    view = blockio.buffer(4 * MIB)[:piece]
    offset = number * LENGTH // 3 // piece * piece
    while not is_over.is_set():
        counts[number] += os.preadv(descriptor, [view], offset % LENGTH)
        offset += piece
    os.close(descriptor)


def write(path):
    """[(seconds of a write, seconds of its flush)]."""
    descriptor, _ = blockio.open_target(path, LENGTH)
    view, found = blockio.buffer(4 * MIB)[:MIB], []
    for turn in range(TIMES):
        began = time.monotonic()
        os.pwrite(descriptor, view, turn * MIB)
        written = time.monotonic()
        os.fdatasync(descriptor)
        found.append((written - began, time.monotonic() - written))
        time.sleep(0.005)
    os.close(descriptor)
    return found


if __name__ == '__main__':
    main()
