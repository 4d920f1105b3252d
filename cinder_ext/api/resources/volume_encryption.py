"""How a volume is encrypted (volumes/{id}/encryption)."""
# SPDX-License-Identifier: Apache-2.0

import webob

from cinder_ext import exceptions
from cinder_ext.api import rules
from cinder_ext.api.operation import Operation
from cinder_ext.api.resources import volumes as resource
from cinder_ext.db import volume_encryption

POLICY = 'volume_extension:volume_encryption_metadata'
POLICIES = (
    rules.rule(POLICY, rules.READER, 'See how a volume is encrypted.',
               'GET /volumes/{volume_id}/encryption', 'GET /volumes/{volume_id}/encryption/{key}'),
)

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
    return {'encryption_key_id': call.target.encryption_key_id,
            **volume_encryption.of_type(call.context, call.target.volume_type_id)}


# OPERATIONS

LIST = Operation('volume_encryption.list', target=resource.load, policy=POLICY, handler=index)
SHOW = Operation('volume_encryption.show', target=resource.load, policy=POLICY, handler=show)
