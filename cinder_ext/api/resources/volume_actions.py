"""What is done to a volume by POST volumes/{id}/action."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext import exceptions
from cinder_ext.api import microversion, pagination, rules, validation
from cinder_ext.api.operation import MIGRATING, Operation
from cinder_ext.api.resources import migration_rules, type_rules
from cinder_ext.api.resources import volumes as resource
from cinder_ext.db import (
    attached_migrations,
    reverts,
    volume_requests,
    volumes,
)
from cinder_ext.states import volume as states

ADMIN_ACTIONS = 'volume_extension:volume_admin_actions'
EXTEND_ATTACHED = 'volume:extend_attached_volume'
UPLOAD = 'volume_extension:volume_actions:upload_image'
UPLOAD_PUBLIC = 'volume_extension:volume_actions:upload_public'

POLICIES = (
    rules.rule('volume:extend', rules.MEMBER, 'Extend a volume.',
               'POST /volumes/{volume_id}/action (os-extend)'),
    rules.rule(EXTEND_ATTACHED, rules.MEMBER, 'Extend an attached volume.',
               'POST /volumes/{volume_id}/action (os-extend)'),
    rules.rule('volume:retype', rules.MEMBER, 'Change the type of a volume.',
               'POST /volumes/{volume_id}/action (os-retype)'),
    rules.rule(f'{ADMIN_ACTIONS}:reset_status', rules.ADMIN, 'Set the status of a volume.',
               'POST /volumes/{volume_id}/action (os-reset_status)'),
    rules.rule(f'{ADMIN_ACTIONS}:force_delete', rules.ADMIN,
               'Delete a volume whatever its status.',
               'POST /volumes/{volume_id}/action (os-force_delete)'),
    rules.rule(f'{ADMIN_ACTIONS}:migrate_volume', rules.ADMIN,
               'Move a volume to a backend that is named.',
               'POST /volumes/{volume_id}/action (os-migrate_volume)'),
    rules.rule(f'{ADMIN_ACTIONS}:migrate_volume_completion', rules.ADMIN,
               'Report that a server has swapped a volume.',
               'POST /volumes/{volume_id}/action (os-migrate_volume_completion)'),
    rules.rule(f'{ADMIN_ACTIONS}:extend_volume_completion', rules.ADMIN,
               'Report that a server sees the new size of a volume.',
               'POST /volumes/{volume_id}/action (os-extend_volume_completion)'),
    rules.rule('volume:revert_to_snapshot', rules.MEMBER, 'Revert a volume to its latest snapshot.',
               'POST /volumes/{volume_id}/action (revert)'),
    rules.rule('volume:reimage', rules.MEMBER, 'Write an image over a volume.',
               'POST /volumes/{volume_id}/action (os-reimage)'),
    rules.rule('volume:reimage_reserved', rules.MEMBER, 'Write an image over a reserved volume.',
               'POST /volumes/{volume_id}/action (os-reimage)'),
    rules.rule(UPLOAD, rules.MEMBER, 'Make an image of a volume.',
               'POST /volumes/{volume_id}/action (os-volume_upload_image)'),
    rules.rule(UPLOAD_PUBLIC, rules.ADMIN, 'Make a public image of a volume.',
               'POST /volumes/{volume_id}/action (os-volume_upload_image)'),
)

# SCHEMAS: of what stands under the action's name


def _object(properties, required=()):
    return {'type': 'object', 'properties': properties, 'required': list(required),
            'additionalProperties': False}


def _retype(*policies):
    return _object({'new_type': validation.NAME,
                    'migration_policy': {'enum': [None, *policies]}}, ['new_type'])


_MIGRATE = {'host': validation.HOST, 'force_host_copy': validation.BOOLEAN,
            'lock_volume': validation.BOOLEAN}
_MIGRATE_316 = {**_MIGRATE, 'host': {'oneOf': [{'type': 'null'}, validation.HOST]},
                'cluster': {'oneOf': [{'type': 'null'}, validation.HOST]}}

EXTEND_BODY = validation.schemas({'3.0': _object({'new_size': validation.SIZE}, ['new_size'])})
RETYPE_BODY = validation.schemas({'3.0': _retype('never', 'on-demand'),
                                  '3.73': _retype('never', 'on-demand',
                                                  migration_rules.INCLUDE_WORD)})
MIGRATE_BODY = validation.schemas({
    '3.0': _object(_MIGRATE, ['host']),
    '3.16': _object(_MIGRATE_316),
    '3.73': _object({**_MIGRATE_316, 'include_snapshots': validation.BOOLEAN}),
})
BOOTABLE_BODY = validation.schemas({'3.0': _object({'bootable': validation.BOOLEAN}, ['bootable'])})
_REPORTED = {'error': {'type': ['string', 'null', 'boolean']}}
_UPLOAD = {
    'image_name': {'type': 'string', 'minLength': 1, 'maxLength': 255},
    'force': validation.BOOLEAN, 'container_format': validation.TEXT,
    'disk_format': {'enum': ['raw', 'vmdk', 'vdi', 'qcow2', 'vhd', 'vhdx', 'ploop']}}


def _words(allowed):
    return {'enum': [None, '', *validation.words(allowed)['enum']]}


RESET_BODY = validation.schemas({'3.0': {
    **_object({'status': _words(states.RESETTABLE),
               'attach_status': _words(['attached', 'detached']),
               'migration_status': _words(['none', 'starting', 'migrating', 'completing', 'success',
                                           'error'])}), 'minProperties': 1}})
REVERT_BODY = validation.schemas({'3.40': {
    'type': 'object', 'properties': {'snapshot_id': {'type': ['string', 'null']}}}})
REIMAGE_BODY = validation.schemas({'3.68': _object(
    {'image_id': validation.UUID, 'reimage_reserved': validation.BOOLEAN}, ['image_id'])})
UPLOAD_BODY = validation.schemas({
    '3.0': _object(_UPLOAD, ['image_name']),
    '3.1': _object({**_UPLOAD, 'protected': validation.BOOLEAN, 'visibility': {
        'enum': ['community', 'public', 'private', 'shared']}}, ['image_name'])})
MIGRATED_BODY = validation.schemas({'3.0': _object(
    {'new_volume': validation.UUID, **_REPORTED}, ['new_volume'])})
EXTENDED_BODY = validation.schemas({'3.0': _object(_REPORTED)})

EXTEND_EVENTS = microversion.ByVersion({
    '3.0': {},
    '3.42': {states.IN_USE: 'extend-attached'},
})
"""Event of an extend by the volume's status, where it is not ``extend``."""

