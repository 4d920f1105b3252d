"""What the replication work of one backend's service uses, whoever's work it is."""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import threading
import time

from oslo_log import log

from cinder_ext import compute, exceptions
from cinder_ext.db import services
from cinder_ext.drivers import capabilities, loader
from cinder_ext.drivers.replication import Replication
from cinder_ext.volume import running

LOG = log.getLogger(__name__)


class Tools:
    """Handed to the shipper and to operations.

    :param conf: options
    :param host: ``host@backend`` of the service that this is for
    :param engine: volume.engine.Engine
    :param ownership: volume.ownership.Ownership of the process
    :param now: the time in seconds since the epoch, UTC; a test's clock
    :ivar compute: compute.Compute
    :ivar manifests: what is shipped beside a point, see ship.Shipper
    :ivar stopping: threading.Event: begin nothing more, and leave what can be left
    """

    def __init__(self, conf, host, engine, ownership, stopping=None, now=time.time):
        self.conf = conf
        self.host = host
        self.engine = engine
        self.ownership = ownership
        self.now = now
        self.compute = compute.Compute(conf)
        self.stopping = stopping or threading.Event()
        self.manifests = lambda *about: {}
        self._running = running.Running()
        self._lock = threading.Lock()
        self._drivers = {}

    @contextlib.contextmanager
    def turn(self, volume_ids):
        """Ship these volumes while the block runs, and nobody else of this process does.

        A point that the shipper has under way and the last one of a failover would be in each
        other's way: a driver ships a volume once at a time.
        """
        with contextlib.ExitStack() as turns:
            for volume_id in sorted(set(volume_ids)):
                turns.enter_context(self._running.turn(volume_id))
            yield

    def serves(self, home):
        """Whether a backend can be worked on here: it is this service's own, or this
        configuration has a section of its name, which then describes the same array.

        :param home: ``host@backend``
        """
        return home == self.host or _section(home) in (
            *self.conf.enabled_backends, *self.conf.list_all_sections())

    def hand_over(self, driver):
        """The driver of the own backend, as it was loaded; its start may fail or come later."""
        with self._lock:
            self._drivers[self.host] = driver

    @property
    def replicates(self):
        """Whether the own backend has somewhere to replicate to, as far as it is known."""
        with self._lock:
            driver = self._drivers.get(self.host)
        return driver is None or (capabilities.has(driver, Replication)
                                  and bool(driver.replication_targets()))

    def driver_of(self, context, home):
        """The driver of a backend, which replicates; it may not be started.

        :param home: ``host@backend``
        :raises NotCapable: its driver does not replicate
        :raises Misconfigured: there is no such section here, or it is wrong
        """
        driver = self.loaded(context, home)
        if not capabilities.has(driver, Replication):
            raise exceptions.NotCapable(backend=home, capability='replicate')
        return driver

    def loaded(self, context, home):
        """The driver of a backend, whatever it does; the same object each time."""
        with self._lock:
            if home not in self._drivers:
                self._drivers[home] = self._load(context, home)
            return self._drivers[home]

    def _load(self, context, home):
        if not self.serves(home):
            raise exceptions.Misconfigured(
                backend=home, reason='the configuration of this service has no such section')
        LOG.info('the driver of %s is loaded by the service of %s', home, self.host)
        return loader.load(self.conf, _section(home), services.active_backend(context, home))


def _section(home):
    return home.rpartition('@')[2]
