"""All cases in one class, for a driver that serves every capability.

A driver that serves fewer derives from ``Required`` and the case classes of
those it serves.  Some cases stand alone: those of deferred flushes; of exports, for drivers that
have any; of assisted snapshots, since where consumers open the files of a backend themselves is for
an author to say; and of replication, for drivers that have a target.
"""
# SPDX-License-Identifier: Apache-2.0

import pytest

from cinder_ext.drivers import capabilities
from cinder_ext.drivers.conformance import (
    assisted,
    clones,
    connect,
    exports,
    extend,
    flushes,
    groups,
    manage,
    promises,
    ranges,
    replication,
    revert,
    snapshots,
    supersede,
    volumes,
)


class Required(volumes.VolumeCases, snapshots.SnapshotCases, clones.CloneCases,
               extend.ExtendCases, connect.ConnectCases, promises.PromiseCases):
    """What every driver must pass."""


class Conformance(Required, connect.SnapshotConnectCases, ranges.AllocatedRangesCases,
                  ranges.ChangedRangesCases, revert.RevertCases, groups.GroupSnapshotCases,
                  manage.ManageVolumesCases, manage.ManageSnapshotsCases,
                  supersede.SupersedeCases):
    """What a driver that serves every capability must pass, but those that stand alone."""


def for_driver(driver, export_directory=None):
    """The cases of a started driver: what all must pass, and what its capabilities ask for.

    :param export_directory: where the export is seen on this host, for assisted snapshots
    :returns: a class; pytest collects it where it is found under a name that begins with ``Test``
    """
    served = [kind for kind in (*Conformance.__mro__, flushes.DeferredFlushCases,
                                exports.ExportsCases, assisted.AssistedSnapshotCases,
                                replication.ReplicationCases)
              if 'word' in vars(kind) and kind.word in capabilities.of(driver)]
    return type('TestBackend', (Required, *served), {
        'driver': pytest.fixture(lambda self: driver, name='driver'),
        'export_directory': pytest.fixture(lambda self: export_directory, name='export_directory')})
