"""Quotas: how much a project may have, and how much it has.

Nothing is kept that could drift: what a project has is counted from its rows,
in the transaction that adds to them, behind a row per project that only one
such transaction holds at a time.  What is deleted is free at once.

A resource is ``volumes``, ``snapshots``, ``gigabytes`` ..., or one of the first
three of one volume type: ``volumes_<id of the type>``.  On the wire the name of
the type stands there; it may change, the id does not.
"""
# SPDX-License-Identifier: Apache-2.0

import collections
import functools

import sqlalchemy as sa
from oslo_log import log
from oslo_utils import timeutils
from sqlalchemy.dialects import mysql, postgresql, sqlite

from cinder_ext import exceptions
from cinder_ext.db import (
    group_models,
    models,
    project_models,
    quota_errors,
    session,
    type_models,
)
from cinder_ext.states import migration as migration_states
from cinder_ext.states import volume as volume_states

LOG = log.getLogger(__name__)

UNLIMITED = -1
DEFAULT_CLASS = 'default'
PER_VOLUME = 'per_volume_gigabytes'
"""Limit of the size of one volume; nothing is counted for it."""

OPTIONS = {
    'volumes': 'quota_volumes',
    PER_VOLUME: 'per_volume_size_limit',
    'snapshots': 'quota_snapshots',
    'gigabytes': 'quota_gigabytes',
    'backups': 'quota_backups',
    'backup_gigabytes': 'quota_backup_gigabytes',
    'groups': 'quota_groups',
}
"""Resource -> option with its limit where neither the project nor the default class has one."""

OF_TYPES = ('volumes', 'gigabytes', 'snapshots')
"""Resources that are also limited for each volume type."""

_ERRORS = {
    'volumes': quota_errors.VolumeLimitExceeded,
    'snapshots': quota_errors.SnapshotLimitExceeded,
    'groups': quota_errors.GroupLimitExceeded,
    'backups': quota_errors.BackupLimitExceeded,
    'gigabytes': quota_errors.VolumeSizeExceedsAvailableQuota,
    'backup_gigabytes': quota_errors.BackupSizeExceedsAvailableQuota,
}
_ON_CONFLICT = {'postgresql': postgresql.insert, 'sqlite': sqlite.insert}
_Volume = models.Volume
_Snapshot = models.Snapshot
_PROJECT = sa.bindparam('project_id')


def of_type(resource, type_id):
    """A resource of one volume type."""
    return f'{resource}_{type_id}'


@session.writer
def admit(context, project_id, added, type_id=None):
    """Let a project have more, or refuse; before the rows are written, in their transaction.

    :param added: resource -> how much is added; ``per_volume_gigabytes``: GiB of the largest
        volume
    :param type_id: what is added is of this volume type, whose limits hold too
    :raises OverLimit: one of its kinds, for the first limit that would be exceeded; the caller's
        transaction is to be given up

    A caller that also locks a volume's row locks that first.
    """
    wanted = _wanted(added, type_id)
    bounds = {resource: limit for resource, limit in limits(context, wanted, project_id).items()
              if limit != UNLIMITED}
    largest = bounds.pop(PER_VOLUME, None)
    if largest is not None and wanted[PER_VOLUME] > largest:
        raise quota_errors.VolumeSizeExceedsLimit(requested=wanted[PER_VOLUME], allowed=largest)
    if not bounds:
        return
    _lock(context, project_id)
    used = usage(context, project_id, bounds)
    for resource, limit in sorted(bounds.items()):
        if used[resource] + wanted[resource] > limit:
            raise _refusal(context, project_id, resource, used[resource], wanted[resource], limit)


def _wanted(added, type_id=None):
    wanted = {resource: number for resource, number in added.items() if number > 0}
    if type_id is not None:
        wanted |= {of_type(resource, type_id): wanted[resource]
                   for resource in OF_TYPES if resource in wanted}
    return wanted


@session.reader
def lacking(context, project_id, added):
    """What admit() would refuse now, without locking anything: a list of OverLimit.

    :param added: as with admit
    """
    wanted = _wanted(added)
    bounds = {resource: limit for resource, limit in limits(context, wanted, project_id).items()
              if limit != UNLIMITED and resource != PER_VOLUME}
    used = usage(context, project_id, bounds)
    return [_refusal(context, project_id, resource, used[resource], wanted[resource], limit)
            for resource, limit in sorted(bounds.items())
            if used[resource] + wanted[resource] > limit]


