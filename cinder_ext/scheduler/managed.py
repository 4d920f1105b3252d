"""Places volumes that are to be managed: where they lie already, if that can have their type."""
# SPDX-License-Identifier: Apache-2.0

from oslo_log import log

from cinder_ext import exceptions
from cinder_ext.db import faults, managed, volume_types, volumes
from cinder_ext.scheduler import filters, pick, request
from cinder_ext.scheduler.volumes import log_refusals, wanted_replication
from cinder_ext.states import messages as words
from cinder_ext.states import volume as states

LOG = log.getLogger(__name__)

FILTERS = (filters.named, filters.alive, filters.replication, filters.capabilities)
"""Room is not asked for: what is managed is there already."""


class ManagedPlacer:
    """Finds the pool of the backend that was named and has the volume managed there.

    :param backends: backends.Backends
    :param volume_api: rpc.volume.VolumeAPI
    :param is_settled: callable: whether a refusal may be final
    """

    def __init__(self, backends, volume_api, is_settled):
        self._backends = backends
        self._volume_api = volume_api
        self._is_settled = is_settled

    def place(self, context, volume_id):
        """Place one recorded volume.  Harmless when it is placed or gone already."""
        try:
            volume = volumes.get(context, volume_id)
        except exceptions.VolumeNotFound:
            return
        if volume.status != states.MANAGING or volume.host is not None:
            return
        specs = volume_types.extra_specs(context, volume.volume_type_id)
        wanted = request.Request(
            size_bytes=0, named=volume.request['host'], extra_specs=specs,
            replication=wanted_replication(context, specs))
        # Asked first: a report that comes in between must not make a refusal final.
        is_settled = self._is_settled(context)
        choice = pick.pick(self._backends.pools(context), wanted, pick.Rules(FILTERS))
        if choice.pool is not None:
            if managed.place(context, volume_id, choice.pool.host):
                self._volume_api.manage_volume(context, choice.pool.host, volume_id)
        elif is_settled:
            log_refusals('volume', volume_id, choice)
            faults.record(context, states.MACHINE, volume, 'manage-failed', words.MANAGE_VOLUME,
                          words.NO_BACKEND_AVAILABLE, choice.summary)
