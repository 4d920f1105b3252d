"""What the database knows of a volume that is to be migrated: read only, for its preflight."""
# SPDX-License-Identifier: Apache-2.0

import dataclasses

import sqlalchemy as sa

from cinder_ext.db import (
    attachments,
    models,
    quotas,
    services,
    session,
    snapshots,
    type_encryptions,
    volume_migrations,
    volume_types,
    volumes,
)
from cinder_ext.states import migration as states

_Volume = models.Volume


@dataclasses.dataclass(frozen=True)
class Subject:
    """What the records say.

    :ivar volume, snapshots, attachments: rows
    :ivar clones: ids of volumes that are being created from it
    :ivar dependents: ids of volumes on its backend that were made from it or its snapshots
    :ivar others: ids of other migrations of it that are on their way
    :ivar source_service, destination_service: models.Service or None
    :ivar source_encryption, destination_encryption: models of type encryptions, or None
    :ivar specs: extra specs of the type that it will have
    :ivar lacking: sentences: what the project may not have of that type
    :ivar server: what the compute service says of the server that uses it; None when it was not asked
    """

    volume: object
    snapshots: list
    attachments: list
    clones: list
    dependents: list
    others: list
    source_service: object
    destination_service: object
    source_encryption: object
    destination_encryption: object
    specs: dict
    lacking: list
    server: object = None


@session.reader
def subject_of(context, record):
    """Subject of a migration.

    :param record: models.VolumeMigration, in the database or not
    :raises VolumeNotFound: its volume is gone
    """
    volume = volumes.get(context, record.volume_id)
    chain = snapshots.of_volume(context, volume.id)
    type_id = record.destination_type_id or volume.volume_type_id
    return Subject(
        volume=volume, snapshots=chain,
        attachments=attachments.of_volume(context, volume.id),
        clones=volume_migrations.being_cloned(context, volume.id),
        dependents=_dependents(context, volume, chain),
        others=_others(context, volume.id, record.id),
        source_service=_service(context, volume.host),
        destination_service=_service(context, record.destination_host),
        source_encryption=_encryption(context, volume.volume_type_id),
        destination_encryption=_encryption(context, type_id),
        specs=volume_types.extra_specs(context, type_id) if type_id else {},
        lacking=_lacking(context, record, volume))


def _dependents(context, volume, chain):
    backend = (volume.host or '').partition('#')[0]
    rows = context.session.execute(
        sa.select(_Volume.id, _Volume.host).where(
            _Volume.deleted_at.is_(None), _Volume.host.startswith(f'{backend}#', autoescape=True),
            sa.or_(_Volume.source_volid == volume.id,
                   _Volume.snapshot_id.in_([row.id for row in chain]))))
    # LIKE and some collations do not tell cases apart.
    return sorted(row.id for row in rows if row.host.partition('#')[0] == backend)


def _others(context, volume_id, migration_id):
    record = models.VolumeMigration
    return list(context.session.execute(
        sa.select(record.id).where(record.volume_id == volume_id, record.id != migration_id,
                                   record.phase.in_(states.ACTIVE))).scalars())


def _service(context, host):
    backend = (host or '').partition('#')[0]
    return next((row for row in services.list_all(context, services.VOLUME_BINARY)
                 if row.host == backend), None)


def _encryption(context, type_id):
    return type_encryptions.get(context, type_id) if type_id else None


def _lacking(context, record, volume):
    """Nothing once it has begun: it was admitted then, and counts since."""
    is_begun = context.session.execute(
        sa.select(models.VolumeMigration.id)
        .where(models.VolumeMigration.id == record.id)).first() is not None
    type_id = record.destination_type_id
    if is_begun or not volume.consumes_quota or type_id in (None, volume.volume_type_id):
        return []
    needed = volume_migrations.admission(context, volume, type_id)
    return [fault.message for fault in quotas.lacking(context, volume.project_id, needed)]
