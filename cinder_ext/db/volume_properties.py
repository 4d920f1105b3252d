"""What else is noted of a volume: admin metadata, and properties of the image that it stands for.

Admin metadata tells consumers about the volume (``readonly``, ``attached_mode``); its owner sees
some of it and writes none.  Image properties follow a bootable volume into its snapshots and
clones.
"""
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import functools

import sqlalchemy as sa

from cinder_ext import exceptions
from cinder_ext.db import compact, group_models, group_types, models, session, volumes

READONLY = 'readonly'
ATTACHED_MODE = 'attached_mode'
VISIBLE = (READONLY, ATTACHED_MODE)
"""Keys of the admin metadata that the owner sees among the volume's metadata."""

_Admin = models.VolumeAdminMetadata
_Image = models.VolumeImageMetadata
_OfSnapshot = models.SnapshotImageMetadata


@session.reader
def admin(context, volume_id):
    """A volume's admin metadata as a dictionary."""
    return _pairs(context, _Admin, volume_id)


@session.reader
def is_readonly(context, volume_id):
    """Whether consumers may only read the volume."""
    return admin(context, volume_id).get(READONLY) == 'True'


@session.writer
def set_admin(context, volume_id, values):
    """Add or change admin metadata."""
    for key, value in values.items():
        context.session.merge(_Admin(volume_id=volume_id, key=key, value=value))
    context.session.flush()


@session.writer
def drop_admin(context, volume_id, key):
    """Remove one key of the admin metadata.  Idempotent."""
    context.session.execute(sa.delete(_Admin).where(
        _Admin.volume_id == volume_id, _Admin.key == key))


@session.reader
def image(context, volume_id):
    """A volume's image properties as a dictionary."""
    return _pairs(context, _Image, volume_id)


@session.writer
def set_image(context, volume_id, values):
    """Add or change image properties.

    :returns: all of them afterwards
    """
    volumes.update(context, volume_id, {})
    for key, value in values.items():
        context.session.merge(_Image(volume_id=volume_id, key=key, value=value))
    context.session.flush()
    return image(context, volume_id)


@session.writer
def drop_image(context, volume_id, key):
    """Remove one image property.

    :raises MetadataNotFound: there is no such key
    """
    gone = context.session.execute(sa.delete(_Image).where(
        _Image.volume_id == volume_id, _Image.key == key)).rowcount
    if not gone:
        raise exceptions.MetadataNotFound(kind='Image of volume', id=volume_id, key=key)
    volumes.update(context, volume_id, {})


@session.writer
def keep_for_snapshot(context, volume_id, snapshot_id):
    """Note a volume's image properties with a snapshot of it."""
    _copy(context, _Image.volume_id == volume_id, _OfSnapshot, 'snapshot_id', snapshot_id)


@session.writer
def take_from_snapshot(context, snapshot_id, volume_id):
    """Give a volume the image properties of the snapshot that it is made from."""
    _copy(context, _OfSnapshot.snapshot_id == snapshot_id, _Image, 'volume_id', volume_id)


@session.writer
def take_from_volume(context, source_id, volume_id):
    """Give a volume the image properties of the volume that it is made from."""
    _copy(context, _Image.volume_id == source_id, _Image, 'volume_id', volume_id)


def _copy(context, where, target, reference, owner_id):
    source = where.left.table
    for key, value in context.session.execute(
            sa.select(source.c.key, source.c.value).where(where)).all():
        context.session.add(target(**{reference: owner_id, 'key': key, 'value': value}))


def _pairs(context, model, volume_id):
    return dict(context.session.execute(
        sa.select(model.key, model.value).where(model.volume_id == volume_id)).all())


@dataclasses.dataclass(frozen=True)
class Beside:
    """What small tables say of some volumes: volume id -> dictionary; type id -> name.

    ``legacy_groups``: ids of the groups among theirs that are consistency groups.
    """

    metadata: dict = dataclasses.field(default_factory=dict)
    admin: dict = dataclasses.field(default_factory=dict)
    image: dict = dataclasses.field(default_factory=dict)
    types: dict = dataclasses.field(default_factory=dict)
    legacy_groups: set = dataclasses.field(default_factory=set)


@session.reader
def beside(context, volume_ids, type_ids, group_ids=()):
    """Metadata of all kinds of some volumes, the names of their types, and which of their groups
    are consistency groups, in one statement.
    """
    found, as_document = Beside(), compact.is_compact(context)
    wanted = {'volumes': list(volume_ids), 'types': list(set(type_ids) - {None}),
              'groups': list(set(group_ids) - {None})}
    query = _beside(as_document, bool(wanted['types']), bool(wanted['groups']))
    for kind, owner, key, value in _NOTED.rows(context.session.execute(query, wanted), as_document):
        if kind == 'types':
            found.types[owner] = key
        elif kind == 'legacy':
            found.legacy_groups.add(owner)
        else:
            getattr(found, kind).setdefault(owner, {})[key] = value
    return found


_NOTED = compact.Shape(*(sa.column(name, sa.Text()) for name in ('kind', 'owner', 'key', 'value')))


@functools.cache
def _beside(as_document, with_types, with_groups):
    """Made once: making a statement costs what its execution does."""
    parts = [_part(as_document, kind, model.__table__) for kind, model in (
        ('metadata', models.VolumeMetadata), ('admin', _Admin), ('image', _Image))]
    if with_types:
        table = models.VolumeType.__table__
        parts.append(_noted(as_document, 'types', table.c.id, table.c.name).where(
            _is_in(table.c.id, 'types')))
    if with_groups:
        parts.append(_legacy(as_document))
    return sa.union_all(*parts)


def _noted(as_document, kind, owner, key, value=None):
    value = sa.cast(sa.null(), sa.Text) if value is None else value
    shape = compact.Shape(sa.literal_column(f"'{kind}'").label('kind'), owner.label('owner'),
                          key.label('key'), value.label('value'))
    return sa.select(*shape.selected(as_document))


def _is_in(column, name):
    return column.in_(sa.bindparam(name, expanding=True))


def _part(as_document, kind, table):
    return _noted(as_document, kind, table.c.volume_id, table.c.key, table.c.value).where(
        _is_in(table.c.volume_id, 'volumes'))


def _legacy(as_document):
    group, kind = group_models.Group.__table__, group_models.GroupType.__table__
    return (_noted(as_document, 'legacy', group.c.id, kind.c.name)
            .select_from(group.join(kind, kind.c.id == group.c.group_type_id))
            .where(_is_in(group.c.id, 'groups'), kind.c.live_name == group_types.LEGACY))
