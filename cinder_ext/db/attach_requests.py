"""Attaching by actions on the volume, as before attachments were a resource.

A consumer reserves the volume, has it connected, and says that it is attached: only then there
is a row in ``volume_attachments``.  Each function is one transaction that holds the volume's
row.
"""
# SPDX-License-Identifier: Apache-2.0

from oslo_utils import timeutils

from cinder_ext import exceptions
from cinder_ext.db import (
    attachments,
    migration_actions,
    models,
    session,
    transition,
    volume_properties,
    volumes,
)
from cinder_ext.states import attachment as states
from cinder_ext.states import volume as volume_states

CONNECTABLE = (volume_states.AVAILABLE, volume_states.RESERVED, volume_states.ATTACHING,
               volume_states.DETACHING, volume_states.IN_USE)
"""Statuses of a volume that may be connected and attached."""


@session.writer
def reserve(context, volume_id):
    """Keep a volume for a consumer: ``attaching``.  A migration that is to yield is cancelled.

    :raises MigrationActive, InvalidState, VolumeNotFound: of the volume
    """
    migration_actions.yield_to_attach(context, volume_id)
    multiattach = volumes.get(context, volume_id).multiattach
    volumes.begin(context, volume_id,
                  'begin-attaching-again' if multiattach else 'begin-attaching', 'be reserved')


@session.writer
def unreserve(context, volume_id):
    """Undo a reservation; a volume that is not ``attaching`` stays as it is.

    One that has attachments is what they make of it.
    """
    volumes.lock(context, volume_id)
    if not attachments.of_volume(context, volume_id):
        transition.try_move(context, volume_states.MACHINE, volume_id, 'unreserve')
    elif volumes.get(context, volume_id).status == volume_states.ATTACHING:
        attachments.settle(context, volume_id)


@session.writer
def begin_detaching(context, volume_id):
    """A consumer is about to let go: ``detaching``.

    While the volume is being migrated nothing changes and nothing is refused: a compute service
    that swaps the volume says so first.

    :raises InvalidState: it is not attached
    """
    try:
        volumes.begin(context, volume_id, 'begin-detaching', 'be detached',
                      where=(models.Volume.attach_status == 'attached',))
    except exceptions.MigrationActive:
        return
    except exceptions.InvalidState as refusal:
        raise exceptions.InvalidState(
            kind='volume', reason=f'volume {volume_id} cannot be detached: its status must be '
                                  'in-use and its attach status attached.') from refusal


@session.writer
def roll_detaching(context, volume_id):
    """The consumer keeps it after all; a volume that is not ``detaching`` stays as it is."""
    transition.try_move(context, volume_states.MACHINE, volume_id, 'roll-detaching')


@session.writer
def attach(context, volume_id, consumer, mountpoint, mode):
    """Note that a consumer has attached the volume: ``in-use``.

    A consumer that is noted already is not noted twice.  A migration that is to yield is
    cancelled.

    :param consumer: {'instance_id': ..., 'attached_host': ...}, one of which may be None; it is
        known by the first that is not
    :raises MigrationActive, InvalidState, VolumeNotFound: of the volume
    :raises InvalidInput: the mode does not go with the volume's
    """
    migration_actions.yield_to_attach(context, volume_id)
    volumes.hold(context, volume_id, 'be attached', CONNECTABLE)
    volume = volumes.get(context, volume_id)
    _refuse_mode(context, volume, mode)
    others = attachments.of_volume(context, volume_id)
    if not any(_is_of(each, consumer) for each in others):
        if volume.status == volume_states.IN_USE and not volume.multiattach:
            raise exceptions.InvalidState(
                kind='volume', reason=f'volume {volume_id} is attached already and its type does '
                                      'not allow several attachments.')
        _insert(context, volume, {**consumer, 'mountpoint': mountpoint, 'attach_mode': mode})
        transition.move(context, volume_states.ATTACH, volume_id, 'attached')
    transition.move(context, volume_states.MACHINE, volume_id, 'attached')


def _refuse_mode(context, volume, mode):
    noted = volume_properties.admin(context, volume.id)
    if noted.get(volume_properties.READONLY) == 'True' and mode != 'ro':
        raise exceptions.InvalidInput(
            reason=f'volume {volume.id} is read only and cannot be attached with mode {mode}.')
    before = noted.get(volume_properties.ATTACHED_MODE)
    if volume.status == volume_states.ATTACHING and before and before != mode:
        raise exceptions.InvalidState(
            kind='volume', reason=f'volume {volume.id} is being attached with mode {before}.')


def _is_of(attachment, consumer):
    if consumer['instance_id'] is not None:
        return attachment.instance_id == consumer['instance_id']
    return attachment.attached_host == consumer['attached_host']


def _insert(context, volume, columns):
    row = transition.insert(context, states.MACHINE, {
        'volume_id': volume.id, 'project_id': volume.project_id, **columns,
        'attached_at': timeutils.utcnow()})
    transition.move(context, states.MACHINE, row.id, 'complete')
    noted = volume_properties.admin(context, volume.id)
    volume_properties.set_admin(context, volume.id, {
        volume_properties.READONLY: noted.get(volume_properties.READONLY, 'False'),
        volume_properties.ATTACHED_MODE: columns['attach_mode']})


@session.reader
def chosen(context, volume_id, attachment_id=None, project_id=None):
    """The attachment that a consumer of the volume speaks of; None when there is none.

    :param attachment_id: None: the only one
    :param project_id: another project's attachment is one that there is not
    :raises InvalidState: there are several and none is named
    :raises InvalidInput: it is another volume's
    """
    if attachment_id is not None:
        try:
            found = attachments.get(context, attachment_id, project_id)
        except exceptions.AttachmentNotFound:
            return None
        if found.volume_id != volume_id:
            raise exceptions.InvalidInput(reason='volume and attachment do not belong together.')
        return found
    found = attachments.of_volume(context, volume_id)
    if len(found) > 1:
        raise exceptions.InvalidState(
            kind='volume', reason=f'volume {volume_id} has several attachments: name the '
                                  'attachment_id.')
    return found[0] if found else None


@session.writer
def set_readonly(context, volume_id, is_readonly):
    """Say whether consumers may only read the volume.

    :raises MigrationActive, InvalidState, VolumeNotFound: of the volume, which must be available
    """
    volumes.hold(context, volume_id, 'change its readonly flag', (volume_states.AVAILABLE,))
    volume_properties.set_admin(context, volume_id,
                                {volume_properties.READONLY: str(is_readonly)})
