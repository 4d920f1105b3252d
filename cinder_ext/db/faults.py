"""What a failed piece of work leaves: a status and a user message, in one transaction."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext.db import messages, session, transition

_RESOURCE_TYPES = {'volume': 'VOLUME', 'snapshot': 'VOLUME_SNAPSHOT', 'group': 'GROUP',
                   'group_snapshot': 'GROUP_SNAPSHOT'}


@session.writer
def record(context, machine, row, event, action_id, detail_id, text=None):
    """Let a failure's event happen and tell the owner.

    :param machine: of the row's status
    :param row: of a volume, a snapshot, a group or a group snapshot
    :param action_id, detail_id: numbers of ``cinder_ext.states.messages``
    :param text: follows the detail in the message
    :returns: False when the status had changed meanwhile; then nobody is told
    """
    if not transition.try_move(context, machine, row.id, event):
        return False
    messages.create(context, row.project_id, context.request_id, _RESOURCE_TYPES[machine.kind],
                    row.id, action_id, detail_id, text)
    return True
