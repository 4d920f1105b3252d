"""Migrations: the record, its links, and the transaction that swaps the records."""
# SPDX-License-Identifier: Apache-2.0

import sqlalchemy as sa
from oslo_utils import timeutils, uuidutils

from cinder_ext import exceptions
from cinder_ext.db import (
    assisted_snapshots,
    migration_refusals,
    models,
    quotas,
    server_moves,
    services,
    session,
    shadow_volumes,
    transition,
    volume_types,
    volumes,
)
from cinder_ext.states import migration as states
from cinder_ext.states import volume as volume_states

_Record = models.VolumeMigration
_Link = models.MigrationLink
_PREVIOUS = {'retype': volume_states.AVAILABLE, 'lock': volume_states.AVAILABLE,
             'retype-attached': volume_states.IN_USE}
_ACTIONS = {'retype': 'be retyped', 'migrate': 'be migrated'}


@session.writer
def start(context, volume_id, values, lock):
    """Record a migration and keep everything else away from its volume.

    :param values: operation (``retype`` or ``migrate``), requested_policy, include_snapshots,
        destination_host, destination_type_id, force_copy, verify, bandwidth, yield_to_attach,
        retry_of
    :param lock: event of the volume's status (``retype``, ``retype-attached``, ``lock``) or None
    :returns: models.VolumeMigration in phase ``scheduling``
    :raises MigrationActive, InvalidState, VolumeNotFound: nothing was changed
    :raises OverLimit: the project may not have the volume and its snapshots in the new type
    """
    if lock is None:
        volumes.hold(context, volume_id, 'be migrated',
                     (volume_states.AVAILABLE, volume_states.IN_USE))
    else:
        volumes.begin(context, volume_id, lock, _ACTIONS[values['operation']])
    # Read after the row is locked: before, it may be stale where reads do not wait.
    volume = volumes.get(context, volume_id)
    services.refuse_frozen(context, volume.host)
    migration_refusals.refuse_bound(context, volume_id, _ACTIONS[values['operation']],
                                    values['operation'] == 'migrate')
    _refuse_busy_snapshots(context, volume_id)
    server_moves.refuse_between_hosts(context, volume_id, _ACTIONS[values['operation']])
    assisted_snapshots.refuse_open(context, volume_id, _ACTIONS[values['operation']])
    _refuse_source(context, volume_id)
    if volume.consumes_quota and values.get('destination_type_id') not in (
            None, volume.volume_type_id):
        quotas.admit(context, volume.project_id,
                     admission(context, volume, values['destination_type_id']))
    record = transition.insert(context, states.MACHINE, {
        'lock_volume': lock == 'lock', **values,
        'volume_id': volume_id, 'project_id': volume.project_id,
        'user_id': context.user_id, 'request_id': context.request_id,
        'previous_status': _PREVIOUS.get(lock, volume.status), 'source_host': volume.host,
        'source_type_id': volume.volume_type_id,
        'source_name_id': volume.name_id or volume.id,
        'source_location': volume.provider_location,
        'destination_name_id': uuidutils.generate_uuid(),
        'started_at': timeutils.utcnow()})
    transition.project_started(context, volume_id)
    return record


@session.reader
def admission(context, volume, type_id):
    """What a volume and its snapshots take of a type's quota: resource -> how much."""
    table = models.Snapshot
    sizes = list(context.session.execute(
        sa.select(table.size).where(table.volume_id == volume.id, table.deleted_at.is_(None),
                                    table.consumes_quota.is_(True))).scalars())
    gib = volume.size + sum(quotas.snapshot_gib(size) for size in sizes)
    return {quotas.of_type('volumes', type_id): 1,
            quotas.of_type('snapshots', type_id): len(sizes),
            quotas.of_type('gigabytes', type_id): gib}


