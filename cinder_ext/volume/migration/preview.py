"""The preflight alone, at the source of a migration that nobody has begun."""
# SPDX-License-Identifier: Apache-2.0

import oslo_messaging

from cinder_ext import compute
from cinder_ext.db import migration_claims, migration_facts, migration_preview
from cinder_ext.rpc import destination as destination_rpc
from cinder_ext.volume.migration import ends, preflight, preflight_attached


class PreviewEndpoint:
    """RPC endpoint of the dry run; nothing here writes.

    :param driver: the backend's, started

    Version history::

        1.1 - preflight_migration
    """

    target = oslo_messaging.Target(version='1.1')

    def __init__(self, conf, driver):
        self._conf = conf
        self._driver = driver
        self._compute = compute.Compute(conf, retries=2)
        self._api = destination_rpc.DestinationAPI(lambda: conf.migration.destination_timeout)

    def preflight_migration(self, context, request):
        """As rpc.volume.VolumeAPI.preflight_migration says."""
        context = context.elevated()
        record = migration_preview.record_of(context, request)
        host = record.destination_host
        seen = migration_claims.outstanding(context, host) if host is not None else {}
        found = preflight.examine(
            record, preflight_attached.asked(migration_facts.subject_of(context, record), record,
                                             self._compute, context),
            preflight.Ends(ends.Source(self._driver, None, None, None),
                           self._destination(context, host)),
            record.verify or self._conf.migration.verify, seen)
        return {'passed': not preflight.failed(found.checks), 'method': found.method,
                'bytes_total': sum(found.totals), 'checks': preflight.documents(found.checks)}

    def _destination(self, context, host):
        """The other end, to be asked only; None while there is none."""
        if host is None:
            return None
        return ends.Destination(self._api, context, host, None, None, None)
