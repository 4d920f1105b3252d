"""Checks of the preflight that need only the records."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext.db import volume_types
from cinder_ext.states.checks import unknown, verdict
from cinder_ext.volume.migration import preflight_attached

_NOT_REPLICATED = (None, '', 'disabled', 'not-capable')


def checks(record, subject, driver):
    """Yield checks.Check of each.

    :param record: models.VolumeMigration
    :param subject: db.migration_facts.Subject
    :param driver: the source backend's
    """
    yield from preflight_attached.checks(record, subject)
    yield verdict('no-other-migration', not subject.others,
                  f'other migrations on their way: {_named(subject.others)}')
    service = subject.source_service
    yield verdict('source-not-frozen', service is None or not service.frozen,
                  f'backend of the volume: {subject.volume.host}')
    yield from _snapshots(record, subject)
    yield from _clones(subject, driver)
    yield from _groups(subject)
    status = subject.volume.replication_status
    yield verdict('not-replicated', status in _NOT_REPLICATED,
                  f'replication_status is {status or "not set"}')
    yield _encryption(subject)
    yield _size(subject)
    yield verdict('quota', not subject.lacking,
                  ' '.join(subject.lacking) or 'the project may have the volume and its snapshots')
    yield from _destination(record, subject)


def _named(ids):
    return ', '.join(ids) or 'none'


def _snapshots(record, subject):
    broken = [f'{row.id} ({row.status})' for row in subject.snapshots if row.status != 'available']
    yield verdict('snapshots-available', not broken,
                  f'snapshots that are not available: {_named(broken)}')
    yield verdict('snapshots-included', record.include_snapshots or not subject.snapshots,
                  f'the volume has {len(subject.snapshots)} snapshots')


def _clones(subject, driver):
    yield verdict('no-clone-in-progress', not subject.clones,
                  f'volumes being created from it: {_named(subject.clones)}')
    needed = [*subject.dependents] if driver.clones_need_their_source else []
    yield verdict('no-dependent-clones', not needed,
                  f'volumes that keep it or its snapshots from being removed: {_named(needed)}')


def _groups(subject):
    group_id = subject.volume.group_id
    yield verdict('not-in-group', group_id is None, f'group of the volume: {group_id or "none"}')
    members = [row.id for row in subject.snapshots if row.group_snapshot_id is not None]
    yield verdict('no-group-snapshots', not members,
                  f'snapshots that belong to a group snapshot: {_named(members)}')


def _encryption(subject):
    old, new = _words(subject.source_encryption), _words(subject.destination_encryption)
    has_key = subject.volume.encryption_key_id is not None
    if old is None and new is None and not has_key:
        return verdict('encryption', True, 'the volume is not encrypted')
    if old == new:
        return verdict('encryption', True, 'key and provider stay the same: the ciphertext is '
                                           f'copied as it is ({(old or ("no provider",))[0]})')
    return verdict('encryption', False, f'encryption of the present type: {_shown(old)}; '
                                        f'of the destination type: {_shown(new)}')


def _words(row):
    return None if row is None else (row.provider, row.cipher, row.key_size, row.control_location)


def _shown(words):
    return 'none' if words is None else ', '.join(str(word) for word in words if word)


def _size(subject):
    least, most = volume_types.size_limits(subject.specs)
    size = subject.volume.size
    return verdict('type-size-limits', (least or 0) <= size and (most is None or size <= most),
                   f'the volume has {size} GiB; its type allows {least or 0} to '
                   f'{"any" if most is None else most} GiB')


def _destination(record, subject):
    host = record.destination_host
    if host is None:
        for name in ('destination-differs', 'destination-enabled'):
            yield unknown(name, 'there is no destination')
        return
    yield verdict('destination-differs', host != subject.volume.host,
                  f'source {subject.volume.host}, destination {host}')
    service = subject.destination_service
    words = [] if service is None else [
        word for word in ('disabled', 'frozen') if getattr(service, word)]
    yield verdict('destination-enabled', not words,
                  f'the volume service of {host} is {" and ".join(words) or "enabled"}')
