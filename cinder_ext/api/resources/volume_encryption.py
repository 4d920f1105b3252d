"""How a volume is encrypted (volumes/{id}/encryption)."""
# SPDX-License-Identifier: Apache-2.0

import webob

from cinder_ext import exceptions
from cinder_ext.api import rules
from cinder_ext.api.operation import Operation
from cinder_ext.api.resources import volumes as resource
from cinder_ext.db import type_encryptions

POLICY = 'volume_extension:volume_encryption_metadata'
POLICIES = (
    rules.rule(POLICY, rules.READER, 'See how a volume is encrypted.',
               'GET /volumes/{volume_id}/encryption', 'GET /volumes/{volume_id}/encryption/{key}'),
)

_OF_TYPE = ('control_location', 'cipher', 'key_size', 'provider')
"""What the volume's type says."""

# handlers


def index(call):
    """Show how the volume is encrypted; what its type says is missing when it says nothing."""
    return _shown(call)


def show(call):
    """Show one item, as bare text; an item without a value is an empty answer."""
    key, found = call.path['key'], _shown(call)
    if key not in found:
        raise exceptions.MetadataNotFound(kind='Encryption of volume', id=call.target.id, key=key)
    text = '' if found[key] is None else str(found[key])
    return webob.Response(text=text, content_type='text/plain', charset='UTF-8')


def _shown(call):
    shown = {'encryption_key_id': call.target.encryption_key_id}
    type_id = call.target.volume_type_id
    found = type_encryptions.get(call.context, type_id) if type_id is not None else None
    if found is not None:
        shown.update({name: getattr(found, name) for name in _OF_TYPE})
    return shown


# OPERATIONS

LIST = Operation('volume_encryption.list', target=resource.load, policy=POLICY, handler=index)
SHOW = Operation('volume_encryption.show', target=resource.load, policy=POLICY, handler=show)
