"""What a volume's type demands of the volume: its size, and how it may get another type."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext import exceptions
from cinder_ext.db import qos_specs, volume_types
from cinder_ext.states import volume as states


def refuse_size(specs, size_gib):
    """
    :param specs: extra specs of the volume type
    :raises InvalidInput: its volumes must be larger or smaller
    """
    least, most = volume_types.size_limits(specs)
    if least is not None and size_gib < least:
        raise exceptions.InvalidInput(
            reason=f'volumes of this type have at least {least} GiB, not {size_gib}.')
    if most is not None and size_gib > most:
        raise exceptions.InvalidInput(
            reason=f'volumes of this type have at most {most} GiB, not {size_gib}.')


def refuse_size_of(call, type_id, size_gib):
    """As refuse_size, by the type's id; None for no type."""
    if type_id is not None:
        refuse_size(volume_types.extra_specs(call.context, type_id), size_gib)


def refuse_new_limits(call, volume, new_type):
    """
    :param volume: models.Volume that is to have new_type, models.VolumeType
    :raises InvalidInput: it is in use, and who uses it enforces limits that would change
    """
    if volume.status != states.IN_USE:
        return
    old_id = (volume_types.get(call.context, volume.volume_type_id).qos_specs_id
              if volume.volume_type_id else None)
    if old_id == new_type.qos_specs_id:
        return
    for type_id in filter(None, (volume.volume_type_id, new_type.id)):
        consumer, _limits = qos_specs.of_type(call.context, type_id) or ('back-end', {})
        if consumer != 'back-end':
            raise exceptions.InvalidInput(
                reason=f'volume {volume.id} is in use: its front-end QoS specs cannot change.')
