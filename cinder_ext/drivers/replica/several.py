"""The members of a large group, several at once: each waits for the medium most of the time."""
# SPDX-License-Identifier: Apache-2.0

import concurrent.futures
import threading

AT_ONCE = 8


def each_of(function, things):
    """What a function makes of each of some things, in their order.

    The first fault is raised when nothing is at work any more; what was not begun is left.
    """
    if len(things) < 2:
        return [function(thing) for thing in things]
    failed = threading.Event()

    def call(thing):
        if failed.is_set():
            return None
        try:
            return function(thing)
        except BaseException:
            failed.set()
            raise

    with concurrent.futures.ThreadPoolExecutor(AT_ONCE, 'replica') as pool:
        return [future.result() for future in [pool.submit(call, thing) for thing in things]]
