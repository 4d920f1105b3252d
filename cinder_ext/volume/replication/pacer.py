"""Does what recurs, each thing at its own pace: what is due longest comes first."""
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import threading
import time
import typing

from oslo_log import log

from cinder_ext.volume import engine as engines

LOG = log.getLogger(__name__)

LOOK_SECONDS = 3
"""What is to be done is looked at so often at least: who asked for a look may not have been heard."""


@dataclasses.dataclass
class Task:
    """Something to be done at a time.

    :ivar key: two tasks of one key never run at once
    :ivar group: the tasks of a group run beside one another, but for one that is_alone
    :ivar due_at: seconds since the epoch
    :ivar run: called without arguments; returns when it is due again, or None: that is to be
        looked at anew
    :ivar is_alone: only when no other one of its group runs, and then none of them is begun
    """

    key: tuple
    group: str
    due_at: float
    run: typing.Callable
    is_alone: bool = False


class Pacer:
    """One thread that looks and begins, and one per task that runs.

    :param plan: callable; returns the list of all tasks there are now
    :param limit: callable; how many may run at once
    :param stopping: threading.Event: nothing is begun any more
    :param name: of the thread
    :param now: the time in seconds since the epoch
    """

    def __init__(self, plan, limit, stopping, name, now=time.time):
        self._plan = plan
        self._limit = limit
        self._stopping = stopping
        self._name = name
        self._now = now
        self._change = threading.Condition()
        self._tasks = {}
        self._running = {}
        self._is_poked = True
        self._looked_at = 0.0
        self._thread = None

    def start(self):
        """Begin; returns at once."""
        self._thread = threading.Thread(target=self._loop, name=self._name, daemon=True)
        self._thread.start()

    def poke(self):
        """Look now at what is to be done."""
        with self._change:
            self._is_poked = True
            self._change.notify_all()

    def stop(self, timeout_seconds=5):
        """Begin nothing more, and wait for what runs.

        :returns: whether all has ended in time; what has not dies with the process
        """
        self._stopping.set()
        deadline = time.monotonic() + timeout_seconds
        self.poke()
        if self._thread is not None:
            self._thread.join(timeout_seconds)
        with self._change:
            while self._running and time.monotonic() < deadline:
                self._change.wait(deadline - time.monotonic())
            return not self._running

    def _loop(self):
        while not self._stopping.is_set():
            if self._is_time_to_look():
                engines.guarded(f'the plan of {self._name}', self._look)
            with self._change:
                for task in self._next():
                    self._begin(task)
                if not self._is_poked:
                    self._change.wait(self._pause_seconds())

    def _is_time_to_look(self):
        with self._change:
            is_time = self._is_poked or time.monotonic() >= self._looked_at + LOOK_SECONDS
            if is_time:
                self._is_poked = False
                self._looked_at = time.monotonic()
            return is_time

    def _look(self):
        tasks = {task.key: task for task in self._plan()}
        with self._change:
            self._tasks = tasks

    def _next(self):
        """What may begin now, in the order in which it was due."""
        free = self._limit() - len(self._running)
        due = sorted((task for task in self._tasks.values()
                      if task.due_at <= self._now() and task.key not in self._running),
                     key=lambda task: task.due_at)
        # The one that is to be alone lets no other one before it.
        waiting = {task.group for task in due if task.is_alone}
        alone = {task.group for task in self._running.values() if task.is_alone}
        busy = {task.group for task in self._running.values()}
        for task in due:
            if free <= 0 or self._stopping.is_set():
                return
            if task.is_alone and task.group in busy or not task.is_alone and (
                    task.group in waiting or task.group in alone):
                continue
            free -= 1
            busy.add(task.group)
            yield task

    def _begin(self, task):
        self._running[task.key] = task
        # A daemon: a backend that hangs must not keep the process from ending.
        threading.Thread(target=self._do, args=(task,), daemon=True,
                         name=f'{self._name} {task.group}').start()

    def _do(self, task):
        again = []
        try:
            engines.guarded(f'{self._name} {task.group}', lambda: again.append(task.run()))
        finally:
            with self._change:
                del self._running[task.key]
                self._settle(task, again)
                self._change.notify_all()

    def _settle(self, task, again):
        """When it is due again.  After a fault, and where it is not known, at the next look."""
        current = self._tasks.get(task.key)
        if not again:
            # It is looked at in any case; not at once, since the fault may last.
            self._tasks.pop(task.key, None)
        elif again[0] is None:
            self._tasks.pop(task.key, None)
            self._is_poked = True
        elif current is not None:
            current.due_at = again[0]

    def _pause_seconds(self):
        """Until something is due, or it is time to look."""
        pause = max(0.0, self._looked_at + LOOK_SECONDS - time.monotonic())
        if len(self._running) < self._limit():
            for task in self._tasks.values():
                if task.key not in self._running and task.due_at > self._now():
                    pause = min(pause, task.due_at - self._now())
        return pause
