"""Directories, and files in them, as the backends of file-like drivers use them."""
# SPDX-License-Identifier: Apache-2.0

import concurrent.futures
import contextlib
import os

_MOST_AT_ONCE = 8


def sync(directory):
    """Put the names in a directory on the medium."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_all(descriptors, names):
    """Put open files and the names in directories on the medium, at once: their flushes are one.

    :param names: paths of the directories
    """
    with contextlib.ExitStack() as opened:
        every = list(descriptors)
        for directory in names:
            every.append(os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
            opened.callback(os.close, every[-1])
        pool = opened.enter_context(concurrent.futures.ThreadPoolExecutor(
            _MOST_AT_ONCE, 'flush'))
        for _ in pool.map(os.fsync, every):
            pass
