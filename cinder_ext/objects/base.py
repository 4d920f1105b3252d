"""What every object that travels between services has in common.

Objects carry values and nothing else: no lazy loading, no queries, no policy.
An object gets a new version when its fields change; its docstring says what
changed, and a test compares the fingerprints.
"""
# SPDX-License-Identifier: Apache-2.0

import json

from oslo_versionedobjects import base, fields

from cinder_ext.drivers import capacity

register = base.VersionedObjectRegistry.register
"""Class decorator: makes an object known to the serializer."""


class CinderExtObject(base.VersionedObject):
    """Base of all objects; set apart from other services' by its namespace."""

    OBJ_PROJECT_NAMESPACE = 'cinder_ext'


class Serializer(base.VersionedObjectSerializer):
    """Turns objects among the arguments and results of a call into JSON and back."""

    OBJ_BASE_CLASS = CinderExtObject


class _Document(fields.FieldType):
    """A dictionary of anything that JSON can carry."""

    def coerce(self, obj, attr, value):
        if not isinstance(value, dict):
            raise ValueError(f'{attr} must be a dictionary')
        return json.loads(json.dumps(value))


class _Capacity(fields.FieldType):
    """Bytes, or one of the words of drivers.capacity."""

    def coerce(self, obj, attr, value):
        return value if value in capacity.WORDS else int(value)


class CapacityField(fields.AutoTypedField):
    """Bytes that a backend may not know; what is neither a number nor such a word is refused."""

    AUTO_TYPE = _Capacity()


class DocumentField(fields.AutoTypedField):
    """A dictionary of JSON values; what JSON cannot carry is a TypeError when it is set."""

    AUTO_TYPE = _Document()
