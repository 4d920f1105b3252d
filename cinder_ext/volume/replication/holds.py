"""One lease for several threads of this process that work on one record at once."""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import threading


class _Hold:
    def __init__(self):
        self.lock = threading.Lock()
        self.users = 0
        self.fence = None
        self.stack = contextlib.ExitStack()


class Holds:
    """Leases that are taken by the first and given back by the last.

    :param ownership: volume.ownership.Ownership
    :param kind: of the records, see db/lease.py
    """

    def __init__(self, ownership, kind):
        self._ownership = ownership
        self._kind = kind
        self._lock = threading.Lock()
        self._holds = {}

    @contextlib.contextmanager
    def held(self, context, record_id):
        """Own a record while the block runs, together with who owns it here already.

        :returns: lease.Fence; None when another process owns it, or was faster
        """
        with self._lock:
            hold = self._holds.setdefault(record_id, _Hold())
        with hold.lock:
            self._enter(context, record_id, hold)
            hold.users += 1
            fence = hold.fence
        try:
            yield fence
        finally:
            with hold.lock:
                hold.users -= 1
                if not hold.users:
                    hold.fence = None
                    hold.stack.close()

    def _enter(self, context, record_id, hold):
        if hold.fence is not None and not hold.fence.is_lost:
            return
        hold.stack.close()
        hold.fence = hold.stack.enter_context(
            self._ownership.held(context, record_id, kind=self._kind))

    def forget(self, living):
        """Keep in mind only some records, and those that are held."""
        with self._lock:
            self._holds = {each: hold for each, hold in self._holds.items()
                           if each in living or hold.users}
