"""By which filters a project may narrow each list: built in, or from the operator's file.

Administrators have every filter that a list declares; others those of this
page.  A name that ends with ``~`` also lets a part of the value be matched.
"""
# SPDX-License-Identifier: Apache-2.0

import functools
import json

from oslo_config import cfg

DEFAULT = {
    'volume': ['name', 'status', 'metadata', 'bootable', 'migration_status', 'availability_zone',
               'group_id', 'size', 'created_at', 'updated_at', 'consumes_quota'],
    'backup': ['name', 'status', 'volume_id'],
    'snapshot': ['name', 'status', 'volume_id', 'metadata', 'availability_zone',
                 'consumes_quota'],
    'group': ['name'],
    'group_snapshot': ['name', 'status', 'group_id'],
    'attachment': ['volume_id', 'status', 'instance_id', 'attach_status'],
    'message': ['resource_uuid', 'resource_type', 'event_id', 'request_id', 'message_level'],
    'pool': ['name', 'volume_type'],
    'volume_type': ['is_public', 'extra_specs'],
    'replication': ['scope', 'protected_id', 'state', 'mode', 'target', 'over_objective'],
    'replication_operation': ['verb', 'state', 'scope', 'protected_id', 'replication_id', 'target',
                              'dry_run', 'volume_id', 'created_at', 'finished_at'],
}
"""Resource -> names, as the Block Storage API's own default file has them; the last are our own."""


def configured(conf):
    """Resource -> names of filters.

    :raises oslo_config.cfg.ConfigFileValueError: the operator's file cannot be read
    """
    path = conf.resource_query_filters_file
    return DEFAULT if path is None else _read(path)


def allows(conf, resource, name):
    """Whether a project may filter a list so.

    :param name: as in the query; ``name~`` asks for a part
    """
    names = configured(conf).get(resource, ())
    return name in names or f'{name}~' in names


@functools.lru_cache
def _read(path):
    try:
        with open(path, encoding='utf-8') as file:
            found = json.load(file)
    except (OSError, ValueError) as fault:
        raise cfg.ConfigFileValueError(f'resource_query_filters_file: {fault}') from fault
    if not isinstance(found, dict) or not all(map(_is_names, found.values())):
        raise cfg.ConfigFileValueError(
            f'resource_query_filters_file: {path} is no object of lists of names')
    return found


def _is_names(value):
    return isinstance(value, list) and all(isinstance(name, str) for name in value)
