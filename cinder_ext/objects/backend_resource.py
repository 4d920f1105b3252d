"""What a backend is asked for by another service: the drivers' values, able to travel.

The destination of a migration gets these; it looks nothing up.
"""
# SPDX-License-Identifier: Apache-2.0

from oslo_versionedobjects import fields

from cinder_ext.drivers import values
from cinder_ext.objects import base


class _Value(base.CinderExtObject):
    """A frozen value of the drivers with the same fields."""

    KIND = None

    @classmethod
    def from_value(cls, value):
        return cls(**{name: getattr(value, name) for name in cls.fields})

    def to_value(self):
        return self.KIND(**{name: getattr(self, name) for name in self.fields})


@base.register
class BackendVolume(_Value):
    """drivers.values.Volume.

    Version history::

        1.0 - first
    """

    VERSION = '1.0'
    KIND = values.Volume

    fields = {
        'name_id': fields.StringField(),
        'size_bytes': fields.IntegerField(),
        'location': fields.StringField(nullable=True),
    }


@base.register
class BackendSnapshot(_Value):
    """drivers.values.Snapshot.

    Version history::

        1.0 - first
    """

    VERSION = '1.0'
    KIND = values.Snapshot

    fields = {
        'name_id': fields.StringField(),
        'volume_name_id': fields.StringField(),
        'size_bytes': fields.IntegerField(),
        'location': fields.StringField(nullable=True),
    }


@base.register
class BackendConnection(_Value):
    """drivers.values.ConnectionInfo.  May hold credentials: never logged whole.

    Version history::

        1.0 - first
    """

    VERSION = '1.0'
    KIND = values.ConnectionInfo

    fields = {
        'driver_volume_type': fields.StringField(),
        'data': base.DocumentField(),
    }
