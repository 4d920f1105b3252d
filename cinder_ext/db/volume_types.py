"""Volume types and their extra specs."""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import functools

import sqlalchemy as sa
from oslo_db import exception as oslo_db_exception
from oslo_utils import timeutils

from cinder_ext import exceptions
from cinder_ext.db import (
    group_models,
    listing,
    models,
    project_models,
    session,
    transition,
    type_models,
)
from cinder_ext.states import migration as migration_states

_Type = models.VolumeType
_Spec = models.VolumeTypeExtraSpec
_Project = type_models.VolumeTypeProject
_BESIDE = (_Spec, _Project, type_models.VolumeTypeEncryption)
"""Rows that go with a type."""

_QUOTAS = ('volumes', 'snapshots', 'gigabytes')
"""What is limited per type: ``volumes_`` and the type's name."""


@session.reader
def get(context, type_id, project_id=None):
    """One type.

    :param project_id: only if this project may use it
    :raises VolumeTypeNotFound: there is none, or it was deleted
    """
    return _found(context, type_id, _Type.id == type_id, *_usable(project_id))


@session.reader
def get_by_name_or_id(context, name_or_id, project_id=None):
    """One type by its id, else by its name.

    :param project_id: only if this project may use it
    :raises VolumeTypeNotFound: there is none
    """
    rows = context.session.execute(sa.select(_Type).where(
        _Type.deleted_at.is_(None), *_usable(project_id),
        sa.or_(_Type.id == name_or_id, _Type.name == name_or_id))).scalars().all()
    for row in sorted(rows, key=lambda row: row.id != name_or_id):
        return row
    raise exceptions.VolumeTypeNotFound(id=name_or_id)


def usable_by(project_id):
    """The condition of a list: what a project may use."""
    return listing.Condition('is_public', 'clause', sa.and_(*_usable(project_id)))


def _usable(project_id):
    if project_id is None:
        return ()
    granted = sa.select(_Project.volume_type_id).where(_Project.project_id == project_id)
    return (sa.or_(_Type.is_public.is_(True), _Type.id.in_(granted)),)


def _found(context, wanted, *where):
    found = context.session.execute(
        sa.select(_Type).where(_Type.deleted_at.is_(None), *where)
        .execution_options(populate_existing=True)).scalars().first()
    if found is None:
        raise exceptions.VolumeTypeNotFound(id=wanted)
    return found


@session.writer
def create(context, values, extra_specs=None):
    """Add a type.

    :param values: name, description, is_public
    :returns: models.VolumeType
    :raises AlreadyExists: a type has that name
    """
    row = _Type(**values, live_name=values['name'])
    with _name_is_free(values['name']):
        context.session.add(row)
        context.session.flush()
    for key, value in (extra_specs or {}).items():
        context.session.add(_Spec(volume_type_id=row.id, key=key, value=value))
    _note(context, row, 'create')
    return row


def _note(context, row, event):
    facts = {'id': row.id, 'name': row.name, 'description': row.description,
             'is_public': row.is_public, 'qos_specs_id': row.qos_specs_id}
    transition.note(context, 'volume_type', row.id, event, facts={'volume_types': facts})


@session.writer
def update(context, type_id, values):
    """Change name, description or is_public; the limits of its name follow a new name.

    :returns: models.VolumeType
    :raises AlreadyExists: another type has that name
    :raises VolumeTypeNotFound: there is no such type
    """
    columns = {**values, 'updated_at': timeutils.utcnow()}
    if 'name' in values:
        columns['live_name'] = values['name']
    before = _found(context, type_id, _Type.id == type_id).name
    with _name_is_free(values.get('name')):
        changed = context.session.execute(
            sa.update(_Type).where(_Type.id == type_id, _Type.deleted_at.is_(None))
            .values(columns).execution_options(synchronize_session=False)).rowcount
    if not changed:
        raise exceptions.VolumeTypeNotFound(id=type_id)
    if values.get('name', before) != before:
        _rename_limits(context, before, values['name'])
    row = _found(context, type_id, _Type.id == type_id)
    _note(context, row, 'update')
    return row


def _rename_limits(context, before, after):
    for table in (project_models.Quota, project_models.QuotaClass):
        for word in _QUOTAS:
            context.session.execute(sa.delete(table).where(table.resource == f'{word}_{after}'))
            context.session.execute(
                sa.update(table).where(table.resource == f'{word}_{before}')
                .values(resource=f'{word}_{after}')
                .execution_options(synchronize_session=False))


@contextlib.contextmanager
def _name_is_free(name):
    """Of requests for one name at once, the index of ``live_name`` lets one through."""
    try:
        yield
    except oslo_db_exception.DBDuplicateEntry as fault:
        raise exceptions.AlreadyExists(kind='Volume Type', name=name) from fault


@session.writer
def delete(context, type_id):
    """Remove a type that nothing uses, with its extra specs, access and encryption.

    :raises InvalidState: volumes or groups have it, a migration is to give it to a volume, or it
        is the default of a project
    :raises VolumeTypeNotFound: there is no such type
    """
    now, row = timeutils.utcnow(), get(context, type_id)
    changed = context.session.execute(
        sa.update(_Type).where(_Type.id == type_id, _Type.deleted_at.is_(None))
        .values(deleted_at=now, updated_at=now, live_name=None)
        .execution_options(synchronize_session=False)).rowcount
    if not changed:
        raise exceptions.VolumeTypeNotFound(id=type_id)
    if in_use(context, type_id):
        raise exceptions.InvalidState(
            kind='volume type', reason=f'volume type {type_id} is in use.')
    for table in _BESIDE:
        context.session.execute(sa.delete(table).where(table.volume_type_id == type_id))
    _note(context, row, 'delete')


