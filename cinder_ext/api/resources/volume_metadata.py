"""Metadata of a volume (volumes/{id}/metadata)."""
# SPDX-License-Identifier: Apache-2.0

import hashlib

import orjson

from cinder_ext import exceptions
from cinder_ext.api import microversion, rules, validation
from cinder_ext.api.operation import Operation
from cinder_ext.api.resources import volumes as resource
from cinder_ext.db import volume_requests, volumes

GET = 'volume:get_volume_metadata'
CREATE = 'volume:create_volume_metadata'
UPDATE = 'volume:update_volume_metadata'
REMOVE = 'volume:delete_volume_metadata'

POLICIES = (
    rules.rule(GET, rules.READER, 'Show the metadata of a volume.',
               'GET /volumes/{volume_id}/metadata', 'GET /volumes/{volume_id}/metadata/{key}'),
    rules.rule(CREATE, rules.MEMBER, 'Add metadata to a volume.',
               'POST /volumes/{volume_id}/metadata'),
    rules.rule(UPDATE, rules.MEMBER, 'Replace or change the metadata of a volume.',
               'PUT /volumes/{volume_id}/metadata', 'PUT /volumes/{volume_id}/metadata/{key}'),
    rules.rule(REMOVE, rules.MEMBER, 'Remove one key of the metadata of a volume.',
               'DELETE /volumes/{volume_id}/metadata/{key}'),
)

# SCHEMAS

ALL = validation.schemas({'3.0': {
    'type': 'object', 'properties': {'metadata': validation.METADATA}, 'required': ['metadata'],
    'additionalProperties': False}})
ONE = validation.schemas({'3.0': {
    'type': 'object', 'required': ['meta'], 'additionalProperties': False,
    'properties': {'meta': {**validation.METADATA, 'minProperties': 1, 'maxProperties': 1}}}})

# handlers

HAS_ETAGS = microversion.ByVersion({'3.0': False, '3.15': True})


def _etag(metadata):
    """The same for the same metadata, on every API server."""
    return hashlib.sha256(orjson.dumps(metadata, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _unchanged(call):
    """What refuses metadata that are not those of If-Match; None when nobody asked."""
    if not (call.at(HAS_ETAGS) and call.if_match):
        return None

    def check(metadata):
        if _etag(metadata) not in call.if_match:
            raise exceptions.PreconditionFailed(etag=_etag(metadata))

    return check


def index(call):
    """Show all metadata of a volume; from 3.15 on with an Etag."""
    found = volumes.metadata(call.context, call.target.id)
    if call.at(HAS_ETAGS):
        call.headers['Etag'] = _etag(found)
    return {'metadata': found}


def show(call):
    """Show one key."""
    key, found = call.path['key'], volumes.metadata(call.context, call.target.id)
    if key not in found:
        raise exceptions.MetadataNotFound(kind='Volume', id=call.target.id, key=key)
    return {'meta': {key: found[key]}}


def merge(call):
    """Add metadata, or change what is there; other keys stay."""
    return {'metadata': volume_requests.set_metadata(call.context, call.target.id,
                                                     call.body['metadata'])}


def replace(call):
    """Replace all metadata; from 3.15 on only if they have an Etag of If-Match."""
    return {'metadata': volume_requests.set_metadata(
        call.context, call.target.id, call.body['metadata'], replace=True,
        check=_unchanged(call))}


def put(call):
    """Add or change one key; the body names it once more.  If-Match as for all."""
    if call.path['key'] not in call.body['meta']:
        raise exceptions.InvalidInput(reason='the request body and the URL name different keys.')
    volume_requests.set_metadata(call.context, call.target.id, call.body['meta'],
                                 check=_unchanged(call))
    return {'meta': call.body['meta']}


def delete(call):
    """Remove one key."""
    volume_requests.delete_metadata(call.context, call.target.id, call.path['key'])


# OPERATIONS

LIST = Operation('volume_metadata.list', target=resource.load, policy=GET, handler=index)
SHOW = Operation('volume_metadata.show', target=resource.load, policy=GET, handler=show)
MERGE = Operation('volume_metadata.merge', target=resource.load, policy=CREATE, body=ALL,
                  handler=merge)
REPLACE = Operation('volume_metadata.replace', target=resource.load, policy=UPDATE, body=ALL,
                    handler=replace)
SET = Operation('volume_metadata.set', target=resource.load, policy=UPDATE, body=ONE, handler=put)
DELETE = Operation('volume_metadata.delete', target=resource.load, policy=REMOVE, handler=delete)
