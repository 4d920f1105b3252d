"""The JSON schema of a replica's manifest; published as doc/source/schemas/replica-manifest-1.json.

A change that an older service would not understand is a new version.
"""
# SPDX-License-Identifier: Apache-2.0

FORMAT = 'cinder-ext-replica-manifest'
VERSION = 1

_UUID = {'type': 'string', 'maxLength': 36,
         'pattern': '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'}
_CLOUD = {'type': 'string', 'pattern': '^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$'}
_NAME = {'type': 'string', 'minLength': 1, 'maxLength': 255}
_TEXT = {'type': ['string', 'null'], 'maxLength': 65535}
_WORD = {'type': ['string', 'null'], 'maxLength': 255}
_TIME = {'type': 'string', 'maxLength': 32,
         'pattern': r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$'}
_SIZE = {'type': 'integer', 'minimum': 0, 'maximum': 2 ** 31 - 1}
_NUMBER = {'type': 'integer', 'minimum': 0, 'maximum': 2 ** 63 - 1}


def _object(properties, optional=(), **more):
    return {'type': 'object', 'properties': properties, 'additionalProperties': False,
            'required': [name for name in properties if name not in optional], **more}


def _or_null(schema):
    return {'oneOf': [{'type': 'null'}, schema]}


def _pairs(longest):
    return {'type': 'object', 'propertyNames': {'minLength': 1, 'maxLength': 255},
            'additionalProperties': {'type': ['string', 'null'], 'maxLength': longest}}


_QOS = _object({'name': _NAME, 'consumer': {'enum': ['front-end', 'back-end', 'both']},
                'specs': _pairs(255)})

_VOLUME = _object({
    'id': _UUID, 'name': _WORD, 'description': _TEXT, 'size': {**_SIZE, 'minimum': 1},
    'project_id': _NAME, 'user_id': _NAME, 'availability_zone': _WORD,
    'created_at': _TIME, 'bootable': {'type': 'boolean'}, 'multiattach': {'type': 'boolean'},
    'encrypted': {'type': 'boolean'},
    'metadata': _pairs(255), 'admin_metadata': _pairs(255), 'image_metadata': _pairs(65535)})

_TYPE = _object({'name': _NAME, 'extra_specs': _pairs(255), 'qos': _or_null(_QOS)})

_SNAPSHOT = _object({
    'id': _UUID, 'name_id': _UUID, 'name': _WORD, 'description': _TEXT, 'size': _SIZE,
    'created_at': _TIME, 'metadata': _pairs(255)})

_GROUP = _object({
    'id': _UUID, 'name': _WORD, 'description': _TEXT, 'availability_zone': _WORD,
    'type': _object({'name': _NAME, 'specs': _pairs(255)}),
    'volume_types': {'type': 'array', 'items': _NAME, 'maxItems': 1000}})

_REPLICATION = _object({
    'scope': {'enum': ['volume', 'group', 'pool', 'backend']},
    'mode': {'enum': ['sync', 'async']},
    'rpo_seconds': {'type': ['integer', 'null'], 'minimum': 1}})

SCHEMA = {
    '$schema': 'https://json-schema.org/draft/2020-12/schema',
    'title': 'What one cloud tells another of a replicated volume',
    **_object({
        'format': {'const': FORMAT},
        'version': {'const': VERSION},
        'from_cloud': _or_null(_CLOUD),
        'to_cloud': _or_null(_CLOUD),
        'issued_at': _TIME,
        'epoch': _NUMBER,
        'point': _object({'id': _or_null(_UUID), 'taken_at': _or_null(_TIME)}),
        'handle': _object({'backend_id': _NAME, 'name_id': _UUID}),
        'members': {'type': 'array', 'items': _UUID, 'maxItems': 100000,
                    'description': 'name_id of every volume that shares its points'},
        'replication': _REPLICATION,
        'volume': _VOLUME,
        'type': _or_null(_TYPE),
        'snapshots': {'type': 'array', 'items': _SNAPSHOT, 'maxItems': 100000},
        'group': _or_null(_GROUP),
        'signature': _or_null(_object({'algorithm': {'const': 'HMAC-SHA256'},
                                       'value': {'type': 'string', 'pattern': '^[0-9a-f]{64}$'}})),
    }),
}
