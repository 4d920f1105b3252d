"""Metadata of a snapshot (snapshots/{id}/metadata)."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext import exceptions
from cinder_ext.api import rules, validation
from cinder_ext.api.operation import Operation
from cinder_ext.api.resources import snapshots as resource
from cinder_ext.db import snapshots

POLICY_GET = 'volume:get_snapshot_metadata'
POLICY_UPDATE = 'volume:update_snapshot_metadata'
POLICY_DELETE = 'volume:delete_snapshot_metadata'

POLICIES = (
    rules.rule(POLICY_GET, rules.READER, 'Show the metadata of a snapshot.',
               'GET /snapshots/{snapshot_id}/metadata',
               'GET /snapshots/{snapshot_id}/metadata/{key}'),
    rules.rule(POLICY_UPDATE, rules.MEMBER, 'Add, change or replace the metadata of a snapshot.',
               'POST /snapshots/{snapshot_id}/metadata', 'PUT /snapshots/{snapshot_id}/metadata',
               'PUT /snapshots/{snapshot_id}/metadata/{key}'),
    rules.rule(POLICY_DELETE, rules.MEMBER, 'Remove one key of the metadata of a snapshot.',
               'DELETE /snapshots/{snapshot_id}/metadata/{key}'),
)

# SCHEMAS

# Other than a volume's, its keys have no slashes, and words beside it are let through.
_METADATA = {'type': 'object', 'additionalProperties': False,
             'patternProperties': {
                 r'^[a-zA-Z0-9\-_:. ]{1,255}\Z': {'type': 'string', 'maxLength': 255}}}
ALL = validation.schemas({'3.0': {
    'type': 'object', 'properties': {'metadata': _METADATA}, 'required': ['metadata']}})
ONE = validation.schemas({'3.0': {
    'type': 'object', 'required': ['meta'],
    'properties': {'meta': {**_METADATA, 'minProperties': 1, 'maxProperties': 1}}}})

# handlers


def index(call):
    """Show all metadata of a snapshot."""
    return {'metadata': snapshots.metadata(call.context, call.target.id)}


def show(call):
    """Show one key."""
    key, found = call.path['key'], snapshots.metadata(call.context, call.target.id)
    if key not in found:
        raise exceptions.MetadataNotFound(kind='Snapshot', id=call.target.id, key=key)
    return {'meta': {key: found[key]}}


def merge(call):
    """Add metadata, or change what is there; other keys stay."""
    return {'metadata': snapshots.set_metadata(call.context, call.target.id, call.body['metadata'])}


def replace(call):
    """Replace all metadata."""
    return {'metadata': snapshots.set_metadata(call.context, call.target.id, call.body['metadata'],
                                               replace=True)}


def set_one(call):
    """Add or change one key; the body names it once more."""
    key, meta = call.path['key'], call.body['meta']
    if key not in meta:
        raise exceptions.InvalidInput(reason='the request body and the URL name different keys.')
    snapshots.set_metadata(call.context, call.target.id, meta)
    return {'meta': meta}


def delete(call):
    """Remove one key."""
    snapshots.delete_metadata(call.context, call.target.id, call.path['key'])


# OPERATIONS

LIST = Operation('snapshot_metadata.list', target=resource.load, policy=POLICY_GET, handler=index)
SHOW = Operation('snapshot_metadata.show', target=resource.load, policy=POLICY_GET, handler=show)
MERGE = Operation('snapshot_metadata.merge', target=resource.load, policy=POLICY_UPDATE,
                  body=ALL, handler=merge)
REPLACE = Operation('snapshot_metadata.replace', target=resource.load, policy=POLICY_UPDATE,
                    body=ALL, handler=replace)
SET = Operation('snapshot_metadata.set', target=resource.load, policy=POLICY_UPDATE, body=ONE,
                handler=set_one)
DELETE = Operation('snapshot_metadata.delete', target=resource.load, policy=POLICY_DELETE,
                   handler=delete)
