"""THE page: every path, its methods, and the operation behind each.

A path is found with and without a project id after ``/v3``, at every
microversion.  What counts as a project id: hexadecimal digits and dashes.  An
entry that is a dictionary holds actions: the only key of the body chooses.
The library Routes compares the paths in the order of this page: a word stands
before a variable in its place.
"""
# SPDX-License-Identifier: Apache-2.0

import dataclasses

import routes

from cinder_ext.api.resources import (
    attachments,
    availability_zones,
    capabilities,
    cgsnapshots,
    clusters,
    consistency_groups,
    default_types,
    extensions,
    group_replication,
    group_snapshots,
    group_types,
    groups,
    hosts,
    limits,
    manageable_snapshots,
    manageable_volumes,
    messages,
    qos_specs,
    quota_class_sets,
    quota_sets,
    replicas,
    replication_operations,
    replications,
    resource_filters,
    scheduler_stats,
    services,
    snapshot_metadata,
    snapshots,
    type_access,
    type_encryption,
    types_extra_specs,
    versions,
    volume_actions,
    volume_attach_actions,
    volume_encryption,
    volume_image_metadata,
    volume_metadata,
    volume_migrations,
    volume_transfers,
    volume_types,
    volumes,
    workers,
)

RESOURCES = (
    versions,
    extensions,
    volumes,
    volume_metadata,
    volume_actions,
    volume_attach_actions,
    volume_image_metadata,
    volume_encryption,
    volume_migrations,
    replicas,
    replications,
    replication_operations,
    snapshots,
    snapshot_metadata,
    volume_types,
    types_extra_specs,
    type_access,
    type_encryption,
    default_types,
    qos_specs,
    availability_zones,
    resource_filters,
    attachments,
    group_types,
    groups,
    group_snapshots,
    consistency_groups,
    cgsnapshots,
    messages,
    services,
    scheduler_stats,
    quota_sets,
    quota_class_sets,
    limits,
    volume_transfers,
    capabilities,
    hosts,
    clusters,
    workers,
    manageable_volumes,
    manageable_snapshots,
)

UNVERSIONED = {
    '/': {'GET': versions.CHOICES},
    '/v3': {'GET': versions.SHOW},
    '/v3/': {'GET': versions.SHOW},
}
HEALTH = '/healthcheck'
OPEN = frozenset(UNVERSIONED) | {''}
"""Paths that need no token, besides HEALTH."""

