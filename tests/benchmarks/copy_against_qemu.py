"""Times the copier and the verification beside qemu-img on 1 GiB of random data.

Run as root: ``python tests/benchmarks/copy_against_qemu.py [--directory DIR] [--xfs]``.
Source and target are files below the directory, with --xfs on an XFS made
there.  qemu-img's default cache mode never flushes, so it is shown three
times: as it is, with the flush that the copier has too, and past the page
cache.
"""
# SPDX-License-Identifier: Apache-2.0

import argparse
import contextlib
import os
import subprocess
import tempfile
import time

from cinder_ext.drivers import values
from cinder_ext.drivers.conformance import media, promises
from cinder_ext.drivers.generic import copy, digests, verify

SIZE = values.GIB


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--directory', default=None, help='where the files are made')
    parser.add_argument('--xfs', action='store_true', help='on a loop-mounted XFS')
    parser.add_argument('--repeat', type=int, default=3)
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(dir=arguments.directory))
        if arguments.xfs:
            directory = stack.enter_context(
                media.mounted_xfs(directory, 4 * values.GIB, direct=True))
        source, target = os.path.join(directory, 'source'), os.path.join(directory, 'target')
        with open(source, 'wb') as made:
            for _ in range(SIZE // (4 * values.MIB)):
                made.write(os.urandom(4 * values.MIB))
            os.fsync(made.fileno())
        for _ in range(arguments.repeat):
            show(source, target)


def show(source, target):
    """One row of figures, in seconds."""
    row = {}
    for name, options in (('qemu-img, no flush', ()), ('qemu-img, flush', ('-t', 'writeback')),
                          ('qemu-img, direct', ('-t', 'none'))):
        empty(target)
        with timed(row, name):
            subprocess.run(['qemu-img', 'convert', '-n', '-W', '-m', '16', '-f', 'raw', '-O',
                            'raw', *options, source, target], check=True)
    empty(target)
    known = digests.DigestMap.zeros(SIZE)
    copier = copy.RangeCopier(source, target, known, size_bytes=SIZE,
                              control=promises.NoControl())
    with timed(row, 'copier, 16 checkpoints'):
        copier.copy([values.Range(0, SIZE)])
    with timed(row, 'verify'):
        verify.verify_blocks(target, SIZE, known, copier.written, control=promises.NoControl())
    print('   '.join(f'{name} {seconds:.3f}' for name, seconds in row.items()), flush=True)


def empty(path):
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    with open(path, 'wb') as made:
        made.truncate(SIZE)


@contextlib.contextmanager
def timed(row, name):
    start = time.monotonic()
    yield
    row[name] = time.monotonic() - start


if __name__ == '__main__':
    main()
