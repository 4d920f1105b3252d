"""What a consumer is told besides the driver's own data: its limits, its mode, how it may cache."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext.db import qos_specs, volume_properties, volume_types

FRONT_END = ('front-end', 'both')
"""Consumers of QoS specs that are enforced by who attaches the volume."""

PER_GIB = ('read_iops_sec', 'read_bytes_sec', 'write_iops_sec', 'write_bytes_sec',
           'total_iops_sec', 'total_bytes_sec')
"""Limits that may be given per GiB: ``*_per_gb``, with ``*_per_gb_min`` and ``*_max``."""


def of(context, volume, attachment, found):
    """connection_info as consumers read it: the driver's data, flat, and what the type adds.

    :param volume: models.Volume
    :param attachment: models.Attachment
    :param found: the driver's connection (drivers.values)
    """
    data = dict(found.data)
    if attachment.attach_mode == 'ro' or 'access_mode' not in data:
        data['access_mode'] = attachment.attach_mode or 'rw'
    return {'encrypted': bool(volume.encryption_key_id), **data,
            **_of_type(context, volume, data.get('cacheable', True)),
            'enforce_multipath': bool((attachment.connector or {}).get('enforce_multipath')),
            'driver_volume_type': found.driver_volume_type, 'attachment_id': attachment.id}


def as_asked(context, volume, found, noted, connector):
    """connection_info as os-initialize_connection answers it: the driver's data stay apart.

    :param noted: the volume's admin metadata
    """
    readonly = noted.get(volume_properties.READONLY) == 'True'
    mode = noted.get(volume_properties.ATTACHED_MODE) or ('ro' if readonly else 'rw')
    multipath = bool(connector.get('enforce_multipath'))
    data = {'encrypted': bool(volume.encryption_key_id), **found.data,
            **_of_type(context, volume, found.data.get('cacheable', True)),
            'access_mode': mode, 'enforce_multipath': multipath}
    return {'driver_volume_type': found.driver_volume_type, 'data': data,
            'enforce_multipath': multipath}


def _of_type(context, volume, driver_allows_caching):
    if volume.volume_type_id is None:
        return {'qos_specs': None}
    specs = volume_types.extra_specs(context, volume.volume_type_id)
    consumer, limits = qos_specs.of_type(context, volume.volume_type_id) or (None, {})
    return {'qos_specs': limits_of(limits, volume.size) if consumer in FRONT_END else None,
            'cacheable': bool(driver_allows_caching) and specs.get('cacheable') == '<is> True'}


def limits_of(values, size_gib):
    """Limits of a volume of some size: those per GiB become absolute.

    A limit per GiB that is no number is left as it is: the consumer refuses it.
    """
    found = dict(values)
    for name in PER_GIB:
        per_gib = _number(found.get(f'{name}_per_gb'))
        if per_gib is None:
            continue
        least = _number(found.pop(f'{name}_per_gb_min', None)) or 0
        limit = max(least, per_gib * size_gib)
        most = _number(found.pop(f'{name}_max', None))
        del found[f'{name}_per_gb']
        found[name] = str(limit if most is None else min(limit, most))
    return found


def _number(text):
    return int(text) if text is not None and text.isascii() and text.isdecimal() else None