ROUTES = {
    '/volumes': {'GET': volumes.LIST, 'POST': volumes.CREATE},
    '/volumes/detail': {'GET': volumes.LIST_DETAIL},
    '/volumes/summary': {'GET': volumes.SUMMARY},
    '/volumes/import-replica': {'POST': replicas.IMPORT_ONE},
    '/volumes/{volume_id}': {'GET': volumes.SHOW, 'PUT': volumes.UPDATE,
                             'DELETE': volumes.DELETE},
    '/volumes/{volume_id}/action': {'POST': {
        **volume_actions.ACTIONS,
        **volume_attach_actions.ACTIONS,
        **volume_image_metadata.ACTIONS,
        **manageable_volumes.ACTIONS,
    }},
    '/volumes/{volume_id}/export-replica': {'POST': replicas.EXPORT_ONE},
    '/volumes/{volume_id}/encryption': {'GET': volume_encryption.LIST},
    '/volumes/{volume_id}/encryption/{key}': {'GET': volume_encryption.SHOW},
    '/volumes/{volume_id}/metadata': {'GET': volume_metadata.LIST,
                                      'POST': volume_metadata.MERGE,
                                      'PUT': volume_metadata.REPLACE},
    '/volumes/{volume_id}/metadata/{key}': {'GET': volume_metadata.SHOW,
                                            'PUT': volume_metadata.SET,
                                            'DELETE': volume_metadata.DELETE},
    '/volume-migrations': {'GET': volume_migrations.LIST, 'POST': volume_migrations.START},
    '/volume-migrations/{migration_id}': {'GET': volume_migrations.SHOW,
                                          'PUT': volume_migrations.UPDATE_ONE},
    '/volume-migrations/{migration_id}/action': {'POST': volume_migrations.ACTIONS},
    '/replications': {'GET': replications.LIST, 'POST': replications.CREATE},
    '/replications/failover': {'POST': replications.FAILOVER_ANY},
    '/replications/{replication_id}': {'GET': replications.SHOW, 'DELETE': replications.DELETE},
    '/replications/{replication_id}/action': {'POST': replications.ACTIONS},
    '/replication-operations': {'GET': replication_operations.LIST},
    '/replication-operations/{operation_id}': {'GET': replication_operations.SHOW},
    '/snapshots': {'GET': snapshots.LIST, 'POST': snapshots.CREATE},
    '/snapshots/detail': {'GET': snapshots.LIST_DETAIL},
    '/snapshots/{snapshot_id}': {'GET': snapshots.SHOW, 'PUT': snapshots.UPDATE,
                                 'DELETE': snapshots.DELETE},
    '/snapshots/{snapshot_id}/action': {
        'POST': {**snapshots.ACTIONS, **manageable_snapshots.ACTIONS}},
    '/snapshots/{snapshot_id}/metadata': {'GET': snapshot_metadata.LIST,
                                          'POST': snapshot_metadata.MERGE,
                                          'PUT': snapshot_metadata.REPLACE},
    '/snapshots/{snapshot_id}/metadata/{key}': {'GET': snapshot_metadata.SHOW,
                                                'PUT': snapshot_metadata.SET,
                                                'DELETE': snapshot_metadata.DELETE},
    '/types': {'GET': volume_types.LIST, 'POST': volume_types.CREATE},
    '/types/{type_id}': {'GET': volume_types.SHOW, 'PUT': volume_types.UPDATE,
                         'DELETE': volume_types.DELETE},
    '/types/{type_id}/extra_specs': {'GET': types_extra_specs.LIST,
                                     'POST': types_extra_specs.MERGE},
    '/types/{type_id}/extra_specs/{key}': {'GET': types_extra_specs.SHOW,
                                           'PUT': types_extra_specs.SET,
                                           'DELETE': types_extra_specs.DELETE},
    '/types/{type_id}/action': {'POST': type_access.ACTIONS},
    '/types/{type_id}/os-volume-type-access': {'GET': type_access.LIST},
    '/types/{type_id}/encryption': {'GET': type_encryption.SHOW, 'POST': type_encryption.CREATE},
    '/types/{type_id}/encryption/{key}': {'GET': type_encryption.SHOW_ITEM,
                                          'PUT': type_encryption.UPDATE,
                                          'DELETE': type_encryption.DELETE},
    '/default-types': {'GET': default_types.LIST},
    '/default-types/{id}': {'GET': default_types.SHOW, 'PUT': default_types.PUT,
                            'DELETE': default_types.DELETE},
    '/qos-specs': {'GET': qos_specs.LIST, 'POST': qos_specs.CREATE},
    '/qos-specs/{qos_id}': {'GET': qos_specs.SHOW, 'PUT': qos_specs.UPDATE,
                            'DELETE': qos_specs.DELETE},
    '/qos-specs/{qos_id}/delete_keys': {'PUT': qos_specs.DELETE_KEYS},
    '/qos-specs/{qos_id}/associations': {'GET': qos_specs.ASSOCIATIONS},
    '/qos-specs/{qos_id}/associate': {'GET': qos_specs.ASSOCIATE},
    '/qos-specs/{qos_id}/disassociate': {'GET': qos_specs.DISASSOCIATE},
    '/qos-specs/{qos_id}/disassociate_all': {'GET': qos_specs.DISASSOCIATE_ALL},
    '/os-availability-zone': {'GET': availability_zones.LIST},
    '/resource_filters': {'GET': resource_filters.LIST},
    '/attachments': {'GET': attachments.LIST, 'POST': attachments.CREATE},
    '/attachments/detail': {'GET': attachments.LIST_DETAIL},
    '/attachments/{attachment_id}': {'GET': attachments.SHOW, 'PUT': attachments.UPDATE,
                                     'DELETE': attachments.DELETE},
    '/attachments/{attachment_id}/action': {'POST': attachments.ACTIONS},
    '/group_types': {'GET': group_types.LIST, 'POST': group_types.CREATE},
    '/group_types/{group_type_id}': {'GET': group_types.SHOW, 'PUT': group_types.UPDATE,
                                     'DELETE': group_types.DELETE},
    '/group_types/{group_type_id}/group_specs': {'GET': group_types.SPECS_LIST,
                                                 'POST': group_types.SPECS_MERGE},
    '/group_types/{group_type_id}/group_specs/{key}': {'GET': group_types.SPECS_SHOW,
                                                       'PUT': group_types.SPECS_SET,
                                                       'DELETE': group_types.SPECS_DELETE},
    '/groups': {'GET': groups.LIST, 'POST': groups.CREATE},
    '/groups/detail': {'GET': groups.LIST_DETAIL},
    '/groups/action': {'POST': groups.FROM_SOURCE},
    '/groups/{group_id}': {'GET': groups.SHOW, 'PUT': groups.UPDATE},
    '/groups/{group_id}/action': {'POST': {**groups.ACTIONS, **group_replication.ACTIONS}},
    '/group_snapshots': {'GET': group_snapshots.LIST, 'POST': group_snapshots.CREATE},
    '/group_snapshots/detail': {'GET': group_snapshots.LIST_DETAIL},
    '/group_snapshots/{group_snapshot_id}': {'GET': group_snapshots.SHOW,
                                             'DELETE': group_snapshots.DELETE},
    '/group_snapshots/{group_snapshot_id}/action': {'POST': group_snapshots.ACTIONS},
    '/consistencygroups': {'GET': consistency_groups.LIST, 'POST': consistency_groups.CREATE},
    '/consistencygroups/detail': {'GET': consistency_groups.LIST_DETAIL},
    '/consistencygroups/create_from_src': {'POST': consistency_groups.FROM_SOURCE},
    '/consistencygroups/{group_id}': {'GET': consistency_groups.SHOW,
                                      'PUT': consistency_groups.UPDATE},
    '/consistencygroups/{group_id}/update': {'PUT': consistency_groups.UPDATE},
    '/consistencygroups/{group_id}/delete': {'POST': consistency_groups.DELETE},
    '/cgsnapshots': {'GET': cgsnapshots.LIST, 'POST': cgsnapshots.CREATE},
    '/cgsnapshots/detail': {'GET': cgsnapshots.LIST_DETAIL},
    '/cgsnapshots/{group_snapshot_id}': {'GET': cgsnapshots.SHOW, 'DELETE': cgsnapshots.DELETE},
    '/messages': {'GET': messages.LIST},
    '/messages/{message_id}': {'GET': messages.SHOW, 'DELETE': messages.DELETE},
    '/os-services': {'GET': services.LIST},
    '/os-services/enable': {'PUT': services.ENABLE},
    '/os-services/disable': {'PUT': services.DISABLE},
    '/os-services/disable-log-reason': {'PUT': services.DISABLE_LOG_REASON},
    '/os-services/freeze': {'PUT': services.FREEZE_BACKEND},
    '/os-services/thaw': {'PUT': services.THAW_BACKEND},
    '/os-services/failover_host': {'PUT': services.FAILOVER_HOST},
    '/os-services/failover': {'PUT': services.FAILOVER_BACKEND},
    '/os-services/set-log': {'PUT': services.SET_LOG},
    '/os-services/get-log': {'PUT': services.GET_LOG},
    '/os-hosts': {'GET': hosts.LIST},
    '/os-hosts/{host_name}': {'GET': hosts.SHOW, 'PUT': hosts.UPDATE},
    '/clusters': {'GET': clusters.LIST},
    '/clusters/detail': {'GET': clusters.LIST_DETAIL},
    '/clusters/enable': {'PUT': clusters.ENABLE},
    '/clusters/disable': {'PUT': clusters.DISABLE},
    '/clusters/{cluster_id}': {'GET': clusters.SHOW},
    '/workers/cleanup': {'POST': workers.CLEANUP},
    '/capabilities/{host_name}': {'GET': capabilities.SHOW},
    '/manageable_volumes': {'GET': manageable_volumes.LIST, 'POST': manageable_volumes.CREATE},
    '/manageable_volumes/detail': {'GET': manageable_volumes.LIST_DETAIL},
    '/os-volume-manage': {'GET': manageable_volumes.OLD_LIST,
                          'POST': manageable_volumes.OLD_CREATE},
    '/os-volume-manage/detail': {'GET': manageable_volumes.OLD_LIST_DETAIL},
    '/manageable_snapshots': {'GET': manageable_snapshots.LIST,
                              'POST': manageable_snapshots.CREATE},
    '/manageable_snapshots/detail': {'GET': manageable_snapshots.LIST_DETAIL},
    '/os-snapshot-manage': {'GET': manageable_snapshots.OLD_LIST,
                            'POST': manageable_snapshots.OLD_CREATE},
    '/os-snapshot-manage/detail': {'GET': manageable_snapshots.OLD_LIST_DETAIL},
    '/extensions': {'GET': extensions.LIST},
    '/extensions/{alias}': {'GET': extensions.SHOW},
    '/scheduler-stats/get_pools': {'GET': scheduler_stats.POOLS},
    '/os-quota-sets/{target_id}': {'GET': quota_sets.SHOW, 'PUT': quota_sets.UPDATE,
                                   'DELETE': quota_sets.DELETE},
    '/os-quota-sets/{target_id}/defaults': {'GET': quota_sets.DEFAULTS},
    '/os-quota-class-sets/{class_name}': {'GET': quota_class_sets.SHOW,
                                          'PUT': quota_class_sets.UPDATE},
    '/limits': {'GET': limits.SHOW},
    **volume_transfers.pages(volume_transfers.OPERATIONS, '/volume-transfers'),
    **volume_transfers.pages(volume_transfers.OLD_OPERATIONS, '/os-volume-transfer'),
}

