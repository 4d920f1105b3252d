"""Who protects what: claims, which decide every race between two scopes.

A volume is protected by one scope: by itself, or by its group, pool or backend.  Whoever begins
to protect something first locks the row of its backend, looks for what contradicts it, and
stores its claim, all in one transaction; volumes, groups and pools are of one backend, so that
of two contradicting ones the second always finds the first.  Creating a volume that is not
replicated takes no lock.
"""
# SPDX-License-Identifier: Apache-2.0

import sqlalchemy as sa

from cinder_ext import exceptions
from cinder_ext.db import group_models, models, quotas, replication_models, session

_Claim = replication_models.ReplicationClaim
_Replication = replication_models.Replication
_Volume = models.Volume

VOLUME, CONTAINER = 'volume', 'container'
GROUP, POOL, BACKEND = 'group', 'pool', 'backend'


def backend_of(host):
    """``host@backend`` of a host, with or without a pool; '' of None."""
    return (host or '').partition('#')[0]


def is_of(scope, protected_id):
    """The condition on volumes that are protected with a thing, deleted ones too."""
    if scope == VOLUME:
        return _Volume.id == protected_id
    if scope == GROUP:
        return _Volume.group_id == protected_id
    if scope == POOL:
        return _Volume.host == protected_id
    return _is_on(_Volume.host, protected_id)


def _is_on(host, backend):
    """LIKE does not tell cases apart everywhere; it uses the index."""
    start = f'{backend}#'
    return sa.and_(host.startswith(start, autoescape=True),
                   sa.func.substr(host, 1, len(start)) == start)


@session.writer
def lock(context, host):
    """Keep other claims on a backend waiting until this transaction ends.

    :param host: of the backend, or of a pool of it
    """
    _put(context, CONTAINER, f'{BACKEND}:{backend_of(host)}')


def _put(context, kind, key, **values):
    quotas.put(context, _Claim, {'kind': kind, 'key': key}, **values)


@session.writer
def claim(context, scope, protected_id, host, group_id=None):
    """Protect something from now on, unless what it has, or is in, is protected otherwise.

    Idempotent.

    :param host: where it is
    :param group_id: of a volume: the group that it is in
    :raises ReplicationConflict: names both sides; nothing was claimed
    """
    lock(context, host)
    refuse_others(context, scope, protected_id, host, group_id)
    kind, key = ((VOLUME, protected_id) if scope == VOLUME
                 else (CONTAINER, f'{scope}:{protected_id}'))
    _put(context, kind, key, scope=scope, protected_id=protected_id)


@session.writer
def release(context, scope, protected_id):
    """Nobody protects it any more.  Idempotent."""
    own = (_Claim.scope == scope, _Claim.protected_id == protected_id)
    context.session.execute(sa.delete(_Claim).where(_Claim.kind == VOLUME, *own)
                            .execution_options(synchronize_session=False))
    context.session.execute(sa.update(_Claim).where(_Claim.kind == CONTAINER, *own)
                            .values(scope=None, protected_id=None)
                            .execution_options(synchronize_session=False))


@session.reader
def refuse_others(context, scope, protected_id, host, group_id=None):
    """Look for a claim that contradicts one; the backend is locked where it has to stay true.

    :raises ReplicationConflict: there is one
    """
    found = contradicting(context, scope, protected_id, host, group_id)
    if found is None:
        return
    kind, key, other_scope, other_id = found
    what = f'volume {key}' if kind == VOLUME else ' '.join(key.split(':', 1))
    raise exceptions.ReplicationConflict(
        kind=scope.capitalize(), id=protected_id, action=f'replicated with scope {scope}',
        reason=f'{what} is replicated with scope {other_scope}', scope=other_scope,
        protected_id=other_id, replication_id=id_of(context, other_scope, other_id))


@session.reader
def contradicting(context, scope, protected_id, host, group_id=None):
    """A claim that contradicts one: (kind, key, scope, protected_id); None when there is none."""
    rows = context.session.execute(
        sa.select(_Claim.kind, _Claim.key, _Claim.scope, _Claim.protected_id)
        .where(_Claim.scope.is_not(None),
               sa.or_(_Claim.scope != scope, _Claim.protected_id != protected_id),
               sa.or_(_containers(scope, protected_id, host, group_id),
                      _volumes(scope, protected_id)))
        .order_by(_Claim.kind, _Claim.key).limit(1))
    return rows.first()


