"""Which process works on a recorded piece of work when several could.

A process has an identity and holds a lock on a file of that name below
``state_path`` for as long as it lives: who can take that lock knows that the
owner is dead and succeeds it at once.  An owner that cannot be examined so, or
that is frozen, loses its lease when nobody saw a sign of it for
``[migration] lease_seconds``, measured by the candidate's own clock and only
while the candidate was looking.  See db/lease.py.
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import fcntl
import os
import socket
import threading
import time
import uuid

from oslo_db import exception as oslo_db_exception
from oslo_log import log

from cinder_ext import context as request_context
from cinder_ext import periodic
from cinder_ext.db import away, lease

LOG = log.getLogger(__name__)

_DATABASE_FAULTS = (oslo_db_exception.DBError, *away.FAULTS)
"""oslo.db does not translate all of them: a full disk of SQLite is one."""

TICKS = 5
"""Signs of an owner, and looks of a candidate, per lease."""


class Identity:
    """A name of this process, and the lock that is its proof of life.

    :param directory: of the locks; made when missing
    """

    def __init__(self, directory):
        os.makedirs(directory, mode=0o750, exist_ok=True)
        self._directory = directory
        self.name = f'{socket.gethostname()}.{os.getpid()}.{uuid.uuid4().hex}'
        self._descriptor = self._locked()

    def _locked(self):
        """The lock is there before the name is, so that nobody finds it free."""
        path = self._path(self.name)
        while True:
            descriptor = os.open(path + '.new', os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            try:
                os.rename(path + '.new', path)
            except FileNotFoundError:
                # Swept before it was locked.
                os.close(descriptor)
            else:
                return descriptor

    def close(self):
        """The process holds nothing any more."""
        with contextlib.suppress(OSError):
            os.unlink(self._path(self.name))
        os.close(self._descriptor)

    def is_dead(self, name):
        """Whether it is certain that the process of a name has ended.

        False also when it cannot be told: it runs on another machine, say.
        """
        is_name = bool(name) and os.path.basename(name) == name
        return is_name and name != self.name and self._is_free(name)

    def _is_free(self, name):
        try:
            descriptor = os.open(self._path(name), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            # Shared: two candidates must not take each other for the owner.
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        else:
            return True
        finally:
            os.close(descriptor)

    def sweep(self, named):
        """Remove the files of dead processes that no record names.

        :param named: names to keep
        """
        for name in os.listdir(self._directory):
            if name not in named and name != self.name and self._is_free(name):
                with contextlib.suppress(OSError):
                    os.unlink(self._path(name))

    def _path(self, name):
        return os.path.join(self._directory, name)


class _Watch:
    """How long one pair of attempt and beat has been seen, by this process's clock."""

    def __init__(self, standing, now):
        self.seen = (standing.attempt, standing.beat)
        self.at = now
        self.seconds = 0.0

    def look(self, standing, now, longest):
        """Time counts only while this process was looking: it may have been frozen itself."""
        seen = (standing.attempt, standing.beat)
        if seen != self.seen:
            self.seen, self.seconds = seen, 0.0
        else:
            self.seconds += min(now - self.at, longest)
        self.at = now