# handlers


def extend(call):
    """Make a volume larger; from 3.42 also while it is attached."""
    new_size = int(call.body['new_size'])
    event = call.variant.get(call.target.status, 'extend')
    if event == 'extend-attached':
        call.authorize(EXTEND_ATTACHED, call.target)
    type_rules.refuse_size_of(call, call.target.volume_type_id, new_size)
    volume_requests.begin_extend(call.context, call.target.id, event, new_size)
    call.tell(call.rpc.volume.extend_volume, call.target.host, call.target.id, new_size)


def retype(call):
    """Change a volume's type, and move it when the new type does not fit where it is.

    migration_policy: ``never`` (default) moves nothing; ``on-demand`` moves a volume without
    snapshots; ``on-demand-include-snapshots`` (3.73) moves it with them.
    """
    policy = call.body.get('migration_policy') or 'never'
    migration_rules.begin(call, call.target, migration_rules.by_type(
        call, call.target, call.body['new_type'], policy))


def migrate(call):
    """Move a volume to a backend that is named.

    A volume with snapshots needs include_snapshots (3.73) or a type that says so.
    """
    if call.body.get('cluster'):
        raise exceptions.InvalidInput(reason='cluster: this service has no clusters; name a host.')
    if not call.body.get('host'):
        raise exceptions.InvalidInput(reason='host: the backend to move to must be named.')
    wanted = migration_rules.to_host(call, call.target, call.body['host'],
                                     _flag(call, 'include_snapshots'), _flag(call, 'lock_volume'))
    migration_rules.begin(call, call.target, wanted, force_copy=_flag(call, 'force_host_copy'))