@session.reader
def in_use(context, type_id):
    """Whether something needs the type: a volume, a group, a project, an unfinished migration."""
    if has_volumes(context, type_id):
        return True
    grouped, group, default = (group_models.GroupVolumeType, group_models.Group,
                               type_models.DefaultVolumeType)
    return any(context.session.execute(found.limit(1)).first() is not None for found in (
        sa.select(group.id).join(grouped, grouped.group_id == group.id)
        .where(grouped.volume_type_id == type_id, group.deleted_at.is_(None)),
        sa.select(default.project_id).where(default.volume_type_id == type_id)))


@session.reader
def has_volumes(context, type_id):
    """Whether a volume has the type or an unfinished migration will give it to one."""
    for found in (
            sa.select(models.Volume.id).where(models.Volume.volume_type_id == type_id,
                                              models.Volume.deleted_at.is_(None)),
            sa.select(models.VolumeMigration.id).where(
                models.VolumeMigration.destination_type_id == type_id,
                models.VolumeMigration.phase.not_in(migration_states.ENDED))):
        if context.session.execute(found.limit(1)).first() is not None:
            return True
    return False


@session.reader
def list_all(context, is_public=None):
    """Types that exist, oldest first.

    :param is_public: True or False: only such; None: all
    """
    query = sa.select(_Type).where(_Type.deleted_at.is_(None))
    if is_public is not None:
        query = query.where(_Type.is_public.is_(is_public))
    return list(context.session.execute(query.order_by(_Type.created_at, _Type.id)).scalars())


@session.reader
def extra_specs(context, type_id):
    """A type's extra specs as a dictionary; empty for an unknown type."""
    return extra_specs_of(context, [type_id])[type_id]


LEAST_SIZE = 'provisioning:min_vol_size'
MOST_SIZE = 'provisioning:max_vol_size'
"""Extra specs with the sizes, in GiB, between which a type's volumes must be."""


def size_limits(specs):
    """The least and the most GiB of a type's volumes; None for no limit.

    :param specs: extra specs of the type; what is no number is no limit
    """
    return tuple(int(text) if text and text.isascii() and text.isdecimal() else None
                 for text in (specs.get(LEAST_SIZE), specs.get(MOST_SIZE)))


@session.reader
def is_multiattach(context, type_id):
    """Whether volumes of a type may be attached several times at once."""
    return extra_specs(context, type_id).get('multiattach') == '<is> True'


@session.reader
def extra_specs_of(context, type_ids):
    """Extra specs of several types in one statement: type id -> dictionary."""
    found = {type_id: {} for type_id in type_ids}
    rows = context.session.execute(_specs_query(), {'type_ids': list(found)})
    for type_id, key, value in rows:
        found[type_id][key] = value
    return found


@functools.cache
def _specs_query():
    """Made once: making a statement costs what its execution does."""
    return (sa.select(_Spec.volume_type_id, _Spec.key, _Spec.value)
            .where(_Spec.volume_type_id.in_(sa.bindparam('type_ids', expanding=True)))
            .order_by(_Spec.key))


@session.writer
def set_extra_specs(context, type_id, specs):
    """Add or change extra specs; those that are not named stay.

    :raises InvalidInput: they would make the type both multiattach and cacheable
    :raises InvalidState: volumes have the type
    :raises VolumeTypeNotFound: there is no such type
    """
    hold(context, type_id)
    refuse_with_volumes(context, type_id, *specs)
    after = {**extra_specs(context, type_id), **specs}
    if after.get('multiattach') == after.get('cacheable') == '<is> True':
        raise exceptions.InvalidInput(reason='cacheable cannot be set with multiattach.')
    for key, value in specs.items():
        context.session.merge(_Spec(volume_type_id=type_id, key=key, value=value))
    transition.note(context, 'volume_type_extra_specs', type_id, 'create',
                    facts={'type_id': type_id, 'specs': specs})


@session.writer
def delete_extra_spec(context, type_id, key):
    """Remove one extra spec.

    :raises ExtraSpecNotFound: the type has none of that key
    :raises InvalidState: volumes have the type
    :raises VolumeTypeNotFound: there is no such type
    """
    hold(context, type_id)
    refuse_with_volumes(context, type_id, key)
    gone = context.session.execute(
        sa.delete(_Spec).where(_Spec.volume_type_id == type_id, _Spec.key == key)).rowcount
    if not gone:
        raise exceptions.ExtraSpecNotFound(type_id=type_id, key=key)
    transition.note(context, 'volume_type_extra_specs', type_id, 'delete',
                    facts={'type_id': type_id, 'id': key})


@session.writer
def refuse_with_volumes(context, type_id, *keys):
    """
    :param keys: extra specs that are to change; those of migrations may at any time: no volume
        is placed by them
    :raises InvalidState: volumes have the type
    """
    if keys and all(key.startswith('migration:') for key in keys):
        return
    if has_volumes(context, type_id):
        raise exceptions.InvalidState(
            kind='volume type', reason=f'volume type {type_id} is in use by volumes.')


@session.writer
def hold(context, type_id):
    """Lock the type's row until the transaction ends, so that changes follow one another.

    :raises VolumeTypeNotFound: there is no such type
    """
    held = context.session.execute(
        sa.update(_Type).where(_Type.id == type_id, _Type.deleted_at.is_(None))
        .values(updated_at=timeutils.utcnow())
        .execution_options(synchronize_session=False)).rowcount
    if not held:
        raise exceptions.VolumeTypeNotFound(id=type_id)