class Ownership:
    """The leases of one process, and its candidacies.  One thread renews and looks.

    :param conf: options
    :param clock: seconds that only grow
    """

    def __init__(self, conf, clock=time.monotonic):
        self._conf = conf
        self._clock = clock
        self._lock = threading.Lock()
        self._identity = None
        self._held = {}
        self._watches = {}
        self._looks = []
        self._thread = periodic.Periodic(self._tick_seconds, self._tick, 'leases')

    @property
    def _tick_seconds(self):
        return self._conf.migration.lease_seconds / TICKS

    @property
    def identity(self):
        """Identity of this process; made at the first use, which is after any fork."""
        with self._lock:
            if self._identity is None:
                self._identity = Identity(os.path.join(self._conf.state_path, 'owners'))
            return self._identity

    def start(self):
        """Renew what is held, and look for what others lose."""
        self.identity.sweep(lease.owners(request_context.admin_context()))
        self._thread.start()

    def stop(self):
        """End; what is held still stays held until the process ends."""
        self._thread.stop()
        with self._lock:
            if self._identity is not None and not self._held:
                self._identity.close()
                self._identity = None

    def join(self, look):
        """Have ``look()`` called several times per lease: it asks for what may be taken up."""
        self._looks.append(look)

    def leave(self, look):
        """Call ``look()`` no more."""
        with contextlib.suppress(ValueError):
            self._looks.remove(look)

    def open_to(self, context, record_ids, kind=lease.MIGRATION):
        """Which of some records this process may take up now, in the same order.

        :param kind: lease.MIGRATION, REPLICATION or OPERATION
        """
        if not record_ids:
            return []
        return [each.id for each in lease.standings(context, record_ids, kind)
                if self._claim(each) is not None]

    @contextlib.contextmanager
    def held(self, context, record_id, has_work=lambda: True, kind=lease.MIGRATION):
        """Own a record while the block runs.

        :param has_work: asked after it was seen how the lease stands: what another process has
            ended since is not taken
        :returns: lease.Fence; None when another process owns it, or was faster
        """
        fence = self._take(context, record_id, has_work, kind)
        try:
            yield fence
        finally:
            if fence is not None:
                self._release(context, fence)

    def _take(self, context, record_id, has_work, kind):
        standing = next(iter(lease.standings(context, [record_id], kind)), None)
        claim = None if standing is None else self._claim(standing)
        if claim is None or not has_work():
            return None
        is_doubtful = claim == 'expired'
        with self._lock:
            if record_id in self._held:
                return None
            # Before it is taken: a sweep of this process must not take it for one it has lost.
            self._held[record_id] = None
        fence = None
        try:
            fence = lease.take(context, standing, self.identity.name, is_doubtful)
        finally:
            with self._lock:
                self._watches.pop(record_id, None)
                self._held.pop(record_id)
                if fence is not None:
                    self._held[record_id] = fence
        if fence is not None:
            LOG.info('%s is of %s; before: %s, %s', fence, self.identity.name, standing.owner, claim)
        return fence

    def _claim(self, standing):
        """Why this process may take a lease now: a word; None when it may not."""
        if standing.owner is None:
            return 'free'
        if standing.owner == self.identity.name:
            return None if standing.id in self._held else 'mine'
        if self.identity.is_dead(standing.owner):
            return 'dead'
        return 'expired' if self._has_expired(standing) else None

    def _has_expired(self, standing):
        now = self._clock()
        with self._lock:
            watch = self._watches.setdefault(standing.id, _Watch(standing, now))
            watch.look(standing, now, 2 * self._tick_seconds)
            return watch.seconds >= self._conf.migration.lease_seconds

    def _release(self, context, fence):
        try:
            lease.release(context, fence)
        except _DATABASE_FAULTS as fault:
            LOG.warning('%s could not be given back: %s', fence, away.describe(fault))
        finally:
            # Whatever the record says: this process works on it no more, and may take it again.
            with self._lock:
                self._held.pop(fence.record_id, None)

    def _tick(self):
        self._thread.interval_seconds = self._tick_seconds
        self._renew()
        self._forget()
        for look in tuple(self._looks):
            look()

    def _renew(self):
        with self._lock:
            held = [fence for fence in self._held.values() if fence is not None]
        if not held:
            return
        for fence in lease.renew(request_context.admin_context(), held):
            LOG.warning('%s has lost its lease', fence)
            fence.lose()

    def _forget(self):
        """Nobody asks any more for what has ended."""
        with self._lock:
            oldest = self._clock() - 2 * self._conf.migration.lease_seconds
            self._watches = {each: watch for each, watch in self._watches.items()
                             if watch.at >= oldest}