def _refuse_busy_snapshots(context, volume_id):
    snapshot = models.Snapshot
    busy = context.session.execute(
        sa.select(snapshot.id, snapshot.status)
        .where(snapshot.volume_id == volume_id, snapshot.deleted_at.is_(None),
               snapshot.status.in_(('creating', 'deleting', 'unmanaging'))).limit(1)).first()
    if busy is not None:
        raise exceptions.InvalidState(
            kind='snapshot', reason=f'snapshot {busy.id} of the volume is {busy.status}.')


def _refuse_source(context, volume_id):
    clones = being_cloned(context, volume_id)
    if clones:
        raise exceptions.InvalidState(
            kind='volume', reason=f'volume {clones[0]} is being created from volume {volume_id} '
                                  'or from one of its snapshots.')


@session.reader
def get(context, migration_id, project_id=None):
    """One record.

    :param project_id: only if the volume belongs to this project
    :raises MigrationNotFound: there is none
    """
    query = sa.select(_Record).where(_Record.id == migration_id)
    if project_id is not None:
        query = query.where(_Record.project_id == project_id)
    found = context.session.execute(query).scalar_one_or_none()
    if found is None:
        raise exceptions.MigrationNotFound(id=migration_id)
    return found


@session.writer
def lock(context, migration_id):
    """One record as it is now, held until the transaction ends.

    :raises MigrationNotFound: there is none
    """
    found = context.session.execute(
        sa.select(_Record).where(_Record.id == migration_id).with_for_update()
        .execution_options(populate_existing=True)).scalar_one_or_none()
    if found is None:
        raise exceptions.MigrationNotFound(id=migration_id)
    return found


@session.reader
def of_volumes(context, volume_ids):
    """The latest migration of each of some volumes: volume id -> percent and phase.

    One statement, for lists.
    """
    latest = (sa.select(_Record.volume_id, sa.func.max(_Record.created_at).label('at'))
              .where(_Record.volume_id.in_(volume_ids)).group_by(_Record.volume_id).subquery())
    rows = context.session.execute(
        sa.select(_Record.volume_id, _Record.phase, _Record.percent, _Record.method)
        .join(latest, sa.and_(latest.c.volume_id == _Record.volume_id,
                              latest.c.at == _Record.created_at)))
    return {row.volume_id: row for row in rows}


@session.reader
def links(context, migration_id):
    """The links of a chain, oldest first; the head is last."""
    return list(context.session.execute(
        sa.select(_Link).where(_Link.migration_id == migration_id)
        .order_by(_Link.number)).scalars())


@session.reader
def waiting(context, phases, source_host=None):
    """Ids of the records in some phases, oldest first.

    :param source_host: ``host@backend``: only those whose volume is (or was) there
    """
    query = sa.select(_Record.id, _Record.source_host).where(_Record.phase.in_(phases))
    if source_host is not None:
        query = query.where(_Record.source_host.startswith(source_host + '#', autoescape=True))
    rows = context.session.execute(query.order_by(_Record.created_at))
    return [row.id for row in rows if _is_of(row.source_host, source_host)]


def _is_of(host, backend):
    """Whether a host is of a backend; LIKE and some collations do not tell cases apart."""
    return backend is None or host.partition('#')[0] == backend


@session.writer
def save_plan(context, migration_id, planned, values):
    """Store the links of a migration and begin to copy.

    :param planned: a list of dictionaries, the columns of each link, oldest first
    :param values: further columns of the record
    :raises TransitionRefused: the record is not in its preflight

    Idempotent: a plan stored before is replaced.
    """
    transition.move(context, states.MACHINE, migration_id, 'copy', values)
    context.session.execute(sa.delete(models.MigrationDelta)
                            .where(models.MigrationDelta.migration_id == migration_id))
    context.session.execute(sa.delete(_Link).where(_Link.migration_id == migration_id))
    for number, columns in enumerate(planned):
        context.session.add(_Link(migration_id=migration_id, number=number, **columns))


@session.writer
def update(context, migration_id, values):
    """Set columns of a record that are no status."""
    context.session.execute(sa.update(_Record).where(_Record.id == migration_id)
                            .values({**values, 'updated_at': timeutils.utcnow()}))


