"""How the volumes of a type are encrypted."""
# SPDX-License-Identifier: Apache-2.0

import sqlalchemy as sa

from cinder_ext import exceptions
from cinder_ext.db import session, transition, type_models, volume_types

_Encryption = type_models.VolumeTypeEncryption


@session.reader
def get(context, type_id):
    """models.VolumeTypeEncryption of a type; None when its volumes are not encrypted."""
    return context.session.execute(
        sa.select(_Encryption).where(_Encryption.volume_type_id == type_id)
        .execution_options(populate_existing=True)).scalar_one_or_none()


@session.writer
def create(context, type_id, values):
    """Let the volumes of a type be encrypted.

    :param values: provider, control_location, cipher, key_size (bits)
    :returns: models.VolumeTypeEncryption
    :raises AlreadyExists: they are
    :raises InvalidState: volumes have the type
    :raises VolumeTypeNotFound: there is no such type
    """
    _hold_unused(context, type_id)
    if get(context, type_id) is not None:
        raise exceptions.AlreadyExists(kind='Volume type encryption for type', name=type_id)
    row = _Encryption(volume_type_id=type_id, **values)
    context.session.add(row)
    context.session.flush()
    _note(context, type_id, 'create', values)
    return row


def _note(context, type_id, event, values):
    transition.note(context, 'volume_type_encryption', type_id, event,
                    facts={'type_id': type_id, **({'encryption': values} if values else {})})


@session.writer
def update(context, type_id, values):
    """Change it for volumes to come.

    :raises EncryptionNotFound: there is none
    :raises InvalidState: volumes have the type
    :raises VolumeTypeNotFound: there is no such type
    """
    _hold_unused(context, type_id)
    row = get(context, type_id)
    if row is None:
        raise exceptions.EncryptionNotFound(type_id=type_id)
    for column, value in values.items():
        setattr(row, column, value)
    _note(context, type_id, 'update', values)


@session.writer
def delete(context, type_id):
    """Let the volumes of a type be plain.

    :raises EncryptionNotFound, InvalidState, VolumeTypeNotFound: as update
    """
    _hold_unused(context, type_id)
    gone = context.session.execute(
        sa.delete(_Encryption).where(_Encryption.volume_type_id == type_id)).rowcount
    if not gone:
        raise exceptions.EncryptionNotFound(type_id=type_id)
    _note(context, type_id, 'delete', None)


def _hold_unused(context, type_id):
    volume_types.hold(context, type_id)
    volume_types.refuse_with_volumes(context, type_id)
