"""Quality of service: named limits, and the volume types that have them."""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import functools

import sqlalchemy as sa
from oslo_db import exception as oslo_db_exception
from oslo_utils import timeutils

from cinder_ext import exceptions
from cinder_ext.db import models, session, transition, type_models, volume_types

_Specs = type_models.QosSpecs
_Value = type_models.QosSpec
_Type = models.VolumeType


@session.writer
def create(context, name, consumer, values):
    """Add limits.

    :param consumer: ``front-end``, ``back-end`` or ``both``
    :returns: type_models.QosSpecs
    :raises AlreadyExists: there are some of that name
    """
    row = _Specs(name=name, consumer=consumer)
    with _name_is_free(name):
        context.session.add(row)
        context.session.flush()
    for key, value in values.items():
        context.session.add(_Value(qos_specs_id=row.id, key=key, value=value))
    _note(context, row.id, 'create', name=name, specs=values)
    return row


def _note(context, specs_id, event, **facts):
    transition.note(context, 'qos_specs', specs_id, event, facts={'id': specs_id, **facts})


@contextlib.contextmanager
def _name_is_free(name):
    try:
        yield
    except oslo_db_exception.DBDuplicateEntry as fault:
        raise exceptions.AlreadyExists(kind='QoS specs', name=name) from fault


@session.reader
def get(context, specs_id):
    """
    :returns: type_models.QosSpecs
    :raises QosSpecsNotFound: there are none
    """
    found = context.session.execute(
        sa.select(_Specs).where(_Specs.id == specs_id)
        .execution_options(populate_existing=True)).scalar_one_or_none()
    if found is None:
        raise exceptions.QosSpecsNotFound(id=specs_id)
    return found


@session.reader
def values_of(context, specs_ids):
    """The limits of several in one statement: id -> dictionary."""
    found = {specs_id: {} for specs_id in specs_ids}
    for specs_id, key, value in context.session.execute(
            sa.select(_Value.qos_specs_id, _Value.key, _Value.value)
            .where(_Value.qos_specs_id.in_(found)).order_by(_Value.key)):
        found[specs_id][key] = value
    return found


@session.reader
def described(context, specs_ids):
    """Some of them by id, in two statements: id -> dictionary of name, consumer and specs."""
    rows = context.session.execute(
        sa.select(_Specs.id, _Specs.name, _Specs.consumer).where(_Specs.id.in_(list(specs_ids)))).all()
    limits = values_of(context, [row.id for row in rows])
    return {row.id: {'name': row.name, 'consumer': row.consumer, 'specs': limits[row.id]}
            for row in rows}


@session.reader
def of_type(context, type_id):
    """(consumer, dictionary of limits) of a volume type; None when it has none."""
    found = context.session.execute(_of_type(), {'type_id': type_id}).first()
    return None if found is None else (found.consumer, values_of(context, [found.id])[found.id])


@functools.cache
def _of_type():
    """Made once: making a statement costs what its execution does."""
    return (sa.select(_Specs.id, _Specs.consumer).join(_Type, _Type.qos_specs_id == _Specs.id)
            .where(_Type.id == sa.bindparam('type_id')))


@session.writer
def update(context, specs_id, values, consumer=None):
    """Add or change limits; those that are not named stay.

    :param consumer: None leaves it
    :raises QosSpecsNotFound: there are none
    """
    _hold(context, specs_id, {} if consumer is None else {'consumer': consumer})
    for key, value in values.items():
        context.session.merge(_Value(qos_specs_id=specs_id, key=key, value=value))
    _note(context, specs_id, 'update', specs=values)


@session.writer
def delete_keys(context, specs_id, keys):
    """Remove some limits, all or none.

    :raises QosKeyNotFound: one of them is not there
    :raises QosSpecsNotFound: there are none
    """
    _hold(context, specs_id)
    present = values_of(context, [specs_id])[specs_id]
    for key in keys:
        if key not in present:
            raise exceptions.QosKeyNotFound(id=specs_id, key=key)
    context.session.execute(sa.delete(_Value).where(
        _Value.qos_specs_id == specs_id, _Value.key.in_(list(keys))))
    _note(context, specs_id, 'delete_keys')


@session.writer
def delete(context, specs_id, force=False):
    """Remove limits.

    :param force: types that have them have none afterwards
    :raises InvalidState: types have them
    :raises QosSpecsNotFound: there are none
    """
    _hold(context, specs_id)
    if force:
        _disassociate(context, specs_id)
    elif associations(context, specs_id):
        raise exceptions.InvalidState(kind='QoS specs', reason='Qos specs still in use.')
    context.session.execute(sa.delete(_Value).where(_Value.qos_specs_id == specs_id))
    context.session.execute(sa.delete(_Specs).where(_Specs.id == specs_id))
    _note(context, specs_id, 'delete')


@session.reader
def associations(context, specs_id):
    """The volume types that have the limits: (id, name), by name.

    :raises QosSpecsNotFound: there are none
    """
    get(context, specs_id)
    return list(context.session.execute(
        sa.select(_Type.id, _Type.name)
        .where(_Type.qos_specs_id == specs_id, _Type.deleted_at.is_(None)).order_by(_Type.name)))


@session.writer
def associate(context, specs_id, type_id):
    """Let a volume type have the limits.  Idempotent.

    :raises InvalidState: it has others
    :raises QosSpecsNotFound, VolumeTypeNotFound: there are none
    """
    _hold(context, specs_id)
    volume_types.hold(context, type_id)
    present = volume_types.get(context, type_id).qos_specs_id
    if present not in (None, specs_id):
        raise exceptions.InvalidState(
            kind='volume type', reason=f'Type {type_id} is already associated with another qos '
                                       f'specs: {present}')
    _set(context, specs_id, _Type.id == type_id)
    _note(context, specs_id, 'associate', type_id=type_id)


@session.writer
def disassociate(context, specs_id, type_id):
    """Let a volume type have the limits no longer.  Idempotent.

    :raises QosSpecsNotFound, VolumeTypeNotFound: there are none
    """
    _hold(context, specs_id)
    volume_types.hold(context, type_id)
    _set(context, None, _Type.id == type_id, _Type.qos_specs_id == specs_id)
    _note(context, specs_id, 'disassociate', type_id=type_id)


@session.writer
def disassociate_all(context, specs_id):
    """Let no volume type have the limits.  Idempotent.

    :raises QosSpecsNotFound: there are none
    """
    _hold(context, specs_id)
    _disassociate(context, specs_id)
    _note(context, specs_id, 'disassociate_all')


def _disassociate(context, specs_id):
    _set(context, None, _Type.qos_specs_id == specs_id)


def _set(context, specs_id, *where):
    context.session.execute(
        sa.update(_Type).where(*where).values(qos_specs_id=specs_id)
        .execution_options(synchronize_session=False))


def _hold(context, specs_id, values=None):
    """Lock the row until the transaction ends, so that changes follow one another."""
    held = context.session.execute(
        sa.update(_Specs).where(_Specs.id == specs_id)
        .values({**(values or {}), 'updated_at': timeutils.utcnow()})
        .execution_options(synchronize_session=False)).rowcount
    if not held:
        raise exceptions.QosSpecsNotFound(id=specs_id)