@session.writer
def update_link(context, migration_id, number, values):
    """Set columns of one link."""
    context.session.execute(
        sa.update(_Link).where(_Link.migration_id == migration_id, _Link.number == number)
        .values({**values, 'updated_at': timeutils.utcnow()}))


@session.writer
def note_verified(context, migration_id, numbers, how):
    """These links were read back.

    :param how: how the page cache was passed; None when nothing had to be read
    """
    context.session.execute(
        sa.update(_Link).where(_Link.migration_id == migration_id, _Link.number.in_(numbers))
        .values(verified_at=timeutils.utcnow()))
    if how is not None:
        update(context, migration_id, {'read_back': how})


@session.writer
def note_removed(context, migration_id, numbers):
    """The sources of these links are gone."""
    context.session.execute(
        sa.update(_Link).where(_Link.migration_id == migration_id, _Link.number.in_(numbers))
        .values(source_removed_at=timeutils.utcnow()))


_Snapshots = models.Snapshot.__table__
_MOVE_SNAPSHOT = _Snapshots.update().where(_Snapshots.c.id == sa.bindparam('of_id')).values(
    updated_at=_Snapshots.c.updated_at)


@session.writer
def swap(context, migration_id, attempt):
    """THE COMMIT: from here on the volume and its snapshots are those at the destination.

    One transaction.  Ids, names, times and status stay; host, type and the backend's names
    change.

    :param attempt: number of the caller's
    :raises TransitionRefused: the record is not in phase ``committing``, or another attempt has
        begun; nothing was changed
    """
    transition.move(context, states.MACHINE, migration_id, 'committed',
                    {'committed_at': timeutils.utcnow(), 'percent': 100},
                    (_Record.attempt == attempt,))
    record = get(context, migration_id)
    type_id = record.destination_type_id or record.source_type_id
    volumes.update(context, record.volume_id, {
        'host': record.destination_host, 'name_id': record.destination_name_id,
        'provider_location': record.destination_location, 'volume_type_id': type_id,
        **_multiattach(context, record)})
    moved = [{'of_id': link.snapshot_id, 'name_id': link.destination_name_id,
              'volume_type_id': type_id, 'provider_location': link.destination_location}
             for link in links(context, migration_id) if link.snapshot_id is not None]
    if moved:
        context.session.execute(_MOVE_SNAPSHOT, moved)
    release(context, record)


def _multiattach(context, record):
    """A retyped volume may be attached as often as its new type says."""
    if record.destination_type_id is None:
        return {}
    return {'multiattach': volume_types.is_multiattach(context, record.destination_type_id)}


@session.writer
def fail(context, migration_id, event, error, code, remedy):
    """End a migration that did not happen: record, volume and migration_status, in one.

    :param event: ``fail`` (shown as error) or ``refuse`` (shown as nothing)
    :raises TransitionRefused: it was committed, or has ended
    """
    transition.move(context, states.MACHINE, migration_id, event, {
        'error': error, 'error_code': code, 'remedy': remedy,
        'finished_at': timeutils.utcnow()})
    record = get(context, migration_id)
    shadow_volumes.discard(context, record)
    release(context, record)
    return record


@session.writer
def release(context, record):
    """Give a volume back the status that it had before its migration.

    A volume that lost its attachments meanwhile is available.  One that is on its next
    migration stays with that.
    """
    volume = models.Volume
    next_one = context.session.execute(
        sa.select(_Record.id).where(_Record.volume_id == record.volume_id,
                                    _Record.created_at > record.created_at).limit(1)).first()
    if next_one is not None:
        return
    is_attached = context.session.execute(
        sa.select(volume.id).where(volume.id == record.volume_id,
                                   volume.attach_status == 'attached')
        .with_for_update()).first() is not None
    event = 'release'
    if record.previous_status == volume_states.IN_USE:
        event = ('release-attached' if is_attached
                 else server_moves.release_event(context, record.volume_id))
    transition.try_move(context, volume_states.MACHINE, record.volume_id, event)


