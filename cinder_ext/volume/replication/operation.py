"""What takes an operation of replication up and brings it to its end."""
# SPDX-License-Identifier: Apache-2.0

from oslo_log import log

LOG = log.getLogger(__name__)


def go(tools, engine, context, operation_id):
    """Work on an operation, from where its record says that it stands.

    :param tools: volume.replication.tools.Tools
    :param engine: volume.engine.Engine
    :param context: of an administrator, held to the lease of the operation
    """
    LOG.warning('operation %s: nobody works on operations yet', operation_id)
