"""User messages: the numbers of actions and details, and the words that are shown for them.

The numbers up to 899 are those of the Block Storage API's message catalogue
and mean there what they mean here; ours begin at 901.
"""
# SPDX-License-Identifier: Apache-2.0

SCHEDULE_ALLOCATE_VOLUME = '001'
ATTACH_VOLUME = '002'
COPY_VOLUME_TO_IMAGE = '003'
UPDATE_ATTACHMENT = '004'
COPY_IMAGE_TO_VOLUME = '005'
UNMANAGE_VOLUME = '006'
EXTEND_VOLUME = '007'
CREATE_VOLUME_FROM_BACKEND = '008'
SNAPSHOT_CREATE = '009'
SNAPSHOT_DELETE = '010'
SNAPSHOT_UPDATE = '011'
SNAPSHOT_METADATA_UPDATE = '012'
BACKUP_CREATE = '013'
BACKUP_DELETE = '014'
BACKUP_RESTORE = '015'
REIMAGE_VOLUME = '016'
DELETE_VOLUME = '901'
RETYPE_VOLUME = '902'
MIGRATE_VOLUME = '903'
TIDY_MIGRATION = '904'
MANAGE_VOLUME = '920'
MANAGE_SNAPSHOT = '921'
UNMANAGE_SNAPSHOT = '922'
REVERT_VOLUME = '905'
CREATE_GROUP = '941'
DELETE_GROUP = '942'
CREATE_GROUP_SNAPSHOT = '943'
DELETE_GROUP_SNAPSHOT = '944'
REPLICATE_VOLUME = '961'
REPLICATE_GROUP = '962'

ACTIONS = {
    SCHEDULE_ALLOCATE_VOLUME: 'schedule allocate volume',
    ATTACH_VOLUME: 'attach volume',
    COPY_VOLUME_TO_IMAGE: 'copy volume to image',
    UPDATE_ATTACHMENT: 'update attachment',
    COPY_IMAGE_TO_VOLUME: 'copy image to volume',
    UNMANAGE_VOLUME: 'unmanage volume',
    EXTEND_VOLUME: 'extend volume',
    CREATE_VOLUME_FROM_BACKEND: 'create volume from backend storage',
    SNAPSHOT_CREATE: 'create snapshot',
    SNAPSHOT_DELETE: 'delete snapshot',
    SNAPSHOT_UPDATE: 'update snapshot',
    SNAPSHOT_METADATA_UPDATE: 'update snapshot metadata',
    BACKUP_CREATE: 'create backup',
    BACKUP_DELETE: 'delete backup',
    BACKUP_RESTORE: 'restore backup',
    REIMAGE_VOLUME: 'reimage volume',
    DELETE_VOLUME: 'delete volume',
    RETYPE_VOLUME: 'retype volume',
    MIGRATE_VOLUME: 'migrate volume',
    TIDY_MIGRATION: 'remove the source of a migrated volume',
    MANAGE_VOLUME: 'manage volume',
    MANAGE_SNAPSHOT: 'manage snapshot',
    UNMANAGE_SNAPSHOT: 'unmanage snapshot',
    REVERT_VOLUME: 'revert volume to snapshot',
    CREATE_GROUP: 'create group',
    DELETE_GROUP: 'delete group',
    CREATE_GROUP_SNAPSHOT: 'create group snapshot',
    DELETE_GROUP_SNAPSHOT: 'delete group snapshot',
    REPLICATE_VOLUME: 'replicate volume',
    REPLICATE_GROUP: 'replicate group',
}
"""Number -> what was being done."""

