"""What may be migrated where, however it is asked for: by an action of the volume or as a resource."""
# SPDX-License-Identifier: Apache-2.0

import dataclasses

from cinder_ext import exceptions
from cinder_ext.api.resources import replication_specs, type_rules
from cinder_ext.api.resources import volumes as resource
from cinder_ext.db import services, snapshots, volume_migrations, volume_types
from cinder_ext.states import volume as states

INCLUDE_SPEC = 'migration:include_snapshots'
"""Extra spec of a type that has the effect of the policy word and of the flag."""
INCLUDE_WORD = 'on-demand-include-snapshots'


@dataclasses.dataclass(frozen=True)
class Wanted:
    """A migration that the rules allow.

    ``lock``    event of the volume's status when it begins; None: it stays as it is
    ``values``  columns of the record
    """

    lock: str | None
    values: dict


def by_type(call, volume, name, policy):
    """A retype: the scheduler chooses the destination.

    :param name: name or id of the new type
    :param policy: the word of os-retype; ``never`` moves nothing
    :returns: Wanted
    :raises VolumeTypeNotFound, InvalidInput: the volume cannot have the type
    """
    new_type = volume_types.get_by_name_or_id(call.context, name, call.scope)
    if new_type.id == volume.volume_type_id:
        raise exceptions.InvalidInput(
            reason=f'volume {volume.id} has the type {new_type.name} already.')
    resource.refuse_encrypted(call, new_type)
    _refuse_multiattach(call, volume, new_type)
    type_rules.refuse_size_of(call, new_type.id, volume.size)
    type_rules.refuse_new_limits(call, volume, new_type)
    replication_specs.refuse_of_volume(
        call, new_type.name, volume_types.extra_specs(call.context, new_type.id), volume.group_id)
    return Wanted('retype-attached' if volume.status == states.IN_USE else 'retype', {
        'operation': 'retype', 'requested_policy': policy, 'destination_type_id': new_type.id,
        'include_snapshots': policy == INCLUDE_WORD or _type_includes(call, new_type.id)})


def to_host(call, volume, host, include_snapshots, lock_volume):
    """A move to a backend that is named; the volume keeps its type.

    :param host: ``host@backend#pool`` or ``host@backend``
    :returns: Wanted
    :raises InvalidInput: no such backend, or snapshots that nobody asked to take along
    """
    _refuse_destination(call, volume, host)
    include = include_snapshots or _type_includes(call, volume.volume_type_id)
    if not include and snapshots.count_of_volume(call.context, volume.id):
        raise exceptions.InvalidInput(
            reason=f'volume {volume.id} has snapshots: to move them along set '
                   'include_snapshots to true (microversion 3.73), or the extra spec '
                   f"{INCLUDE_SPEC}='<is> True' of its type.")
    return Wanted('lock' if lock_volume else None, {
        'operation': 'migrate', 'requested_policy': None, 'destination_host': host,
        'include_snapshots': include, 'lock_volume': lock_volume})


def begin(call, volume, wanted, **options):
    """Record a migration and have a destination chosen or checked.

    :param options: further columns of the record
    :returns: models.VolumeMigration
    """
    record = volume_migrations.start(call.context, volume.id, {**wanted.values, **options},
                                     wanted.lock)
    call.tell(call.rpc.scheduler.place_migration, record.id)
    return record


def _refuse_destination(call, volume, host):
    backend = host.partition('#')[0]
    if volume.host in (host, backend):
        raise exceptions.InvalidInput(reason=f'volume {volume.id} is on {host} already.')
    known = {service.host for service in services.list_all(call.context)}
    if '@' not in backend or backend not in known:
        raise exceptions.InvalidInput(reason=f'host: there is no volume service {backend}.')


def _refuse_multiattach(call, volume, new_type):
    """
    :raises InvalidInput: whether it may be attached several times would change while it is used
    :raises PolicyNotAuthorized: the caller may not have volumes that may
    """
    wanted = volume_types.is_multiattach(call.context, new_type.id)
    if wanted == volume.multiattach:
        return
    if volume.status != states.AVAILABLE:
        raise exceptions.InvalidInput(
            reason=f'the types differ in multiattach: volume {volume.id} must be available '
                   f'and is {volume.status}.')
    if wanted:
        call.authorize('volume:multiattach', volume)


def _type_includes(call, type_id):
    if type_id is None:
        return False
    return volume_types.extra_specs(call.context, type_id).get(INCLUDE_SPEC) == '<is> True'
