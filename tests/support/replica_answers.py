"""A volume service that says what it was asked of replicas."""
# SPDX-License-Identifier: Apache-2.0

import oslo_messaging

from cinder_ext import exceptions

UNKNOWN = '00000000-0000-4000-8000-000000000000'
"""A handle that is known to nobody."""


class Replicas:
    """RPC endpoint that does nothing."""

    target = oslo_messaging.Target(version='1.0')

    def export_replica(self, ctxt, request):
        return {'asked': request}

    def import_replica(self, ctxt, request):
        if request['name_id'] == UNKNOWN:
            raise exceptions.ReplicaNotFound(host='node@alpha', handle=request['name_id'])
        return {'asked': request}

    def examine_replica(self, ctxt, request):
        return {'dry': True, 'asked': request}

    def look(self, ctxt):
        """There is nothing to do."""