_PREFIXES = ('/v3', '/v3/{project_id:[0-9a-f-]+}')
"""Before each path of ROUTES.  No resource has a name of hexadecimal digits only."""


@dataclasses.dataclass(frozen=True)
class Found:
    """A path that is served: its page, methods and variables, the project id in it or None."""

    page: str
    methods: dict
    path: dict
    project_id: str | None


def operations():
    """Every operation with its method and path: (method, path, action or None, operation)."""
    for path, methods in {**UNVERSIONED, **ROUTES}.items():
        for method, entry in methods.items():
            if isinstance(entry, dict):
                for action, operation in entry.items():
                    yield method, path, action, operation
            else:
                yield method, path, None, entry


def match(path):
    """What is served under a path; None when nothing is."""
    # "$" of a regular expression, with which Routes ends each, matches before a last newline too.
    if path.endswith('\n'):
        return None
    variables = _MAPPER.match(path or '/')
    if variables is None:
        return None
    page = variables.pop('page')
    project_id = variables.pop('project_id', None)
    return Found(page, _SERVED[page], variables, project_id)


def _mapper():
    """Routes' matcher of every path; ``page`` is the key of ROUTES or UNVERSIONED."""
    made = routes.Mapper(controller_scan=None, explicit=True)
    made.minimization = False
    for page in UNVERSIONED:
        made.connect(page, page=page)
    for prefix in _PREFIXES:
        for page in ROUTES:
            made.connect(prefix + page, page=page)
    # Once, here: a mapper that makes its expressions at its first match is not safe with threads.
    made.create_regs([])
    return made


_SERVED = {**UNVERSIONED, **ROUTES}
_MAPPER = _mapper()
