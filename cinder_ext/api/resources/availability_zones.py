"""Availability zones (os-availability-zone), and in which of them a new volume is."""
# SPDX-License-Identifier: Apache-2.0

from oslo_log import log

from cinder_ext import exceptions
from cinder_ext.api import rules
from cinder_ext.api.operation import Operation
from cinder_ext.api.resources.volume_types import ZONES
from cinder_ext.db import services

LOG = log.getLogger(__name__)

POLICY = 'volume:availability_zone_list'
BINARY = 'cinder-volume'

POLICIES = (
    rules.rule(POLICY, rules.ANYBODY, 'List the availability zones.', 'GET /os-availability-zone'),
)

# handlers


def index(call):
    """List the availability zones of the volume services, and whether one in each is enabled."""
    return {'availabilityZoneInfo': [
        {'zoneName': name, 'zoneState': {'available': available}}
        for name, available in services.zones(call.context, BINARY).items()]}


def chosen(call, wanted, specs, of_source):
    """The availability zone of a new volume; None lets the scheduler choose among its type's.

    :param wanted: zone that was asked for, or None
    :param specs: extra specs of its volume type
    :param of_source: zone of the volume that it is made from, directly or by a snapshot, or None
    :raises InvalidInput: a zone that is not known, that the type does not allow, or not the
        source's where clones stay in its zone
    """
    allowed = _allowed(call, specs)
    conf = call.conf
    zone = wanted or of_source
    if zone is None and ZONES not in specs:
        zone = _default(conf)
    if zone is None and len(allowed) == 1:
        return next(iter(allowed))
    if zone is not None and zone not in allowed:
        if not conf.allow_availability_zone_fallback:
            raise exceptions.InvalidInput(reason=f"Availability zone '{zone}' is invalid.")
        LOG.warning('availability zone %s is not known, the volume goes to %s', zone,
                    _default(conf))
        zone = _default(conf)
    if None not in (zone, of_source) and zone != of_source and conf.cloned_volume_same_az:
        raise exceptions.InvalidInput(
            reason=f'a volume must be in the availability zone of its source, {of_source}.')
    return zone


def _default(conf):
    return conf.default_availability_zone or conf.availability_zone


def _allowed(call, specs):
    known = {*services.zones(call.context, BINARY), call.conf.availability_zone}
    if ZONES not in specs:
        return known
    named = [zone.strip() for zone in (specs[ZONES] or '').split(',')]
    if known.isdisjoint(named):
        raise exceptions.InvalidInput(
            reason=f'Availability zones {named} of the volume type are not known.')
    return known.intersection(named)


# OPERATIONS

LIST = Operation('availability_zones.list', policy=POLICY, handler=index)
