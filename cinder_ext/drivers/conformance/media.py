"""Media to run file-like drivers on: an XFS in an image file, for shared blocks."""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import os
import subprocess

from cinder_ext.drivers import values


@contextlib.contextmanager
def mounted_xfs(directory, size_bytes=2 * values.GIB, direct=False):
    """A mounted XFS with reflinks, in a sparse image below ``directory``; needs root and xfsprogs.

    :param direct: whether the image is read and written past the page cache, as a benchmark
        of storage wants it
    :returns: the mount point, unmounted and removed at the end
    :raises CalledProcessError: mkfs.xfs or mount refuses; what they said is in ``stderr``
    :raises FileNotFoundError: mkfs.xfs is not installed
    """
    image, point = os.path.join(directory, 'xfs.img'), os.path.join(directory, 'xfs')
    os.makedirs(point)
    with open(image, 'wb') as made:
        made.truncate(size_bytes)
    _run('mkfs.xfs', '-q', '-m', 'reflink=1', image)
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
