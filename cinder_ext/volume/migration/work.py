"""One migration at work: its record, its two ends and what the steps share."""
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import functools
from concurrent import futures

from oslo_log import log

from cinder_ext import compute, exceptions
from cinder_ext.db import lease, volume_migrations
from cinder_ext.drivers import values
from cinder_ext.drivers.generic import blockio, units
from cinder_ext.volume import engine
from cinder_ext.volume.migration import (
    control,
    ends,
    leftovers,
    limits,
    links,
    plan,
    progress,
    unstored,
)
from cinder_ext.volume.migration import early as earlies

LOG = log.getLogger(__name__)


class Tools:
    """What all migrations of a backend share.

    :param conf: the configuration
    :param driver: the backend's, started
    :param destination_api: rpc.destination.DestinationAPI
    :param connector: properties of this host
    :param stopping: threading.Event, set when the service stops
    :param ownership: volume.ownership.Ownership of this process
    :ivar compute: compute.Compute
    :ivar bucket: limits.Bucket of all migrations together
    """

    def __init__(self, conf, driver, destination_api, connector, stopping, ownership):
        self.compute = compute.Compute(conf, retries=2)
        self.conf = conf
        self.driver = driver
        self.destination_api = destination_api
        self.connector = connector
        self.stopping = stopping
        self.ownership = ownership
        self.bucket = limits.Bucket(lambda: conf.migration.backend_bandwidth)


