"""The processes that work in a directory."""
# SPDX-License-Identifier: Apache-2.0

import os
import time


def within(directory):
    """Ids of the processes whose working directory is this one."""
    found = []
    for name in filter(str.isdigit, os.listdir('/proc')):
        try:
            if os.readlink(f'/proc/{name}/cwd') == str(directory):
                found.append(int(name))
        except OSError:
            continue
    return found


def wait_for_the_end(directory, seconds=60):
    """Return when none works there any more.

    :raises AssertionError: one stays
    """
    deadline = time.monotonic() + seconds
    while left := within(directory):
        assert time.monotonic() < deadline, f'processes stay: {left}'
        time.sleep(0.02)
