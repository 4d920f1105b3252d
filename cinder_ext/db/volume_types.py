"""Volume types and their extra specs."""
# SPDX-License-Identifier: Apache-2.0

import contextlib

import sqlalchemy as sa
from oslo_db import exception as oslo_db_exception
from oslo_utils import timeutils

from cinder_ext import exceptions
from cinder_ext.db import models, session
from cinder_ext.states import migration as migration_states

_Type = models.VolumeType
_Spec = models.VolumeTypeExtraSpec


@session.reader
def get(context, type_id):
    """One type.

    :raises VolumeTypeNotFound: there is none, or it was deleted
    """
    return _found(context, type_id, _Type.id == type_id)


@session.reader
def get_by_name_or_id(context, name_or_id):
    """One type by its id, else by its name.

    :raises VolumeTypeNotFound: there is none
    """
    rows = context.session.execute(sa.select(_Type).where(
        _Type.deleted_at.is_(None),
        sa.or_(_Type.id == name_or_id, _Type.name == name_or_id))).scalars().all()
    for row in sorted(rows, key=lambda row: row.id != name_or_id):
        return row
    raise exceptions.VolumeTypeNotFound(id=name_or_id)


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
    return row


@session.writer
def update(context, type_id, values):
    """Change name, description or is_public.

    :returns: models.VolumeType
    :raises AlreadyExists: another type has that name
    :raises VolumeTypeNotFound: there is no such type
    """
    columns = {**values, 'updated_at': timeutils.utcnow()}
    if 'name' in values:
        columns['live_name'] = values['name']
    with _name_is_free(values.get('name')):
        changed = context.session.execute(
            sa.update(_Type).where(_Type.id == type_id, _Type.deleted_at.is_(None))
            .values(columns).execution_options(synchronize_session=False)).rowcount
    if not changed:
        raise exceptions.VolumeTypeNotFound(id=type_id)
    return _found(context, type_id, _Type.id == type_id)


@contextlib.contextmanager
def _name_is_free(name):
    """Of requests for one name at once, the index of ``live_name`` lets one through."""
    try:
        yield
    except oslo_db_exception.DBDuplicateEntry as fault:
        raise exceptions.AlreadyExists(kind='Volume Type', name=name) from fault


@session.writer
def delete(context, type_id):
    """Remove a type that nothing uses.

    :raises InvalidState: volumes have it, or a migration is to give it to one
    :raises VolumeTypeNotFound: there is no such type
    """
    now = timeutils.utcnow()
    changed = context.session.execute(
        sa.update(_Type).where(_Type.id == type_id, _Type.deleted_at.is_(None))
        .values(deleted_at=now, updated_at=now, live_name=None)
        .execution_options(synchronize_session=False)).rowcount
    if not changed:
        raise exceptions.VolumeTypeNotFound(id=type_id)
    if in_use(context, type_id):
        raise exceptions.InvalidState(
            kind='volume type', reason=f'volume type {type_id} is in use by volumes.')
    context.session.execute(sa.delete(_Spec).where(_Spec.volume_type_id == type_id))


@session.reader
def in_use(context, type_id):
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


@session.reader
def is_multiattach(context, type_id):
    """Whether volumes of a type may be attached several times at once."""
    return extra_specs(context, type_id).get('multiattach') == '<is> True'


@session.reader
def extra_specs_of(context, type_ids):
    """Extra specs of several types in one statement: type id -> dictionary."""
    found = {type_id: {} for type_id in type_ids}
    rows = context.session.execute(
        sa.select(_Spec.volume_type_id, _Spec.key, _Spec.value)
        .where(_Spec.volume_type_id.in_(found)).order_by(_Spec.key))
    for type_id, key, value in rows:
        found[type_id][key] = value
    return found


@session.writer
def set_extra_specs(context, type_id, specs):
    """Add or change extra specs; those that are not named stay.

    :raises VolumeTypeNotFound: there is no such type
    """
    _hold(context, type_id)
    for key, value in specs.items():
        context.session.merge(_Spec(volume_type_id=type_id, key=key, value=value))


@session.writer
def delete_extra_spec(context, type_id, key):
    """Remove one extra spec.

    :raises ExtraSpecNotFound: the type has none of that key
    :raises VolumeTypeNotFound: there is no such type
    """
    _hold(context, type_id)
    gone = context.session.execute(
        sa.delete(_Spec).where(_Spec.volume_type_id == type_id, _Spec.key == key)).rowcount
    if not gone:
        raise exceptions.ExtraSpecNotFound(type_id=type_id, key=key)


def _hold(context, type_id):
    """Lock the type's row until the transaction ends, so that changes follow one another."""
    held = context.session.execute(
        sa.update(_Type).where(_Type.id == type_id, _Type.deleted_at.is_(None))
        .values(updated_at=timeutils.utcnow())
        .execution_options(synchronize_session=False)).rowcount
    if not held:
        raise exceptions.VolumeTypeNotFound(id=type_id)
