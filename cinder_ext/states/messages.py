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
ATTACH_ERROR = '021'
DETACH_ERROR = '022'
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
    ATTACH_ERROR: 'Failed to attach volume.',
    DETACH_ERROR: 'Failed to detach volume.',
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
}
"""Number -> what happened."""


def shown(action_id, detail_id, stored=None):
    """The ``user_message`` of the API.

    :param stored: a text of its own that the message was recorded with; it follows the detail
    """
    action = ACTIONS.get(action_id, 'unknown action')
    detail = DETAILS.get(detail_id, DETAILS[UNKNOWN_ERROR])
    return f'{action}:{detail}' if stored is None else f'{action}:{detail} {stored}'
