"""A server that moves to another host while its volume is being migrated.

A move begins with a second attachment.  Until the server is asked to swap the volume, a migration
only copies snapshots: the move is let in, and the migration goes on, or fails by itself when it
comes to the swap and the server is between two hosts.  From the swap on the guest is being moved
already, and any other move is refused with its first request.  A migration that is asked for while
a server is between two hosts is refused.
"""
# SPDX-License-Identifier: Apache-2.0

import sqlalchemy as sa

from cinder_ext import exceptions
from cinder_ext.db import models, session
from cinder_ext.states import attachment as attachment_states
from cinder_ext.states import migration as states

_Attachment = models.Attachment
_Record = models.VolumeMigration

ADMITTING = (states.SCHEDULING, states.PREFLIGHT, states.COPYING, states.VERIFYING, states.PAUSED,
             states.REVERTING, states.CANCELLING)
"""Phases of an attached volume's migration in which its server may move."""


@session.reader
def is_admitted(context, volume_id, server_id):
    """Whether a server may have its migrating volume on another host too.

    The volume's row is locked by the caller, so that no swap begins meanwhile.
    """
    if server_id is None:
        return False
    phase = context.session.execute(
        sa.select(_Record.phase)
        .where(_Record.volume_id == volume_id, _Record.phase.in_(states.ACTIVE))
        .order_by(_Record.created_at.desc()).limit(1)).scalar()
    return phase in ADMITTING and server_id in _servers(context, volume_id)


def _servers(context, volume_id):
    return {each.instance_id for each in _of(context, volume_id)}


def _of(context, volume_id):
    return context.session.execute(
        sa.select(_Attachment.id, _Attachment.instance_id, _Attachment.attach_status)
        .where(_Attachment.volume_id == volume_id, _Attachment.deleted_at.is_(None))
        .order_by(_Attachment.created_at, _Attachment.id)).all()


@session.reader
def refuse_between_hosts(context, volume_id, action):
    """Refuse a migration of a volume whose server is between two hosts, or is just getting it.

    The volume's row is locked by the caller.

    :param action: a verb for the refusal: 'be migrated'
    :raises InvalidState: names the attachments
    """
    found = _of(context, volume_id)
    seen = set()
    for each in found:
        is_second = each.instance_id is not None and each.instance_id in seen
        if is_second or each.attach_status != attachment_states.ATTACHED:
            raise exceptions.InvalidState(
                kind='volume', reason=(
                    f'volume {volume_id} cannot {action} while it is being attached, detached or '
                    'moved with its server; its attachments: '
                    + ', '.join(f'{one.id} ({one.attach_status})' for one in found) + '.'))
        seen.add(each.instance_id)


@session.reader
def release_event(context, volume_id):
    """What becomes of a volume that no server has attached when its migration ends.

    :returns: event of the volume's status
    """
    found = {each.attach_status for each in _of(context, volume_id)}
    if attachment_states.ATTACHING in found:
        return 'release-attaching'
    return 'release-reserved' if found else 'release'