def _volumes(scope, protected_id):
    ids = ([protected_id] if scope == VOLUME
           else sa.select(_Volume.id).where(is_of(scope, protected_id),
                                            _Volume.deleted_at.is_(None)))
    return sa.and_(_Claim.kind == VOLUME, _Claim.key.in_(ids))


def _containers(scope, protected_id, host, group_id):
    """What it is in, and what is in it."""
    backend = backend_of(host)
    keys = [f'{BACKEND}:{backend}', f'{scope}:{protected_id}']
    inner = []
    if scope == VOLUME:
        keys += [f'{POOL}:{host}', *([f'{GROUP}:{group_id}'] if group_id else [])]
    elif scope == GROUP:
        inner.append(_Claim.key.in_(_prefixed(POOL, _Volume.host, is_of(scope, protected_id))))
    else:
        group = group_models.Group
        where = group.host == protected_id if scope == POOL else _is_on(group.host, backend)
        inner.append(_Claim.key.in_(_prefixed(GROUP, _Volume.group_id,
                                              is_of(scope, protected_id))))
        inner.append(_Claim.key.in_(
            sa.select(sa.literal(f'{GROUP}:').concat(group.id))
            .where(where, group.deleted_at.is_(None))))
    if scope == BACKEND:
        inner.append(_is_on(_Claim.key, f'{POOL}:{backend}'))
    return sa.and_(_Claim.kind == CONTAINER, sa.or_(_Claim.key.in_(keys), *inner))


def _prefixed(word, column, condition):
    return sa.select(sa.literal(f'{word}:').concat(column)).where(
        condition, column.is_not(None), _Volume.deleted_at.is_(None))


@session.reader
def of_container(context, scope, key):
    """Whether a container is claimed: (scope, protected_id), or None.

    :param scope: group, pool or backend
    """
    row = context.session.execute(
        sa.select(_Claim.scope, _Claim.protected_id)
        .where(_Claim.kind == CONTAINER, _Claim.key == f'{scope}:{key}',
               _Claim.scope.is_not(None))).first()
    return tuple(row) if row is not None else None


@session.reader
def of_hosts(context, hosts=None):
    """What pools and backends are claimed as wholes: ``host`` -> scope; one statement.

    For the scheduler: no volume with a replication of its own goes there.
    """
    rows = context.session.execute(
        sa.select(_Claim.protected_id, _Claim.scope)
        .where(_Claim.kind == CONTAINER, _Claim.scope.in_((POOL, BACKEND))))
    return {host: scope for host, scope in rows if hosts is None or host in hosts}


@session.writer
def refuse_joining(context, volume_id, group):
    """A volume comes into a group: both must not be protected by scopes of their own.

    :param group: group_models.Group, whose row is held
    :raises ReplicationConflict: names both sides

    A group that is not protected costs one statement.
    """
    if of_container(context, GROUP, group.id) is None:
        return
    lock(context, group.host)
    row = context.session.execute(
        sa.select(_Claim.scope, _Claim.protected_id)
        .where(_Claim.kind == VOLUME, _Claim.key == volume_id, _Claim.scope.is_not(None))).first()
    if row is not None and of_container(context, GROUP, group.id) is not None:
        raise exceptions.ReplicationConflict(
            kind='Volume', id=volume_id, action=f'added to group {group.id}',
            reason='the group is replicated as a whole, and the volume by itself',
            scope=row.scope, protected_id=row.protected_id,
            replication_id=id_of(context, row.scope, row.protected_id))


@session.reader
def id_of(context, scope, protected_id):
    """The oldest living replication of a thing: its id; None when there is none."""
    return context.session.execute(
        sa.select(_Replication.id)
        .where(_Replication.scope == scope, _Replication.protected_id == protected_id,
               _Replication.deleted_at.is_(None))
        .order_by(_Replication.created_at, _Replication.id).limit(1)).scalar()
