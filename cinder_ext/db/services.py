"""Services: who runs where, and who is alive."""
# SPDX-License-Identifier: Apache-2.0

import datetime
import functools

import sqlalchemy as sa
from oslo_db import exception as oslo_db_exception
from oslo_utils import timeutils

from cinder_ext import exceptions
from cinder_ext.db import models, session

VOLUME_BINARY = 'cinder-volume'
"""The binary of a volume service's row, as clients of the Block Storage API know it."""

_Service = models.Service


def heartbeat(context, binary, host, topic, availability_zone):
    """Record that a service is alive; its row is made the first time.

    Idempotent; safe when two processes make the row at once.

    :param host: ``host``, or ``host@backend`` for a volume service
    :returns: models.Service
    """
    try:
        return _beat(context, binary, host, topic, availability_zone)
    except oslo_db_exception.DBDuplicateEntry:
        return _beat(context, binary, host, topic, availability_zone)


@session.writer
def _beat(context, binary, host, topic, availability_zone):
    changed = context.session.execute(
        sa.update(_Service).where(_Service.binary == binary, _Service.host == host)
        .values(updated_at=timeutils.utcnow(), report_count=_Service.report_count + 1,
                topic=topic, availability_zone=availability_zone)
        .execution_options(synchronize_session=False)).rowcount
    if not changed:
        context.session.add(_Service(
            binary=binary, host=host, topic=topic, availability_zone=availability_zone,
            report_count=1, updated_at=timeutils.utcnow()))
        context.session.flush()
    return _one(context, binary, host)


@session.reader
def get(context, binary, host):
    """One service.

    :raises ServiceNotFound: there is none
    """
    return _one(context, binary, host)


def _one(context, binary, host):
    found = context.session.execute(
        sa.select(_Service).where(_Service.binary == binary, _Service.host == host)
        .execution_options(populate_existing=True)).scalar_one_or_none()
    if found is None:
        raise exceptions.ServiceNotFound(binary=binary, host=host)
    return found


@session.reader
def list_all(context, binary=None, host=None):
    """Services, by binary and host.

    :param host: matches ``host`` itself and every ``host@backend`` of it
    """
    query = sa.select(_Service).order_by(_Service.binary, _Service.host)
    if binary is not None:
        query = query.where(_Service.binary == binary)
    if host is not None:
        query = query.where(sa.or_(_Service.host == host,
                                   _Service.host.startswith(host + '@', autoescape=True)))
    return list(context.session.execute(query).scalars())


@session.reader
def of_backends(context):
    """What decides whether something may be placed at a backend: ``host@backend`` -> row.

    Rows have host, created_at, updated_at, disabled, frozen and replication_status.
    """
    return {row.host: row for row in context.session.execute(_of_backends())}


@functools.cache
def _of_backends():
    """Made once: each new volume is placed by what it finds."""
    return sa.select(_Service.host, _Service.created_at, _Service.updated_at, _Service.disabled,
                     _Service.frozen, _Service.replication_status).where(
                         _Service.binary == VOLUME_BINARY)


@session.writer
def set_disabled(context, binary, host, disabled, reason=None):
    """Let the scheduler use or leave a service; enabling it forgets the reason.

    :returns: models.Service
    :raises ServiceNotFound: there is none
    """
    service = _one(context, binary, host)
    # updated_at is the heartbeat: changing it would make a dead service look alive.
    context.session.execute(
        sa.update(_Service).where(_Service.id == service.id)
        .values(disabled=disabled, disabled_reason=reason if disabled else None,
                updated_at=_Service.updated_at)
        .execution_options(synchronize_session=False))
    return _one(context, binary, host)


@session.writer
def set_frozen(context, host, frozen):
    """Freeze or thaw a backend.  A frozen one is disabled too; thawing enables it.

    :param host: ``host@backend``, or a host that has one backend only
    :returns: models.Service
    :raises InvalidInput: no such backend, more than one, or it is so already
    """
    service = one_backend(context, host)
    reason = 'frozen' if frozen else None
    changed = context.session.execute(
        sa.update(_Service).where(_Service.id == service.id, _Service.frozen.is_(not frozen))
        .values(frozen=frozen, disabled=frozen, disabled_reason=reason,
                updated_at=_Service.updated_at)
        .execution_options(synchronize_session=False)).rowcount
    if not changed:
        raise exceptions.InvalidInput(
            reason=f"backend {service.host} is {'' if frozen else 'not '}frozen.")
    return _one(context, service.binary, service.host)


@session.reader
def one_backend(context, host):
    """The volume service that a host names.

    :param host: ``host@backend``, or a host that has one backend only
    :returns: models.Service
    :raises InvalidInput: no such backend, or more than one
    """
    found = list_all(context, VOLUME_BINARY, host)
    if len(found) != 1:
        raise exceptions.InvalidInput(
            reason=f"{'more than one' if found else 'no'} volume service found with host={host}.")
    return found[0]


@session.reader
def active_backend(context, host):
    """The replication target that a backend was failed over to; None: it was not.

    :param host: ``host@backend``
    """
    return context.session.execute(
        sa.select(_Service.active_backend_id)
        .where(_Service.binary == VOLUME_BINARY, _Service.host == host)).scalar()


@session.reader
def is_alive(context, host, down_seconds):
    """Whether a volume service gives signs of life; one that nobody has heard of does not.

    :param host: ``host@backend``
    """
    service = context.session.execute(
        sa.select(_Service.created_at, _Service.updated_at)
        .where(_Service.binary == VOLUME_BINARY, _Service.host == host)).first()
    return service is not None and is_up(service, down_seconds)


@session.reader
def refuse_frozen(context, host):
    """Refuse to change what a frozen backend has.

    :param host: of a volume, or None
    :raises InvalidInput: the backend is frozen
    """
    backend = (host or '').partition('#')[0]
    frozen = context.session.execute(
        sa.select(_Service.id)
        .where(_Service.binary == VOLUME_BINARY, _Service.host == backend, _Service.frozen)).first()
    if frozen is not None:
        raise exceptions.InvalidInput(
            reason='Modification operations are not allowed on frozen storage backends.')


@session.writer
def remove(context, binary, host):
    """Forget a service that is gone for good.

    :raises ServiceNotFound: there is none
    """
    context.session.delete(_one(context, binary, host))


@session.reader
def zones(context, binary):
    """Availability zones of the services of a binary: name -> whether one of them is enabled."""
    found = {}
    for name, disabled in context.session.execute(
            sa.select(_Service.availability_zone, _Service.disabled)
            .where(_Service.binary == binary, _Service.availability_zone.is_not(None))
            .distinct().order_by(_Service.availability_zone)):
        found[name] = found.get(name, False) or not disabled
    return found


def is_up(service, down_seconds, now=None):
    """Whether its last heartbeat is at most ``down_seconds`` old."""
    now = now or timeutils.utcnow()
    last = service.updated_at or service.created_at
    return abs(now - last) <= datetime.timedelta(seconds=down_seconds)