def _refusal(context, project_id, resource, consumed, requested, limit):
    kind, name = kind_of(resource), resource
    if kind != resource:
        type_id = resource.removeprefix(f'{kind}_')
        name = of_type(kind, context.session.execute(
            sa.select(models.VolumeType.name).where(models.VolumeType.id == type_id)).scalar())
    LOG.warning('project %s: quota exceeded for %s: %s in use, %s more asked for, %s allowed',
                project_id, name, consumed, requested, limit)
    return _ERRORS[kind](name=name, consumed=consumed, requested=requested, allowed=limit)


def kind_of(resource):
    """The resource itself, or what it is of one volume type."""
    if resource in OPTIONS:
        return resource
    return resource.partition('_')[0]


def _lock(context, project_id):
    """Wait until nobody else adds to the project, and keep others waiting until the commit."""
    if context.session.get_bind().dialect.name == 'sqlite':
        # Its writers come one after another anyway.
        return
    table = project_models.ProjectLock
    row = sa.select(table.project_id).where(table.project_id == project_id).with_for_update()
    if context.session.execute(row).first() is None:
        put(context, table, {'project_id': project_id})


@session.writer
def put(context, table, key, **values):
    """Insert a row, or change the one that is there; it is locked for writing.

    :param key: columns of the primary key

    In one statement: with an insert that fails and another attempt several requests at once
    would be a deadlock.
    """
    dialect = context.session.get_bind().dialect.name
    change = {**values, 'updated_at': timeutils.utcnow()}
    if dialect in _ON_CONFLICT:
        statement = _ON_CONFLICT[dialect](table).values(**key, **values).on_conflict_do_update(
            index_elements=list(key), set_=change)
    else:
        statement = mysql.insert(table).values(**key, **values).on_duplicate_key_update(change)
    context.session.execute(statement)


def snapshot_gib(size):
    """GiB that a snapshot of so many counts for."""
    return 0 if session.options().no_snapshot_gb_quota else size


@session.reader
def limits(context, resources, project_id=None, class_name=None):
    """Limits of some resources: the project's or the class's own, else the default class's.

    :param resources: names, as this module has them
    :returns: resource -> limit; one statement
    """
    found = {resource: _default(resource) for resource in resources}
    rows = context.session.execute(_LIMITS, {
        'resources': list(found), 'project_id': project_id, 'class_name': class_name,
        'default': DEFAULT_CLASS})
    for _rank, resource, limit in sorted(rows):
        found[resource] = limit
    return found


def _stored(owner, name, rank):
    table = owner.class_
    return sa.select(sa.literal(rank), table.resource, table.hard_limit).where(
        owner == sa.bindparam(name), table.resource.in_(sa.bindparam('resources', expanding=True)))


_LIMITS = sa.union_all(_stored(project_models.QuotaClass.class_name, 'default', 0),
                       _stored(project_models.QuotaClass.class_name, 'class_name', 1),
                       _stored(project_models.Quota.project_id, 'project_id', 2))
"""Made once: making a statement costs what its execution does."""


def _default(resource):
    """What the options say; a volume type has no limit of its own there."""
    return session.options()[OPTIONS[resource]] if resource in OPTIONS else UNLIMITED


@session.reader
def usage(context, project_id, resources=None):
    """What a project has: a collections.Counter of resources, as this module names them.

    :param resources: only these are needed; None: all
    :returns: resources of which the project has none count as 0; one statement

    A volume that is being extended counts with its new size, one that is being retyped counts
    for both types.
    """
    used = collections.Counter()
    statement = _statement(*_needed(resources), session.options().no_snapshot_gb_quota)
    if statement is None:
        return used
    rows = context.session.execute(statement, {'project_id': project_id})
    for resource, is_here, type_id, number, gib in rows:
        counted = {resource: int(number), 'gigabytes': int(gib)}
        if is_here:
            used.update(counted)
        if type_id:
            used.update({of_type(name, type_id): each for name, each in counted.items()})
    return used


def _needed(resources):
    """Kinds of some resources, and whether volume types are among them."""
    if resources is None:
        return frozenset(_ERRORS), True
    return (frozenset(kind_of(resource) for resource in resources),
            any(resource not in OPTIONS for resource in resources))