class Work:
    """Built anew whenever a process takes a migration up; nothing in it outlives the process.

    :ivar source, destination: the two ends
    :ivar control: asked between units
    :ivar silent: ends that did not answer in time

    :ivar context: carries the fence: whatever is written with it is refused once another
        attempt has begun.  The only context that anything is written with

    :param fence: db.lease.Fence of this attempt; by default of the one of the record
    """

    def __init__(self, tools, context, migration_id, fence=None):
        record = volume_migrations.get(context, migration_id)
        self.id = migration_id
        self.fence = fence or lease.Fence(migration_id, record.attempt)
        self.attempt = self.fence.attempt
        self.context = context = lease.fenced(context, self.fence)
        self.conf = tools.conf
        self.source_host = record.source_host
        self.tools = tools
        self.silent = set()
        self._takes_head = False
        self._buffers = []
        self._pool, self._pool_size = None, 0
        self.proven_targets = set()
        temporary = functools.partial(leftovers.temporary, self)
        self.source = ends.Source(tools.driver, tools.connector, self.fence, temporary)
        self.destination = ends.Destination(
            tools.destination_api, context, record.destination_host, tools.connector, self.fence,
            temporary)
        self.target = ends.Target(self.destination)
        self._orders = control.Orders(context, migration_id, self.attempt)
        self.control = control.Control(
            tools.stopping, self._look,
            (limits.Bucket(self._bytes_per_second), tools.bucket))

    def record(self):
        """The record as it is now."""
        return volume_migrations.get(self.context, self.id)

    def is_superseded(self):
        """Whether another process has taken the migration up since."""
        return self.fence.is_lost or self.record().attempt != self.attempt

    def _look(self):
        if self.fence.is_lost:
            raise engine.Parked
        self._orders.look()

    def obey(self):
        """Look at the record now.

        :raises Parked: it was paused or called off, another process has taken it up, or the
            service is stopping
        """
        self._orders.look(at_once=True)
        self.control.obey()

    @property
    def flow_key(self):
        """What the stored flows are of.

        Another one after each doubtful takeover: what a predecessor that is not dead goes on to
        store of its flow must not be taken for what was done.
        """
        settled = self.record().superseded_attempt
        return f'{self.id}:{settled}' if settled else self.id

    def rows(self):
        """The rows of the links as they are now."""
        return volume_migrations.links(self.context, self.id)

    @functools.cached_property
    def links(self):
        """The stored plan: a list of plan.Link, oldest first."""
        return plan.restore(self.record(), self.rows())

    def located(self, number, location):
        """A link is frozen at the destination, where the backend tells this location."""
        self.links[number] = dataclasses.replace(self.links[number],
                                                 destination_location=location)

    @functools.cached_property
    def is_attached(self):
        """Whether a server uses the volume, and moves the live content itself."""
        return self.record().server_id is not None

    @property
    def copied_links(self):
        """The links that are copied here: all, or the snapshots of an attached volume."""
        return [link for link in self.links if not (self._leaves_head and link.is_head)]

    @property
    def _leaves_head(self):
        return self.is_attached and not self._takes_head

    def take_head(self):
        """Copy the live content here after all: nobody uses the volume any more."""
        self._takes_head = True
        for name in ('copied_part', 'progress'):
            self.__dict__.pop(name, None)

    @functools.cached_property
    def copied_part(self):
        """Which part of all bytes is copied here: 1, or less for an attached volume."""
        if not self._leaves_head:
            return 1
        copied = self.record().bytes_total
        return copied / (copied + self.links[-1].size_bytes)

    def locate(self):
        """Something was made at the destination: the links tell its location from now on."""
        self.__dict__.pop('links', None)

    @functools.cached_property
    def method(self):
        return self.record().method

    @functools.cached_property
    def verify(self):
        """``written``, ``full`` or ``off``; fixed when the plan was made."""
        return self.record().verify

    @functools.cached_property
    def promises(self):
        """What the destination promises now and promised when the plan was made.

        A snapshot that was taken as a copy stays one when the backend has learnt to share.
        """
        now, planned = self.destination.promises.as_dict(), self.record().promises or {}
        return values.Promises(**{word: held and planned.get(word, True)
                                  for word, held in now.items()})

    @functools.cached_property
    def maps(self):
        return links.Maps(self.context, self.id, self.promises)

    @functools.cached_property
    def unstored(self):
        return unstored.Unstored(self)

    @functools.cached_property
    def ahead(self):
        return links.Ahead(self)

    @property
    def pool(self):
        """The threads that copy, as many as are configured now.

        They stay from link to link: many links have little for them to do.
        """
        workers = self.conf.migration.workers
        if self._pool_size != workers:
            self._end_pool()
            self._pool, self._pool_size = futures.ThreadPoolExecutor(workers, 'copy'), workers
        return self._pool

    def _end_pool(self):
        """Return when they have done what was given to them.  Idempotent."""
        if self._pool is not None:
            self._pool.shutdown()
        self._pool, self._pool_size = None, 0

    @functools.cached_property
    def early(self):
        return earlies.Early(self)

    @property
    def is_limited(self):
        """Whether a bandwidth is kept now."""
        return bool(self._bytes_per_second() or self.conf.migration.backend_bandwidth)

    def let_go(self):
        """Close what is open between two steps.  Idempotent.

        An end that does not let go has nothing more to say: the volume is done with here.
        """
        if 'early' in self.__dict__:
            self.__dict__.pop('early').close()
        self.ahead.close()
        try:
            self.target.close()
        except exceptions.CinderExtError as fault:
            LOG.warning('migration %s: the destination stays connected: %s', self.id, fault.message)

    def close(self):
        """Let go of what is open between two steps, and of the memory.  Idempotent.

        Flows refer to it in circles, so that it is not soon collected by itself.
        """
        self.let_go()
        self._buffers.clear()
        self.__dict__.pop('ahead', None)
        self._end_pool()

    @functools.cached_property
    def progress(self):
        return progress.Progress(self.context, self.record(), self.verify != 'off',
                                 lambda: self.conf.migration.progress_seconds,
                                 part=self.copied_part)

    def changed(self, link):
        """What the source says changed from the link before, as transfer.changed."""
        older = self.links[link.number - 1].source if link.number else None
        return self.source.changed(self.method, older, link.source)

    def buffers(self, count):
        """Buffers for so many workers, the same ones for all links."""
        while len(self._buffers) < count:
            self._buffers.append(blockio.buffer(units.UNIT_BYTES))
        return self._buffers[:count]

    def resize_link(self, rows, number, bytes_total):
        """Correct the sums when a link has another length than planned.

        :param rows: the rows of all links; that of this one is corrected too
        :returns: bytes that count as done in all other links
        """
        if rows[number].bytes_total != bytes_total:
            volume_migrations.update_link(self.context, self.id, number,
                                          {'bytes_total': bytes_total})
            rows[number].bytes_total = bytes_total
            total = bytes_total + sum(row.bytes_total for row in rows if row.number != number)
            volume_migrations.update(self.context, self.id, {'bytes_total': total})
            self.progress.total(total)
        return sum(row.bytes_done for row in rows if row.number != number)

    def _bytes_per_second(self):
        """The lowest of both ends' throttles and of the migration's own limit; 0 for none."""
        found = [self.tools.driver.copy_bytes_per_second,
                 self.destination.examined['copy_bytes_per_second'],
                 self._orders.bandwidth or self.conf.migration.bandwidth]
        return min((limit for limit in found if limit), default=0)