UNKNOWN_ERROR = '001'
DRIVER_NOT_INITIALIZED = '002'
NO_BACKEND_AVAILABLE = '003'
FAILED_TO_UPLOAD_VOLUME = '004'
VOLUME_ATTACH_MODE_INVALID = '005'
QUOTA_EXCEED = '006'
NOT_ENOUGH_SPACE_FOR_IMAGE = '007'
UNMANAGE_ENC_NOT_SUPPORTED = '008'
NOTIFY_COMPUTE_SERVICE_FAILED = '009'
DRIVER_FAILED_EXTEND = '010'
SIGNATURE_VERIFICATION_FAILED = '011'
DRIVER_FAILED_CREATE = '012'
SNAPSHOT_CREATE_ERROR = '013'
SNAPSHOT_UPDATE_METADATA_FAILED = '014'
SNAPSHOT_IS_BUSY = '015'
SNAPSHOT_DELETE_ERROR = '016'
BACKUP_INVALID_STATE = '017'
BACKUP_SERVICE_DOWN = '018'
BACKUP_CREATE_DEVICE_ERROR = '019'
BACKUP_CREATE_DRIVER_ERROR = '020'
ATTACH_ERROR = '021'
DETACH_ERROR = '022'
BACKUP_CREATE_CLEANUP_ERROR = '023'
BACKUP_SCHEDULE_ERROR = '024'
BACKUP_DELETE_DRIVER_ERROR = '025'
BACKUP_RESTORE_ERROR = '026'
VOLUME_INVALID_STATE = '027'
REIMAGE_VOLUME_FAILED = '028'
IMAGE_FORMAT_UNACCEPTABLE = '029'
INCREMENTAL_BACKUP_FORCES_FULL_BACKUP = '030'
MIGRATION_FAILED = '901'
MOVE_NOT_ASKED_FOR = '902'
SNAPSHOTS_NOT_INCLUDED = '903'
NO_DESTINATION = '904'
PREFLIGHT_FAILED = '905'
VERIFY_FAILED = '906'
DESTINATION_FULL = '907'
LEFTOVERS = '908'
DRIVER_FAILED_DELETE = '909'
MANAGE_FAILED = '920'
UNMANAGE_FAILED = '921'
DRIVER_FAILED_REVERT = '910'
MIGRATION_CANCELLED = '911'
MIGRATION_YIELDED = '912'
GROUP_MEMBERS_NOT_MADE = '941'
GROUP_MEMBERS_NOT_REMOVED = '942'
GROUP_SNAPSHOT_NOT_MADE = '943'
GROUP_NOT_STILL = '944'
GROUP_SNAPSHOT_NOT_REMOVED = '945'
COMPUTE_REFUSED_SNAPSHOT = '951'
COMPUTE_SILENT_ON_SNAPSHOT = '952'
COMPUTE_FAILED_SNAPSHOT = '953'
REPLICATION_BEHIND = '961'
REPLICATION_STAYS = '971'