@functools.cache
def _statement(kinds, of_types, free_snapshots):
    """The statement that gives rows of _select(), with as few parts as the kinds need."""
    snapshots_gib = sa.literal(0) if free_snapshots else sa.func.sum(_Snapshot.size)
    parts = []
    if kinds & {'volumes', 'gigabytes'}:
        parts.append(_sums('volumes', _Volume, sa.func.sum(_Volume.size)))
    if kinds & {'snapshots', 'gigabytes'}:
        parts.append(_sums('snapshots', _Snapshot, snapshots_gib))
    if 'gigabytes' in kinds:
        parts.append(_growth())
    if of_types:
        parts += _incoming(snapshots_gib)
    if 'groups' in kinds:
        table = group_models.Group
        parts.append(_select('groups', sa.literal(''), sa.func.count(), sa.literal(0)).where(
            table.project_id == _PROJECT, table.deleted_at.is_(None)))
    return sa.union_all(*parts) if parts else None


def _select(resource, type_id, number, gib, is_here=1):
    """Rows of: resource, 0 when it is another type's yet, type, number, GiB."""
    return sa.select(sa.literal(resource), sa.literal(is_here), type_id, number,
                     sa.cast(sa.func.coalesce(gib, 0), sa.BigInteger))


def _counts(table):
    return (table.project_id == _PROJECT, table.deleted_at.is_(None),
            table.consumes_quota.is_(True))


def _sums(resource, table, gib):
    return _select(resource, table.volume_type_id, sa.func.count(), gib).where(
        *_counts(table)).group_by(table.volume_type_id)


def _growth():
    """GiB by which volumes are being extended."""
    new_size = _Volume.request['new_size'].as_integer()
    return _select('volumes', _Volume.volume_type_id, sa.literal(0),
                   sa.func.sum(new_size - _Volume.size)).where(
        *_counts(_Volume), _Volume.status == volume_states.EXTENDING,
        new_size > _Volume.size).group_by(_Volume.volume_type_id)


def _incoming(snapshots_gib):
    """What is on its way to another volume type: it counts there already."""
    record = models.VolumeMigration
    on_its_way = (record.phase.in_(migration_states.ACTIVE),
                  record.destination_type_id != sa.func.coalesce(_Volume.volume_type_id, ''))
    volumes = (
        _select('volumes', record.destination_type_id, sa.func.count(),
                sa.func.sum(_Volume.size), is_here=0)
        .select_from(record).join(_Volume, _Volume.id == record.volume_id)
        .where(*_counts(_Volume), *on_its_way).group_by(record.destination_type_id))
    snapshots = (
        _select('snapshots', record.destination_type_id, sa.func.count(), snapshots_gib,
                is_here=0)
        .select_from(record).join(_Volume, _Volume.id == record.volume_id)
        .join(_Snapshot, _Snapshot.volume_id == _Volume.id)
        .where(*_counts(_Snapshot), *on_its_way).group_by(record.destination_type_id))
    return [volumes, snapshots]


@session.reader
def names(context, project_id=None):
    """Every resource that has a limit: name on the wire -> name in this module.

    :param project_id: without the volume types that this project may not use; None: all
    """
    table, access = models.VolumeType, type_models.VolumeTypeProject
    query = sa.select(table.id, table.name).where(table.deleted_at.is_(None))
    if project_id is not None:
        query = query.where(sa.or_(table.is_public.is_(True), sa.exists().where(
            access.volume_type_id == table.id, access.project_id == project_id)))
    found = {resource: resource for resource in OPTIONS}
    for type_id, name in context.session.execute(query.order_by(table.name)):
        found |= {of_type(resource, name): of_type(resource, type_id) for resource in OF_TYPES}
    return found


@session.writer
def set_limits(context, project_id, wanted):
    """Give a project limits of its own; others stay.

    :param wanted: resource -> limit
    :raises InvalidInput: a limit is below what the project has; nothing was changed
    """
    used = usage(context, project_id, wanted)
    for resource, limit in wanted.items():
        if limit != UNLIMITED and resource != PER_VOLUME and limit < used[resource]:
            raise exceptions.InvalidInput(
                reason=f'the limit {limit} of {kind_of(resource)} is below the {used[resource]} '
                       'that are in use.')
    for resource, limit in wanted.items():
        put(context, project_models.Quota, {'project_id': project_id, 'resource': resource},
             hard_limit=limit)


@session.writer
def forget_limits(context, project_id):
    """A project has the default limits again.  Idempotent."""
    table = project_models.Quota
    context.session.execute(sa.delete(table).where(table.project_id == project_id))


@session.writer
def set_class_limits(context, class_name, wanted):
    """Set limits of a quota class; others stay."""
    for resource, limit in wanted.items():
        put(context, project_models.QuotaClass, {'class_name': class_name, 'resource': resource},
             hard_limit=limit)
