"""What a backend tells the schedulers about itself."""
# SPDX-License-Identifier: Apache-2.0

import time

from oslo_versionedobjects import fields

from cinder_ext.objects import base


@base.register
class PoolReport(base.CinderExtObject):
    """Capacity of one pool, in bytes, and what it says it can do.

    ``volume_count`` and ``allocated_bytes`` are of the volumes that the database has there.

    Version history::

        1.0 - first
        1.1 - volume_count; capacities may be words
    """

    VERSION = '1.1'

    fields = {
        'name': fields.StringField(),
        'total_bytes': base.CapacityField(),
        'free_bytes': base.CapacityField(),
        'allocated_bytes': fields.IntegerField(),
        'provisioned_bytes': fields.IntegerField(),
        'volume_count': fields.IntegerField(),
        'capabilities': base.DocumentField(),
    }

    @classmethod
    def from_value(cls, pool, load=(0, 0)):
        """From a drivers.values.PoolReport.

        :param load: how many volumes are recorded there, and their bytes in all
        """
        values = {name: getattr(pool, name) for name in cls.fields if name != 'volume_count'}
        count, allocated_bytes = load
        return cls(**{**values, 'volume_count': count, 'allocated_bytes': allocated_bytes})


@base.register
class BackendReport(base.CinderExtObject):
    """One backend at one moment.

    ``host`` is ``host@backend``; ``words`` are the capability classes that its driver serves,
    ``promises`` what a migration may count on there.  A backend that is not up has no pools.
    ``reported_at`` is seconds since the epoch: oslo's times lose what orders two reports of one
    second.

    Version history::

        1.0 - first
        1.1 - filter_function, goodness_function; the ratio is text, which may be ``auto``
    """

    VERSION = '1.1'

    fields = {
        'host': fields.StringField(),
        'availability_zone': fields.StringField(nullable=True),
        'is_up': fields.BooleanField(),
        'fault': fields.StringField(nullable=True),
        'pools': fields.ListOfObjectsField('PoolReport'),
        'words': fields.ListOfStringsField(),
        'promises': base.DocumentField(),
        'max_over_subscription_ratio': fields.StringField(),
        'filter_function': fields.StringField(nullable=True),
        'goodness_function': fields.StringField(nullable=True),
        'reserved_percentage': fields.IntegerField(),
        'reported_at': fields.FloatField(),
    }

    @classmethod
    def of(cls, host, availability_zone, driver_report, options, loads=None):
        """A report made now.

        :param driver_report: (pools, words, promises) as a driver gives them: a list of
            drivers.values.PoolReport, a list of words, a drivers.values.Promises
        :param options: the backend's section: max_over_subscription_ratio, reserved_percentage,
            filter_function, goodness_function
        :param loads: ``host@backend#pool`` -> (volumes recorded there, their bytes)
        """
        pools, words, promises = driver_report
        loads = loads or {}
        found = [PoolReport.from_value(pool, loads.get(f'{host}#{pool.name}', (0, 0)))
                 for pool in pools]
        return cls(host=host, availability_zone=availability_zone, is_up=True, fault=None,
                   pools=found, words=list(words), promises=promises.as_dict(),
                   max_over_subscription_ratio=str(options.max_over_subscription_ratio),
                   reserved_percentage=options.reserved_percentage,
                   filter_function=options.filter_function,
                   goodness_function=options.goodness_function, reported_at=time.time())

    @classmethod
    def of_fault(cls, host, availability_zone, fault):
        """The report of a backend that cannot be reached.

        :param fault: one sentence
        """
        return cls(host=host, availability_zone=availability_zone, is_up=False, fault=fault,
                   pools=[], words=[], promises={}, max_over_subscription_ratio='1.0',
                   reserved_percentage=0, filter_function=None, goodness_function=None,
                   reported_at=time.time())
