"""Microversions: every one that is served, tables keyed by them, and negotiation.

A handler never compares versions.  What differs stands in a ``ByVersion``
table, whose newest entry not above the request's version counts, or in
``Additions``, of which every entry up to it counts.
"""
# SPDX-License-Identifier: Apache-2.0

import re

from cinder_ext import exceptions

HEADER = 'OpenStack-API-Version'
SERVICE_TYPES = ('volume', 'block-storage')
"""Names by which a client may call the service in the header; answers say the first."""

HISTORY = (
    ('3.0', 'The v3 API, as v2 was.'),
    ('3.1', 'visibility and protected in os-volume_upload_image.'),
    ('3.2', 'The filter bootable no longer takes every value for true.'),
    ('3.3', 'User messages.'),
    ('3.4', 'Volumes are filtered by glance_metadata.'),
    ('3.5', 'Pages of user messages.'),
    ('3.6', 'A consistency group may be given an empty name or description.'),
    ('3.7', 'Clusters; cluster in the list of services.'),
    ('3.8', 'Manageable volumes and snapshots as resources.'),
    ('3.9', 'Backups can be updated.'),
    ('3.10', 'Volumes are filtered by group_id.'),
    ('3.11', 'Group types and their specs.'),
    ('3.12', 'volumes/summary.'),
    ('3.13', 'Generic groups; group_id of a volume.'),
    ('3.14', 'Group snapshots; groups made from a source.'),
    ('3.15', 'Etag and If-Match on metadata.'),
    ('3.16', 'os-migrate_volume to a cluster.'),
    ('3.17', 'Manageable volumes and snapshots of a cluster.'),
    ('3.18', 'Project of a backup.'),
    ('3.19', 'reset_status of group snapshots.'),
    ('3.20', 'reset_status of groups.'),
    ('3.21', 'provider_id of a volume, to administrators.'),
    ('3.22', 'Snapshots are filtered by metadata.'),
    ('3.23', 'force when a volume is deleted.'),
    ('3.24', 'workers/cleanup.'),
    ('3.25', 'The volumes of a group in its details.'),
    ('3.26', 'failover of a service; filters of clusters.'),
    ('3.27', 'Attachments.'),
    ('3.28', 'Filters of get_pools.'),
    ('3.29', 'Pages, filters and sorting of group snapshots.'),
    ('3.30', 'Snapshots are sorted by name.'),
    ('3.31', 'A filter that is not served is refused, no longer ignored.'),
    ('3.32', 'Log levels of services.'),
    ('3.33', 'resource_filters.'),
    ('3.34', 'Filters that match a part: name~=part.'),
    ('3.35', 'get_pools is filtered by volume type.'),
    ('3.36', 'Metadata in volumes/summary.'),
    ('3.37', 'Backups are sorted by name.'),
    ('3.38', 'Replication of groups.'),
    ('3.39', 'Limits of another project.'),
    ('3.40', 'A volume is reverted to its latest snapshot.'),
    ('3.41', 'user_id of a snapshot.'),
    ('3.42', 'os-extend of a volume that is in use.'),
    ('3.43', 'Metadata of backups.'),
    ('3.44', 'os-complete of an attachment.'),
    ('3.45', 'with_count: how many a list has in all.'),
    ('3.46', 'Volumes made from an image without content.'),
    ('3.47', 'Volumes made from a backup.'),
    ('3.48', 'shared_targets and service_uuid of a volume.'),
    ('3.49', 'State of the backend in the list of services.'),
    ('3.50', 'Multiattach.'),
    ('3.51', 'Backups across availability zones.'),
    ('3.52', 'Volume types are filtered by extra specs.'),
    ('3.53', 'Bodies with unknown words are refused where they were not.'),
    ('3.54', 'mode of an attachment.'),
    ('3.55', 'A transfer takes the snapshots along.'),
    ('3.56', 'user_id of a backup.'),
    ('3.57', 'Who gave and who took a transferred volume.'),
    ('3.58', 'project_id of groups.'),
    ('3.59', 'Pages of transfers.'),
    ('3.60', 'Volumes are filtered by created_at and updated_at with comparisons.'),
    ('3.61', 'cluster_name of a volume, to administrators.'),
    ('3.62', 'Default volume type of a project.'),
    ('3.63', 'volume_type_id of a volume.'),
    ('3.64', 'encryption_key_id of an encrypted volume.'),
    ('3.65', 'consumes_quota of volumes and snapshots.'),
    ('3.66', 'A snapshot of a volume in use needs no force.'),
    ('3.67', 'No project id in URLs.'),
    ('3.68', 'os-reimage.'),
    ('3.69', 'shared_targets may be null.'),
    ('3.70', 'Encrypted volumes are transferred with their snapshots.'),
    ('3.71', 'os-extend_volume_completion.'),
    ('3.72', 'migration_progress of a volume, to administrators.'),
    ('3.73', 'on-demand-include-snapshots in os-retype, include_snapshots in os-migrate_volume.'),
    ('3.74', 'volume-migrations: a resource, and what can be done with it.'),
    ('3.75', 'compute_snapshot_status in os-update_snapshot_status.'),
    ('3.76', 'replications: a resource, and what can be done with it; replication of a volume.'),
)
"""Every version and what it brought, oldest first.  From 3.72 on they are this service's own."""

VERSIONS = tuple(version for version, _change in HISTORY)
MIN, MAX = VERSIONS[0], VERSIONS[-1]

_ORDER = {version: number for number, version in enumerate(VERSIONS)}
_SHAPE = re.compile(r'(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})', re.ASCII)


class ByVersion:
    """What holds at a version: the newest entry not above it.

    :param entries: version -> anything; the versions ascend
    :raises ValueError: a version that is not served, or out of order
    """

    def __init__(self, entries):
        self.entries = _checked(entries)

    def at(self, version):
        """The entry for a version; None below the first."""
        found = None
        for since, entry in self.entries.items():
            if not reached(version, since):
                break
            found = entry
        return found


class Additions(ByVersion):
    """What was added version by version; every entry up to the request's counts."""

    def upto(self, version):
        return [entry for since, entry in self.entries.items() if reached(version, since)]


def _checked(entries):
    numbers = [_ORDER.get(version) for version in entries]
    if None in numbers or numbers != sorted(numbers):
        raise ValueError(f'versions unknown or out of order: {", ".join(entries)}')
    return dict(entries)


def reached(version, since):
    """Whether a request at ``version`` sees what ``since`` brought; for tables, not for handlers."""
    return _ORDER[version] >= _ORDER[since]


def negotiate(header):
    """The version that a request asks for.

    :param header: value of OpenStack-API-Version, such as ``compute 2.1, volume 3.50``, or None
    :returns: one of VERSIONS; the lowest when none is named for this service
    :raises BadRequest: malformed
    :raises NotAcceptable: not served
    """
    wanted = None
    for part in (header or '').split(','):
        words = part.split()
        if words and words[0].lower() in SERVICE_TYPES:
            wanted = ' '.join(words[1:])
    if wanted is None:
        return MIN
    if wanted == 'latest':
        return MAX
    if not _SHAPE.fullmatch(wanted):
        raise exceptions.BadRequest(
            f'API Version String {wanted[:40]!r} is of invalid format. '
            'Must be of format MajorNum.MinorNum.')
    if wanted not in _ORDER:
        raise exceptions.NotAcceptable(version=wanted, low=MIN, high=MAX)
    return wanted
