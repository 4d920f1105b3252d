"""Media to run file-like drivers on, in image files: XFS for shared blocks, ext4 without."""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import os
import subprocess

from cinder_ext.drivers import values


def mounted_xfs(directory, size_bytes=2 * values.GIB, direct=False, sparse=True):
    """A mounted XFS with reflinks, in an image below ``directory``; needs root and xfsprogs.

    :param direct: whether the image is read and written past the page cache, as a benchmark
        of storage wants it
    :param sparse: whether the image gets its blocks when they are first written: then a flush
        waits for the file system below, which notes them, as that of a disk does not
    :returns: the mount point, unmounted and removed at the end
    :raises CalledProcessError: mkfs.xfs or mount refuses; what they said is in ``stderr``
    :raises FileNotFoundError: mkfs.xfs is not installed
    """
    # Nothing is discarded, which would make it sparse again.
    make = ('mkfs.xfs', '-q', '-K', '-m', 'reflink=1')
    return _mounted('xfs', make, directory, size_bytes, direct, sparse)


def mounted_ext4(directory, size_bytes=2 * values.GIB, direct=False, sparse=True):
    """As mounted_xfs, of a file system where no two files share a block; needs e2fsprogs."""
    # All its tables are made now, and are not taken for what a later test has written.
    make = ('mkfs.ext4', '-q', '-E', 'lazy_itable_init=0,lazy_journal_init=0,nodiscard')
    return _mounted('ext4', make, directory, size_bytes, direct, sparse)


@contextlib.contextmanager
def _mounted(name, make, directory, size_bytes, direct, sparse):  # noqa: PLR0917
    image, point = os.path.join(directory, f'{name}.img'), os.path.join(directory, name)
    os.makedirs(point)
    with open(image, 'wb') as made:
        made.truncate(size_bytes)
    if not sparse:
        _run('dd', 'if=/dev/zero', f'of={image}', 'bs=4M', 'oflag=direct', 'conv=notrunc',
             f'count={size_bytes // (4 * values.MIB)}')
    _run(*make, image)
    _run('mount', '-o', 'loop', image, point)
    try:
        if direct:
            device = _run('findmnt', '-n', '-o', 'SOURCE', point).strip()
            _run('losetup', '--direct-io=on', device)
        yield point
    finally:
        _run('umount', point)
        os.unlink(image)


def _run(*command):
    """What a command prints."""
    path = '/usr/sbin:/sbin:' + os.environ.get('PATH', '')
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60,
                          env={**os.environ, 'PATH': path}).stdout
