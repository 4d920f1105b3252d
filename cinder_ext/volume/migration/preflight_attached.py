"""What must hold of the servers that use a volume before a byte of it moves.

A volume that one server uses moves while the server runs: the compute service swaps it.  Several
attachments cannot be swapped together: such a volume moves detached only.
"""
# SPDX-License-Identifier: Apache-2.0

import dataclasses

from cinder_ext import compute as computes
from cinder_ext import exceptions
from cinder_ext.states import attachment as states
from cinder_ext.states.checks import unknown, verdict

NOTE = 'the live content is mirrored in full by the server; digests are of the snapshots'
"""What the record says of an attached volume's migration."""


@dataclasses.dataclass(frozen=True)
class Server:
    """What the compute service says of the server that uses a volume.

    :ivar attachment: row of the volume's attachment
    :ivar state: compute.State; None when there is no such server
    :ivar device: compute.Device; None when the server does not have the volume
    :ivar silence: why nothing is known; empty when it answered
    """

    attachment: object
    state: computes.State | None = None
    device: computes.Device | None = None
    silence: str = ''


def asked(subject, record, compute, context):
    """A subject with what the compute service says of the server that uses the volume, if any.

    :param subject: db.migration_facts.Subject
    :param compute: compute.Compute
    """
    return dataclasses.replace(
        subject, server=server_of(compute, context, record, subject.attachments))


def server_of(compute, context, record, attachments):
    """Ask for the server of a volume that is in use by one; None for another volume.

    :param compute: compute.Compute
    :param attachments: the volume's
    """
    if record.previous_status != 'in-use' or len(attachments) != 1:
        return None
    attachment, = attachments
    if attachment.instance_id is None:
        return Server(attachment, silence='no server, but a host, has it attached')
    if not compute.is_known:
        return Server(attachment, silence='no compute service is configured')
    try:
        return Server(attachment, compute.state_of(context, attachment.instance_id),
                      compute.device_of(context, attachment.instance_id, record.volume_id))
    except exceptions.ServiceUnavailable as fault:
        return Server(attachment, silence=fault.message)


def columns(subject):
    """What the record keeps of a subject that a server uses; nothing for another one."""
    if subject.server is None:
        return {}
    attachment = subject.server.attachment
    return {'server_id': attachment.instance_id, 'progress_note': NOTE,
            'compute': {'attachment_id': attachment.id}}


def copied_bytes(subject, totals):
    """Bytes to look at per link, of those that are copied here: a server mirrors the live content."""
    if subject.server is None or not totals:
        return totals
    return [*totals[:-1], 0]


def checks(record, subject):
    """Yield the checks of the volume's status and attachments.

    :param record: models.VolumeMigration
    :param subject: db.migration_facts.Subject, asked()
    """
    status, count = record.previous_status, len(subject.attachments)
    yield verdict('volume-status', status in ('available', 'in-use'),
                  f'the volume was {status} when the migration was asked for')
    if status != 'in-use':
        yield verdict('volume-detached', not count, f'the volume has {count} attachments')
        yield verdict('server-can-swap', True, 'no server has to swap it')
        return
    is_multiple = bool(subject.volume.multiattach)
    yield verdict('volume-detached', count == 1 and not is_multiple,
                  f'the volume has {count} attachments'
                  + (', and may have several' if is_multiple else ''),
                  'Detach the volume from its servers: only a volume that one server can use is '
                  'moved while it is attached.')
    if subject.server is None:
        yield unknown('server-can-swap', 'the volume must be detached')
        return
    objection, remedy = _objection(subject)
    yield verdict('server-can-swap', objection is None,
                  objection or f'server {subject.server.attachment.instance_id} is '
                               f'{subject.server.state.vm_state} and can swap the volume', remedy)


def _objection(subject):
    """Why a server cannot swap its volume, and what to do; (None, '') when it can."""
    server, attachment = subject.server, subject.server.attachment
    name = f'server {attachment.instance_id}'
    if server.silence:
        return server.silence, 'Detach the volume, or mend the section [nova] of the configuration.'
    if server.state is None:
        return f'{name} does not exist', 'Detach the volume.'
    if not server.state.can_swap:
        return (f'{name} is {server.state.vm_state}, with task {server.state.task_state}',
                'Wait until the server is active, paused or resized with nothing being done to it, '
                'or detach the volume.')
    return _objection_to_device(server, attachment, name, subject.volume)


def _objection_to_device(server, attachment, name, volume):
    if server.device is None or server.device.attachment_id != attachment.id:
        return f'{name} does not have the volume by attachment {attachment.id}', 'Detach the volume.'
    if attachment.attach_status != states.ATTACHED:
        return (f'attachment {attachment.id} is {attachment.attach_status}',
                'Wait until the volume is attached.')
    if volume.encryption_key_id is not None:
        return 'servers do not swap encrypted volumes', 'Detach the volume.'
    return None, ''