@session.writer
def note_leftover(context, migration_id, leftover):
    """Add something that could not be removed; known by host, kind and name_id.

    What was acknowledged stays so.

    :param leftover: {'host', 'kind', 'name_id', 'reason'}
    """
    found = lock(context, migration_id).leftovers or []
    others = without(found, leftover)
    if all(same in others or not same.get('acknowledged') for same in found):
        update(context, migration_id, {'leftovers': [*others, leftover]})


def drop_leftover(context, migration_id, leftover):
    """It was removed after all.  Idempotent; nothing is written when it is not listed."""
    listed = leftovers(context, migration_id)
    if len(without(listed, leftover)) != len(listed):
        _drop_leftover(context, migration_id, leftover)


@session.writer
def _drop_leftover(context, migration_id, leftover):
    record = lock(context, migration_id)
    update(context, migration_id, {'leftovers': without(record.leftovers, leftover)})


@session.reader
def leftovers(context, migration_id):
    """What a record lists: a list, empty for none."""
    return context.session.execute(
        sa.select(_Record.leftovers).where(_Record.id == migration_id)).scalar() or []


def unacknowledged(leftovers):
    """What of a list of leftovers is still to be removed."""
    return [leftover for leftover in leftovers or [] if not leftover.get('acknowledged')]


def without(leftovers, leftover):
    """A list of leftovers without one of them."""
    def same(other):
        return all(other[key] == leftover[key] for key in ('host', 'kind', 'name_id'))
    return [other for other in leftovers or [] if not same(other)]


@session.reader
def failed_with_leftovers(context, source_host):
    """Ids of migrations of a backend's volumes that were undone and left something behind."""
    rows = context.session.execute(
        sa.select(_Record.id, _Record.leftovers, _Record.source_host)
        .where(_Record.phase.in_((states.FAILED, states.CANCELLED)),
               _Record.leftovers.is_not(None),
               _Record.source_host.startswith(source_host + '#', autoescape=True)))
    return [row.id for row in rows
            if unacknowledged(row.leftovers) and _is_of(row.source_host, source_host)]


@session.reader
def ended(context, migration_ids):
    """Which of some migrations have ended (or are gone): a set of ids."""
    alive = set(context.session.execute(
        sa.select(_Record.id).where(_Record.id.in_(migration_ids),
                                    _Record.phase.not_in(states.ENDED))).scalars())
    return set(migration_ids) - alive


@session.writer
def refuse_active(context, volume_id, action):
    """Lock a volume, whatever its statuses say, unless a migration or failover of it is on its way.

    For what sets statuses by force: they are what keeps others away from such a volume.

    :raises MigrationActive: names the migration
    :raises VolumeFailingOver: names the operation
    """
    context.session.execute(
        sa.update(models.Volume).where(models.Volume.id == volume_id)
        .values(updated_at=models.Volume.updated_at)
        .execution_options(synchronize_session=False))
    # A locking read: MariaDB's plain ones show the start of the transaction.
    found = context.session.execute(
        sa.select(_Record.id)
        .where(sa.or_(_Record.volume_id == volume_id, _Record.shadow_volume_id == volume_id),
               _Record.phase.in_(states.ACTIVE))
        .limit(1).with_for_update(read=True)).scalar()
    if found is not None:
        raise exceptions.MigrationActive(volume_id=volume_id, migration_id=found, action=action)
    transition.refuse_failing_over(context, volume_id, action)


@session.reader
def being_cloned(context, volume_id):
    """Ids of volumes that are being created from a volume or one of its snapshots."""
    snapshots = sa.select(models.Snapshot.id).where(models.Snapshot.volume_id == volume_id)
    return list(context.session.execute(
        sa.select(models.Volume.id).where(
            models.Volume.status == volume_states.CREATING, models.Volume.deleted_at.is_(None),
            sa.or_(models.Volume.source_volid == volume_id,
                   models.Volume.snapshot_id.in_(snapshots)))).scalars())
