"""Takes operations up: those of the own backend, and those of backends whose service is dead."""
# SPDX-License-Identifier: Apache-2.0

import threading

from oslo_log import log

from cinder_ext import context as request_context
from cinder_ext import exceptions
from cinder_ext.db import lease, replication_shipping, services
from cinder_ext.volume import engine as engines
from cinder_ext.volume.replication import operation, pacer

LOG = log.getLogger(__name__)


class Operations:
    """The operations that one volume service works on.

    :param tools: volume.replication.tools.Tools
    """

    def __init__(self, tools):
        self._tools = tools
        self._lock = threading.Lock()

    def tasks(self, context):
        """What there is to work on: a list of pacer.Task."""
        alive, found = {self._tools.host: False}, []
        for row in replication_shipping.open_operations(context):
            if row.home not in alive:
                alive[row.home] = not self._is_mine(context, row.home)
            if not alive[row.home]:
                found.append(row.id)
        standing = self._tools.ownership.open_to(context, found, lease.OPERATION)
        now = self._tools.now()
        return [pacer.Task((each, 'operation'), each, now, lambda each=each: self.go(each))
                for each in standing]

    def _is_mine(self, context, home):
        """Whether the operations of another backend are to be worked on here."""
        return (home is not None and self._tools.conf.replication.stand_in
                and self._tools.serves(home)
                and not services.is_alive(context, home, self._tools.conf.service_down_time))

    def go(self, operation_id):
        """Work on an operation, unless another process does.

        :returns: when it is to be looked at again, seconds since the epoch
        """
        context = request_context.admin_context()
        again = self._tools.now() + pacer.LOOK_SECONDS
        with self._tools.ownership.held(context, operation_id, kind=lease.OPERATION) as fence:
            if fence is None:
                return again
            try:
                operation.go(self._tools, self._tools.engine, lease.fenced(context, fence),
                             operation_id)
            except engines.Parked:
                LOG.info('operation %s is parked until the next look or start', operation_id)
            except exceptions.RecordLost as fault:
                LOG.info('operation %s is worked on elsewhere now: %s', operation_id,
                         fault.message)
        return again