DETAILS = {
    UNKNOWN_ERROR: 'An unknown error occurred.',
    DRIVER_NOT_INITIALIZED: 'Driver is not initialized at present.',
    NO_BACKEND_AVAILABLE: 'Could not find any available weighted backend.',
    FAILED_TO_UPLOAD_VOLUME: 'Failed to upload volume to image at backend.',
    VOLUME_ATTACH_MODE_INVALID: "Volume's attach mode is invalid.",
    QUOTA_EXCEED: 'Not enough quota resource for operation.',
    NOT_ENOUGH_SPACE_FOR_IMAGE: 'Image used for creating volume exceeds available space.',
    UNMANAGE_ENC_NOT_SUPPORTED: 'Unmanaging encrypted volumes is not supported.',
    NOTIFY_COMPUTE_SERVICE_FAILED: 'Compute service failed to extend volume.',
    DRIVER_FAILED_EXTEND: 'Volume Driver failed to extend volume.',
    SIGNATURE_VERIFICATION_FAILED: 'Image signature verification failed.',
    DRIVER_FAILED_CREATE: 'Driver failed to create the volume.',
    SNAPSHOT_CREATE_ERROR: 'Snapshot failed to create.',
    SNAPSHOT_UPDATE_METADATA_FAILED: 'Volume snapshot update metadata failed.',
    SNAPSHOT_IS_BUSY: 'Snapshot is busy.',
    SNAPSHOT_DELETE_ERROR: 'Snapshot failed to delete.',
    BACKUP_INVALID_STATE: 'Backup status is invalid.',
    BACKUP_SERVICE_DOWN: 'Backup service is down.',
    BACKUP_CREATE_DEVICE_ERROR: 'Failed to get backup device from the volume service.',
    BACKUP_CREATE_DRIVER_ERROR: 'Backup driver failed to create backup.',
    ATTACH_ERROR: 'Failed to attach volume.',
    DETACH_ERROR: 'Failed to detach volume.',
    BACKUP_CREATE_CLEANUP_ERROR: 'Cleanup of temporary volume/snapshot failed.',
    BACKUP_SCHEDULE_ERROR: ('Backup failed to schedule. Service not found for creating '
                            'backup.'),
    BACKUP_DELETE_DRIVER_ERROR: 'Backup driver failed to delete backup.',
    BACKUP_RESTORE_ERROR: 'Backup driver failed to restore backup.',
    VOLUME_INVALID_STATE: 'Volume status is invalid.',
    REIMAGE_VOLUME_FAILED: 'Compute service failed to reimage volume.',
    IMAGE_FORMAT_UNACCEPTABLE: ('The image disk format must be the same as the volume format for '
                                'the volume type you are requesting.'),
    INCREMENTAL_BACKUP_FORCES_FULL_BACKUP: ('Incremental backup not possible, forcing full '
                                            'backup.'),
    MIGRATION_FAILED: 'The migration failed; the volume is where it was.',
    MOVE_NOT_ASKED_FOR: ('The new type needs another backend, and the migration policy does not '
                         'allow a move. The volume is unchanged.'),
    SNAPSHOTS_NOT_INCLUDED: (
        'The volume has snapshots and the request did not include them; the volume is unchanged. '
        "Use the migration policy 'on-demand-include-snapshots' (include_snapshots for a "
        "migration), or set migration:include_snapshots='<is> True' on the volume type."),
    NO_DESTINATION: 'No backend can take the volume; the volume is unchanged.',
    PREFLIGHT_FAILED: 'A check before the migration failed; the volume is unchanged.',
    VERIFY_FAILED: ('What was read back from the destination differs from the source; the volume '
                    'is where it was.'),
    DESTINATION_FULL: 'The destination is full; the volume is where it was.',
    LEFTOVERS: ('The volume has moved; something at its former place could not be removed yet '
                'and will be tried again.'),
    DRIVER_FAILED_DELETE: 'Driver failed to delete the volume.',
    MANAGE_FAILED: 'What was named could not be managed; it is as it was.',
    UNMANAGE_FAILED: 'Driver failed to let it go.',
    DRIVER_FAILED_REVERT: ('Driver failed to revert the volume; its snapshot is whole, and the '
                           'volume may hold a part of it.'),
    MIGRATION_CANCELLED: 'The migration was cancelled; the volume is where it was.',
    MIGRATION_YIELDED: ('The migration was cancelled since the volume was attached; the volume is '
                        'where it was.'),
    GROUP_MEMBERS_NOT_MADE: ('A volume of the group could not be made; all volumes of the new group '
                             'are in error. Delete the group with its volumes and try again.'),
    GROUP_MEMBERS_NOT_REMOVED: ('A volume of the group could not be removed. '
                                'Delete the group with its volumes again.'),
    GROUP_SNAPSHOT_NOT_MADE: 'The snapshot of a volume of the group could not be taken.',
    GROUP_NOT_STILL: ('The volumes of the group were written to without a pause, so that no common '
                      'moment could be kept. Let the writers pause, or detach the volumes, and try '
                      'again.'),
    GROUP_SNAPSHOT_NOT_REMOVED: ('A snapshot of the group snapshot could not be removed. '
                                 'Delete the group snapshot again.'),
    COMPUTE_REFUSED_SNAPSHOT: ('The volume is attached, and the compute service does not take part '
                               'or was not asked; the volume is as it was. Look whether the server '
                               'runs, or detach the volume, and try again.'),
    COMPUTE_SILENT_ON_SNAPSHOT: ('The volume is attached, and the compute service did not say in '
                                 'time what it did; the volume is whole. Delete the snapshot, '
                                 'after the volume was detached or the server was rebooted hard '
                                 'if that fails.'),
    COMPUTE_FAILED_SNAPSHOT: ('The volume is attached, and the compute service says that it could '
                              'not do its part; the volume is whole. Delete the snapshot and try '
                              'again.'),
    REPLICATION_BEHIND: ('The copy at the other site is further behind than the recovery point '
                         'objective allows: after a failover now more would be lost than that.'),
    REPLICATION_STAYS: ("The new type asks for another replication, which the volume's replication "
                        'does not allow now; the volume is unchanged.'),
}
"""Number -> what happened."""


def shown(action_id, detail_id, stored=None):
    """The ``user_message`` of the API.

    :param stored: a text of its own that the message was recorded with; it follows the detail
    """
    action = ACTIONS.get(action_id, 'unknown action')
    detail = DETAILS.get(detail_id, DETAILS[UNKNOWN_ERROR])
    return f'{action}:{detail}' if stored is None else f'{action}:{detail} {stored}'
