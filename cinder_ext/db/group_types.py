"""Group types and their group specs."""
# SPDX-License-Identifier: Apache-2.0

import contextlib

import sqlalchemy as sa
from oslo_db import exception as oslo_db_exception
from oslo_utils import timeutils

from cinder_ext import exceptions
from cinder_ext.db import group_models, listing, session, transition

_Type = group_models.GroupType
_Spec = group_models.GroupTypeSpec

CONSISTENT = 'consistent_group_snapshot_enabled'
"""Group spec: the members of a group snapshot are frozen at one moment."""
TRUE = '<is> True'

LEGACY = 'default_cgsnapshot_type'
"""Name of the group type of consistency groups, as upstream has it since it made groups of them."""


@session.reader
def get(context, type_id):
    """One type.

    :raises GroupTypeNotFound: there is none, or it was deleted
    """
    return _found(context, type_id, _Type.id == type_id)


@session.reader
def get_by_name(context, name):
    """One type by its name.

    :raises GroupTypeNotFound: there is none
    """
    return _found(context, name, _Type.live_name == name)


@session.reader
def get_by_name_or_id(context, name_or_id):
    """One type by its id, else by its name.

    :raises GroupTypeNotFound: there is none
    """
    try:
        return get(context, name_or_id)
    except exceptions.GroupTypeNotFound:
        return get_by_name(context, name_or_id)


def _found(context, wanted, *where):
    found = context.session.execute(
        sa.select(_Type).where(_Type.deleted_at.is_(None), *where)
        .execution_options(populate_existing=True)).scalars().first()
    if found is None:
        raise exceptions.GroupTypeNotFound(id=wanted)
    return found


@session.writer
def create(context, values, specs=None):
    """Add a type.

    :param values: name, description, is_public
    :returns: group_models.GroupType
    :raises AlreadyExists: a type has that name
    """
    row = _Type(**values, live_name=values['name'])
    with _name_is_free(values['name']):
        context.session.add(row)
        context.session.flush()
    for key, value in (specs or {}).items():
        context.session.add(_Spec(group_type_id=row.id, key=key, value=value))
    _note(context, row, 'create')
    return row


def _note(context, row, event):
    facts = {'id': row.id, 'name': row.name, 'description': row.description,
             'is_public': row.is_public}
    transition.note(context, 'group_type', row.id, event, facts={'group_types': facts})


@session.writer
def update(context, type_id, values):
    """Change name, description or is_public.

    :returns: group_models.GroupType
    :raises AlreadyExists: another type has that name
    :raises GroupTypeNotFound: there is no such type
    """
    columns = {**values, 'updated_at': timeutils.utcnow()}
    if 'name' in values:
        columns['live_name'] = values['name']
    with _name_is_free(values.get('name')):
        _set(context, type_id, columns)
    row = get(context, type_id)
    _note(context, row, 'update')
    return row


@contextlib.contextmanager
def _name_is_free(name):
    """Of requests for one name at once, the index of ``live_name`` lets one through."""
    try:
        yield
    except oslo_db_exception.DBDuplicateEntry as fault:
        raise exceptions.AlreadyExists(kind='Group Type', name=name) from fault


def _set(context, type_id, columns):
    changed = context.session.execute(
        sa.update(_Type).where(_Type.id == type_id, _Type.deleted_at.is_(None))
        .values(columns).execution_options(synchronize_session=False)).rowcount
    if not changed:
        raise exceptions.GroupTypeNotFound(id=type_id)


def hold(context, type_id):
    """Lock a type's row until the transaction ends, so that it is not removed meanwhile.

    :raises GroupTypeNotFound: there is no such type
    """
    _set(context, type_id, {'updated_at': _Type.updated_at})


@session.writer
def delete(context, type_id):
    """Remove a type that no group has.

    :raises InvalidState: a group has it
    :raises GroupTypeNotFound: there is no such type
    """
    now, row = timeutils.utcnow(), get(context, type_id)
    _set(context, type_id, {'deleted_at': now, 'updated_at': now, 'live_name': None})
    group = group_models.Group
    # A locking read: MariaDB's plain ones show the start of the transaction.
    used = context.session.execute(
        sa.select(group.id).where(group.group_type_id == type_id, group.deleted_at.is_(None))
        .limit(1).with_for_update(read=True)).first()
    if used is not None:
        raise exceptions.InvalidState(
            kind='group type', reason=f'group type {type_id} is in use by groups.')
    context.session.execute(sa.delete(_Spec).where(_Spec.group_type_id == type_id))
    _note(context, row, 'delete')


@session.reader
def specs(context, type_id):
    """A type's group specs as a dictionary; empty for an unknown type."""
    return specs_of(context, [type_id])[type_id]


@session.reader
def specs_of(context, type_ids):
    """Group specs of several types in one statement: type id -> dictionary."""
    found = {type_id: {} for type_id in type_ids}
    rows = context.session.execute(
        sa.select(_Spec.group_type_id, _Spec.key, _Spec.value)
        .where(_Spec.group_type_id.in_(found)).order_by(_Spec.key))
    for type_id, key, value in rows:
        found[type_id][key] = value
    return found


@session.reader
def is_consistent(context, type_id):
    """Whether the members of a group snapshot must be frozen at one moment."""
    return specs(context, type_id).get(CONSISTENT) == TRUE


@session.writer
def set_specs(context, type_id, values):
    """Add or change group specs; those that are not named stay.

    :raises GroupTypeNotFound: there is no such type
    """
    _set(context, type_id, {'updated_at': timeutils.utcnow()})
    for key, value in values.items():
        context.session.merge(_Spec(group_type_id=type_id, key=key, value=value))
    transition.note(context, 'group_type_specs', type_id, 'create',
                    facts={'type_id': type_id, 'specs': values})


@session.writer
def delete_spec(context, type_id, key):
    """Remove one group spec.

    :raises GroupSpecNotFound: the type has none of that key
    :raises GroupTypeNotFound: there is no such type
    """
    _set(context, type_id, {'updated_at': timeutils.utcnow()})
    gone = context.session.execute(
        sa.delete(_Spec).where(_Spec.group_type_id == type_id, _Spec.key == key)).rowcount
    if not gone:
        raise exceptions.GroupSpecNotFound(type_id=type_id, key=key)
    transition.note(context, 'group_type_specs', type_id, 'delete',
                    facts={'type_id': type_id, 'id': key})


@session.reader
def legacy_id(context):
    """Id of the group type of consistency groups; None while there is none."""
    return context.session.execute(
        sa.select(_Type.id).where(_Type.live_name == LEGACY)).scalar()


def legacy(context):
    """Id of the group type of consistency groups; made at the first use."""
    try:
        return legacy_id(context) or create(
            context, {'name': LEGACY, 'description': 'Group type of consistency groups'},
            {CONSISTENT: TRUE}).id
    except exceptions.AlreadyExists:
        # Another request was first.
        return legacy_id(context)


def not_legacy():
    """A condition of lists of groups or their snapshots: without consistency groups.

    No statement of its own: the list's statement asks for the group type.
    """
    found = sa.select(_Type.id).where(_Type.live_name == LEGACY).scalar_subquery()
    return listing.Condition('group_type_id', 'neq', sa.func.coalesce(found, ''))
