"""What the journeys of one backend share."""
# SPDX-License-Identifier: Apache-2.0

import dataclasses
from concurrent import futures

from oslo_log import log

from cinder_ext import exceptions
from cinder_ext.db import away, faults
from cinder_ext.volume import engine
from cinder_ext.volume.running import Running

LOG = log.getLogger(__name__)

RESUMED_AT_ONCE = 4
"""Pieces of recorded work that a sweep has under way at a time."""


ASKED_AT_ONCE = 8
"""Questions to other services that may be unanswered at a time."""


@dataclasses.dataclass(frozen=True)
class Backend:
    """One backend of this process.

    :ivar host: ``host@backend``
    :ivar driver: a drivers.base.Driver, started
    :ivar capacity_changed: called when something was made or removed
    """

    host: str
    driver: object
    capacity_changed: object = lambda: None
    running: Running = dataclasses.field(default_factory=Running)
    pool: futures.Executor = dataclasses.field(
        default_factory=lambda: futures.ThreadPoolExecutor(RESUMED_AT_ONCE, 'resumed'))
    asking: futures.Executor = dataclasses.field(
        default_factory=lambda: futures.ThreadPoolExecutor(ASKED_AT_ONCE, 'asking'))

    def do(self, resource_id, work, *args):
        """Work on a resource when its turn has come."""
        with self.running.turn(resource_id):
            work(*args)

    def resume(self, resource_id, work, *args):
        """Have recorded work done by a thread of the pool, unless somebody does it already."""
        self.pool.submit(self._resume, resource_id, work, args)

    def _resume(self, resource_id, work, args):
        try:
            with self.running.turn(resource_id, wait=False) as is_mine:
                if is_mine:
                    work(*args)
        except (exceptions.CinderExtError, OSError, *away.FAULTS) as fault:
            LOG.error('%s: recorded work failed and is tried again: %s', resource_id,
                      away.describe(fault))

    def later(self, resource_id, work, *args):
        """Have work done by a thread of the pool when its turn has come; not while stopping."""
        _hand_over(self.pool, self._in_turn, resource_id, work, args)

    def ask(self, what, question, *args):
        """Have another service asked by a thread that does nothing else; not while stopping."""
        _hand_over(self.asking, engine.guarded, what, question, *args)

    def _in_turn(self, resource_id, work, args):
        with self.running.turn(resource_id):
            engine.guarded(resource_id, work, *args)

    def stop(self):
        """Begin no more; when what was begun is done, the driver lets go of what it holds."""
        for pool in (self.pool, self.asking):
            pool.shutdown(wait=True, cancel_futures=True)
        try:
            self.driver.stop()
        except exceptions.DriverError as fault:
            LOG.warning('backend %s does not let go: %s', self.host, fault.message)


def _hand_over(pool, function, *args):
    try:
        pool.submit(function, *args)
    except RuntimeError:
        # The pool is shut down: what is recorded is taken up at the next start.
        LOG.info('%s: not begun any more', args[0])


def failed(context, machine, row, event, fault, message):
    """A driver could not do it: status, user message, log.

    :param event: of the machine
    :param message: (action, detail) of the user message
    """
    if faults.record(context, machine, row, event, *message):
        LOG.error('%s %s: %s: %s', machine.kind, row.id, event,
                  getattr(fault, 'message', None) or fault)