def _flag(call, name):
    return pagination.truth(name, str(call.body.get(name, False)))


def reset_status(call):
    """Set a volume's status, attach status or migration status: an administrator's last resort.

    ``detached`` removes the volume's attachments.
    """
    wanted = {column: word.lower() for column, word in call.body.items() if word}
    if not wanted:
        raise exceptions.InvalidInput(
            reason='name status, attach_status or migration_status and what it shall be.')
    if wanted.get('migration_status') == 'none':
        wanted['migration_status'] = None
    volume_requests.reset_status(call.context, call.target.id, wanted.pop('status', None), wanted)


def force_delete(call):
    """Delete a volume whatever its status, unless it is attached or being migrated."""
    resource.remove(call, force=True, cascade=False)


def set_bootable(call):
    """Say whether a server can start from the volume."""
    volumes.update(call.context, call.target.id, {'bootable': _flag(call, 'bootable')})


def revert(call):
    """Give a volume the content of its latest snapshot.

    The volume must be available and of the snapshot's size.
    """
    reverts.begin(call.context, call.target.id, call.body.get('snapshot_id'))
    call.tell(call.rpc.volume.revert_volume, call.target.host, call.target.id)


def reimage(call):
    """Write an image over a volume: not served, there is no image service."""
    if call.target.status == states.RESERVED:
        call.authorize('volume:reimage_reserved', call.target)
    raise exceptions.NotServed(what='This action', instead='there is no image service')


def upload_image(call):
    """Make an image of a volume: not served, there is no image service."""
    if call.body.get('visibility') == 'public':
        call.authorize(UPLOAD_PUBLIC)
    raise exceptions.NotServed(what='This action', instead='there is no image service')


def complete_migration(call):
    """Report that a server has swapped a volume, or could not.

    The answer says under which id the server has its volume.  A report may come again.
    """
    return {'save_volume_id': attached_migrations.report(
        call.context, call.target.id, call.body['new_volume'],
        pagination.truth('error', str(call.body.get('error') or False)),
        lambda record: call.tell(call.rpc.volume.run_migration, record.source_host, record.id))}


def complete_extend(call):
    """Report that a server sees the new size of a volume: none is ever waited for."""
    raise exceptions.InvalidState(
        kind='volume', reason=f'no extend of volume {call.target.id} waits for a server.')


# OPERATIONS


def _action(name, policy, handler, body=None, success=202, **more):
    return Operation(f'volume_actions.{name}', target=resource.load, policy=policy, body=body,
                     handler=handler, success=success, **more)


ACTIONS = {
    'os-extend': _action('extend', 'volume:extend', extend, EXTEND_BODY, variant=EXTEND_EVENTS,
                         migrating=MIGRATING),
    'os-retype': _action('retype', 'volume:retype', retype, RETYPE_BODY, migrating=MIGRATING),
    'os-migrate_volume': _action('migrate', f'{ADMIN_ACTIONS}:migrate_volume', migrate,
                                 MIGRATE_BODY, migrating=MIGRATING),
    'os-reset_status': _action('reset_status', f'{ADMIN_ACTIONS}:reset_status', reset_status,
                               RESET_BODY),
    'os-force_delete': _action('force_delete', f'{ADMIN_ACTIONS}:force_delete', force_delete,
                               migrating=MIGRATING),
    'os-set_bootable': _action('set_bootable', 'volume:update', set_bootable, BOOTABLE_BODY,
                               success=200),
    'os-migrate_volume_completion': _action(
        'complete_migration', f'{ADMIN_ACTIONS}:migrate_volume_completion', complete_migration,
        MIGRATED_BODY, success=200),
    'os-extend_volume_completion': _action(
        'complete_extend', f'{ADMIN_ACTIONS}:extend_volume_completion', complete_extend,
        EXTENDED_BODY),
    'revert': _action('revert', 'volume:revert_to_snapshot', revert, REVERT_BODY, since='3.40'),
    'os-reimage': _action('reimage', 'volume:reimage', reimage, REIMAGE_BODY, since='3.68'),
    'os-volume_upload_image': _action('upload_image', UPLOAD, upload_image, UPLOAD_BODY),
}
