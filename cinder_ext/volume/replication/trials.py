"""Temporary volumes by which a failover is tested: removed when their time is over."""
# SPDX-License-Identifier: Apache-2.0

from oslo_log import log
from oslo_utils import timeutils

from cinder_ext import exceptions
from cinder_ext.db import operation_members, volumes

LOG = log.getLogger(__name__)


def expire(context, home):
    """Begin to delete the temporary volumes of tests that are over; one in use is tried again.

    :param home: ``host@backend``
    :returns: ids of those whose deletion has begun
    """
    begun = []
    for volume_id in operation_members.expired_tests(context, home, timeutils.utcnow()):
        try:
            volumes.begin(context, volume_id, 'delete', 'be deleted')
        except exceptions.CinderExtError as fault:
            LOG.info('temporary volume %s is not deleted yet: %s', volume_id, fault.message)
        else:
            begun.append(volume_id)
    return begun
