"""What a backend tells the schedulers about itself."""
# SPDX-License-Identifier: Apache-2.0

import time

from oslo_versionedobjects import fields

from cinder_ext.objects import base


@base.register
class PoolReport(base.CinderExtObject):
    """Capacity of one pool, in bytes, and what it says it can do.

    Version history::

        1.0 - first
    """

    VERSION = '1.0'

    fields = {
        'name': fields.StringField(),
        'total_bytes': fields.IntegerField(),
        'free_bytes': fields.IntegerField(),
        'allocated_bytes': fields.IntegerField(),
        'provisioned_bytes': fields.IntegerField(),
        'capabilities': base.DocumentField(),
    }

    @classmethod
    def from_value(cls, pool):
        """From a drivers.values.PoolReport."""
        return cls(**{name: getattr(pool, name) for name in cls.fields})


@base.register
class BackendReport(base.CinderExtObject):
    """One backend at one moment.

    ``host`` is ``host@backend``; ``words`` are the capability classes that its driver serves,
    ``promises`` what a migration may count on there.  A backend that is not up has no pools.
    ``reported_at`` is seconds since the epoch: oslo's times lose what orders two reports of one
    second.

    Version history::

        1.0 - first
    """

    VERSION = '1.0'

    fields = {
        'host': fields.StringField(),
        'availability_zone': fields.StringField(nullable=True),
        'is_up': fields.BooleanField(),
        'fault': fields.StringField(nullable=True),
        'pools': fields.ListOfObjectsField('PoolReport'),
        'words': fields.ListOfStringsField(),
        'promises': base.DocumentField(),
        'max_over_subscription_ratio': fields.FloatField(),
        'reserved_percentage': fields.IntegerField(),
        'reported_at': fields.FloatField(),
    }

    @classmethod
    def of(cls, host, availability_zone, driver_report, ratio, reserved):
        """A report made now.

        :param driver_report: (pools, words, promises) as a driver gives them: a list of
            drivers.values.PoolReport, a list of words, a drivers.values.Promises
        :param ratio: how often free space may be promised to thin volumes
        :param reserved: percent of the total that is never given out
        """
        pools, words, promises = driver_report
        return cls(host=host, availability_zone=availability_zone, is_up=True, fault=None,
                   pools=[PoolReport.from_value(pool) for pool in pools], words=list(words),
                   promises=promises.as_dict(), max_over_subscription_ratio=ratio,
                   reserved_percentage=reserved, reported_at=time.time())

    @classmethod
    def of_fault(cls, host, availability_zone, fault):
        """The report of a backend that cannot be reached.

        :param fault: one sentence
        """
        return cls(host=host, availability_zone=availability_zone, is_up=False, fault=fault,
                   pools=[], words=[], promises={}, max_over_subscription_ratio=1.0,
                   reserved_percentage=0, reported_at=time.time())
