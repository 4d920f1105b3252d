"""The members of a large group, several at once: each waits for the medium most of the time."""
# SPDX-License-Identifier: Apache-2.0

import concurrent.futures
import contextlib
import threading

AT_ONCE = 8


def each_of(function, things):
    """What a function makes of each of some things, in their order.

    The first fault is raised when nothing is at work any more; what was not begun is left.
    """
    if len(things) < 2:
        return [function(thing) for thing in things]
    has_failed = threading.Event()

    def call(thing):
        if has_failed.is_set():
            return None
        with contextlib.ExitStack() as if_it_fails:
            if_it_fails.callback(has_failed.set)
            made = function(thing)
            if_it_fails.pop_all()
        return made

    with concurrent.futures.ThreadPoolExecutor(AT_ONCE, 'replica') as pool:
        return [future.result() for future in [pool.submit(call, thing) for thing in things]]
