"""Looks up what the scheduler hints of a request name."""
# SPDX-License-Identifier: Apache-2.0

import uuid

from oslo_utils import uuidutils

from cinder_ext import exceptions
from cinder_ext.db import placement
from cinder_ext.scheduler import queries, request

MOST_VOLUMES = 100
"""That one hint names."""


def looked_up(context, volume, place_of=None):
    """The hints that a volume was asked for with: request.Hints.

    Volumes and servers of other projects are as if they were not there.

    :param volume: models.Volume
    :param place_of: compute.Compute.place_of; None when nobody asks for ``local_to_instance``
    """
    hints = (volume.request or {}).get('scheduler_hints') or {}
    faults = {}
    ids = {name: _ids(hints.get(name), name, faults) for name in ('same_host', 'different_host')}
    where = placement.hosts_of(context, {each for found in ids.values() for each in found},
                               volume.project_id)
    found = {name: frozenset(where[each] for each in ids[name] if each in where) for name in ids}
    beside = None
    if place_of is not None and hints.get('local_to_instance'):
        beside = _server_host(context, volume, hints['local_to_instance'], place_of, faults)
    return request.Hints(
        together=found['same_host'] if ids['same_host'] else None,
        apart=found['different_host'], query=_query(hints.get('query'), faults), beside=beside,
        faults=faults)


def _ids(hint, name, faults):
    """The volumes of a hint, one id or a list of them."""
    if not hint:
        return []
    ids = hint if isinstance(hint, list) else [hint]
    if len(ids) > MOST_VOLUMES:
        faults[name] = f'it names more than {MOST_VOLUMES} volumes'
    elif not all(isinstance(each, str) and uuidutils.is_uuid_like(each) for each in ids):
        faults[name] = 'it names something that is no volume id'
    return [] if name in faults else [str(uuid.UUID(each)) for each in ids]


def _query(hint, faults):
    if not hint:
        return None
    try:
        return queries.read(hint)
    except queries.QueryError as fault:
        faults['query'] = str(fault)
        return None


def _server_host(context, volume, server_id, place_of, faults):
    """The host of a server of the volume's project."""
    name = 'local_to_instance'
    if not isinstance(server_id, str) or not uuidutils.is_uuid_like(server_id):
        faults[name] = 'it names no server'
        return None
    try:
        found = place_of(context, server_id)
    except exceptions.ServiceUnavailable:
        faults[name] = 'the compute service did not say where the server is'
        return None
    host, project_id = found or (None, None)
    if host is None or project_id != volume.project_id:
        faults[name] = 'there is no such server'
        return None
    return host
