"""Places new groups: one backend that can have volumes of every type of the group."""
# SPDX-License-Identifier: Apache-2.0

from oslo_log import log

from cinder_ext import exceptions
from cinder_ext.db import group_types, groups, volume_types
from cinder_ext.scheduler import filters, pick, replication, request, weighers
from cinder_ext.scheduler.volumes import log_refusals
from cinder_ext.states import group as states

LOG = log.getLogger(__name__)


class GroupPlacer:
    """Chooses a backend for a group and has it made there.

    :param backends: backends.Backends
    :param volume_api: rpc.volume.VolumeAPI
    :param is_settled: callable: whether a refusal may be final
    :param rules: pick.Rules
    """

    def __init__(self, backends, volume_api, is_settled, rules=pick.DEFAULT):
        self._backends = backends
        self._volume_api = volume_api
        self._is_settled = is_settled
        self._rules = rules

    def place(self, context, group_id):
        """Place one recorded group.  Harmless when it is placed or gone already."""
        try:
            group = groups.get(context, group_id)
        except exceptions.GroupNotFound:
            return
        if group.status != states.CREATING or group.host is not None:
            return
        # Asked first: a report that comes in between must not make a refusal final.
        is_settled = self._is_settled(context)
        choice = choose(self._backends.pools(context), group.availability_zone,
                        *self._wanted(context, group), self._rules)
        if choice.pool is not None:
            self._send(context, group, choice.pool)
        elif is_settled:
            log_refusals('group', group_id, choice)
            groups.refuse(context, group_id, choice.summary)

    @staticmethod
    def _wanted(context, group):
        """The group specs, and the extra specs of each volume type."""
        type_ids = groups.volume_types_of(context, [group.id])[group.id]
        specs = volume_types.extra_specs_of(context, type_ids)
        return group_types.specs(context, group.group_type_id), list(specs.values())

    def _send(self, context, group, pool):
        if groups.place(context, group.id, pool.host, pool.availability_zone):
            LOG.info('group %s goes to %s', group.id, pool.host)
            self._volume_api.create_group(context, pool.host, group.id)


def choose(pools, availability_zone, group_specs, type_specs, rules=pick.DEFAULT):
    """The best pool of a backend that fits every volume type.

    A pool must have what the group specs ask for; the pools of its backend must, between them,
    have what each volume type asks for.

    :param pools: request.Pool of every pool
    :param type_specs: a list of extra specs, one dictionary per volume type
    :param rules: pick.Rules
    :returns: pick.Choice; its pool fits the first volume type
    """
    asked = request.Request(size_bytes=0, extra_specs=group_specs,
                            replication=replication.wanted(None, group_specs))
    refusals = {}
    fits = [{} for _specs in type_specs]
    for pool in pools:
        for number, specs in enumerate(type_specs):
            wanted = _of_type(availability_zone, specs, group_specs)
            reason = (pick.refusal(pool, wanted, rules.filters)
                      or pick.refusal(pool, asked, (filters.capabilities, filters.replication)))
            if reason is None:
                fits[number].setdefault(pool.backend, []).append(pool)
            else:
                refusals.setdefault(pool.host, reason)
    common = set.intersection(*(set(found) for found in fits)) if fits else set()
    possible = [pool for backend in sorted(common)
                for pool in sorted(fits[0][backend], key=lambda each: each.host)]
    for pool in pools:
        if pool.backend not in common:
            refusals.setdefault(pool.host, 'its backend does not fit every volume type of the group')
    first = _of_type(availability_zone, type_specs[0] if type_specs else {}, group_specs)
    return pick.Choice(weighers.best(possible, first, rules.weighers), refusals)


def _of_type(availability_zone, extra_specs, group_specs):
    """A request for a volume of a type, whatever its size: formulas see it as 0 GiB."""
    return request.Request(size_bytes=0, extra_specs=extra_specs,
                           availability_zone=availability_zone, volume={'size': 0},
                           replication=replication.wanted(extra_specs, group_specs))
