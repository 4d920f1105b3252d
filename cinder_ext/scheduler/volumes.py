"""Places new volumes."""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import functools

from oslo_log import log

from cinder_ext import exceptions
from cinder_ext.db import (
    group_types,
    groups,
    models,
    placement,
    qos_specs,
    replications,
    session,
    volume_types,
)
from cinder_ext.scheduler import filters, hints, pick, replication, request

LOG = log.getLogger(__name__)

GIB = 1024 ** 3
CLAIMED = 'something there is replicated in a way that excludes it'
"""What a user is told when a claim was found after a pool was chosen."""
_COLUMNS = tuple(column.key for column in models.Volume.__table__.columns)


class VolumePlacer:
    """Chooses a backend for a volume and has it made there.

    :param backends: backends.Backends
    :param volume_api: rpc.volume.VolumeAPI
    :param is_settled: callable: whether a refusal may be final
    :param rules: pick.Rules
    :param place_of: compute.Compute.place_of; asked only if the rules want it
    """

    def __init__(self, backends, volume_api, is_settled, rules=pick.DEFAULT, place_of=None):
        self._backends = backends
        self._volume_api = volume_api
        self._is_settled = is_settled
        self._rules = rules
        self._place_of = place_of if filters.instance_locality in rules.filters else None

    def place(self, context, volume_id):
        """Place one recorded volume.  Harmless when it is placed or gone already."""
        with contextlib.ExitStack() as transaction:
            if self._place_of is None:
                # Else the compute service may be asked in between.
                transaction.enter_context(session.reading(context))
            decide = self._decision(context, volume_id)
        if decide is not None:
            decide()

    def _decision(self, context, volume_id):
        """What is to be done for a volume, as a callable; None for nothing."""
        volume = placement.waiting_volume(context, volume_id)
        if volume is None:
            return None
        places = hints.looked_up(context, volume, self._place_of)
        try:
            with session.reading(context):
                wanted = self._request(context, volume, places)
                # Asked first: a report that comes in between must not make a refusal final.
                is_settled = self._is_settled(context)
                pools = self._backends.pools(context)
        except exceptions.NotFound as fault:
            return functools.partial(placement.refuse_volume, context, volume_id, fault.message)
        return functools.partial(self._choose, context, volume, wanted, pools, is_settled)

    def _choose(self, context, volume, wanted, pools, is_settled):
        choice = pick.pick(pools, wanted, self._rules)
        while choice.pool is not None:
            log_passed_over('volume', volume.id, choice)
            try:
                self._send(context, volume, choice.pool, wanted.replication)
                return
            except exceptions.ReplicationConflict as fault:
                LOG.info('volume %s is not placed: %s', volume.id, fault.message)
                pools = [pool for pool in pools if pool.host != choice.pool.host]
                last = choice.pool.host
                choice = pick.pick(pools, wanted, self._rules)
                choice.refusals[last] = CLAIMED
        if is_settled:
            log_refusals('volume', volume.id, choice)
            placement.refuse_volume(context, volume.id, choice.summary)

    def _request(self, context, volume, places):
        """What is looked for: request.Request."""
        specs = volume_types.extra_specs(context, volume.volume_type_id)
        return request.Request(
            size_bytes=volume.size * GIB, extra_specs=specs,
            availability_zone=volume.availability_zone,
            named=placement.source_host(context, volume),
            tried=frozenset(placement.tried_hosts(volume)),
            hints=places, volume=properties(volume),
            qos=qos(context, volume.volume_type_id),
            replication=wanted_replication(context, specs, volume.group_id))

    def _send(self, context, volume, pool, wanted):
        zone = pool.availability_zone if volume.availability_zone is None else None
        if not placement.place_volume(context, volume.id, pool.host, zone,
                                      _own_replication(pool, wanted)):
            return
        self._backends.consume(pool, volume.size * GIB)
        LOG.info('volume %s goes to %s', volume.id, pool.host)
        self._volume_api.create_volume(context, pool.host, volume.id)


def _own_replication(pool, wanted):
    """What a volume is replicated with by itself, where it is placed: replications.Wanted or None."""
    if wanted is None or wanted.scope != 'volume':
        return None
    target = replication.chosen(pool, wanted)
    return replications.Wanted(wanted.policy, target['backend_id'],
                               {'cross_os': bool(target.get('cross_os'))})


def qos(context, type_id):
    """The quality of service of a volume type, for formulas."""
    _consumer, limits = qos_specs.of_type(context, type_id) or (None, {})
    return limits


def wanted_replication(context, type_specs, group_id=None):
    """What a volume's type and group ask for: replication.Wanted, or None.

    :raises GroupNotFound: the group is gone
    """
    group_specs = None
    if group_id is not None:
        group_specs = group_types.specs(context, groups.get(context, group_id).group_type_id)
    return replication.wanted(type_specs, group_specs, group_id)


def properties(volume):
    """What formulas may ask of a volume: its columns, and the names of the first API."""
    return {**{name: getattr(volume, name) for name in _COLUMNS}, 'display_name': volume.name,
            'display_description': volume.description}


def log_passed_over(kind, identity, choice):
    """Say for each pool that was refused, although another one was found, why."""
    for host, reason in choice.refusals.items():
        LOG.debug('%s %s is not placed on %s: %s', kind, identity, host, reason)


def log_refusals(kind, identity, choice):
    """Say for each pool why it was refused."""
    if not choice.refusals:
        LOG.error('%s %s cannot be placed: no backend has reported', kind, identity)
    for host, reason in choice.refusals.items():
        LOG.error('%s %s cannot be placed on %s: %s', kind, identity, host, reason)
