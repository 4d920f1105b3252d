"""The checks of a migration's preflight: stable names, what each asks, what to do when it fails.

The manual's page ``admin/preflight`` is held to this table by a test.
"""
# SPDX-License-Identifier: Apache-2.0

import dataclasses

from cinder_ext import exceptions


@dataclasses.dataclass(frozen=True)
class Kind:
    """One check.

    :ivar meaning: what holds when it passed
    :ivar remedy: what to do when it did not
    """

    name: str
    meaning: str
    remedy: str


ALL = (
    # Asked by the scheduler.
    Kind('destination', 'A pool can take the volume.', exceptions.NoValidBackend.remedy),
    Kind('move-allowed', 'A new type that the present pool does not serve may move the volume.',
         exceptions.MoveNotAskedFor.remedy),
    Kind('replication-changes', "The volume's replication can become what the new type asks for.",
         'Fail the volume back first; name a type that asks for the same replication; or end the '
         'replication of its group.'),
    Kind('source-answers', "The volume service of the volume's backend answers.",
         "Start the volume service of the volume's backend."),
    # Read off the records.
    Kind('volume-status', 'The volume is available, or in use.',
         'Only a volume that is available or in use can be migrated.'),
    Kind('volume-detached', 'The volume has no attachments, or the one of a server.',
         'Detach the volume from its servers.'),
    Kind('server-can-swap', 'The server that uses the volume can swap it.',
         'Detach the volume, or wait until its server can swap it.'),
    Kind('no-other-migration', 'No other migration of the volume is on its way.',
         'Wait until the other migration has ended, or cancel it.'),
    Kind('source-not-frozen', "The volume's backend is not frozen.",
         "Thaw the volume's backend."),
    Kind('snapshots-available', 'Every snapshot is available.',
         'Delete the snapshots that are in error, or wait until they are available.'),
    Kind('snapshots-included', 'The volume has no snapshots, or they are to move along.',
         'Ask for them to be included: migration_policy on-demand-include-snapshots, or '
         'include_snapshots.'),
    Kind('no-clone-in-progress', 'No volume is being made from the volume or its snapshots.',
         'Wait until these volumes are created.'),
    Kind('no-dependent-clones', 'No volume at the source needs the volume or one of its snapshots '
         'to stay there.',
         'Migrate or delete these volumes first, or make them independent at the backend.'),
    Kind('not-in-group', 'The volume belongs to no group.',
         'Remove the volume from its group first.'),
    Kind('no-group-snapshots', 'No snapshot of the volume belongs to a group snapshot.',
         'Delete the group snapshots first.'),
    Kind('not-replicated', 'The volume is not replicated.',
         'Disable the replication first: by a type without replication, retyped in place, or '
         "of the volume's group, pool or backend."),
    Kind('encryption', 'The volume is not encrypted, or its key and provider stay the same: then '
         'the ciphertext is copied as it is.',
         'Name a type with the same encryption provider, cipher and key size.'),
    Kind('type-size-limits', "The volume's size is within the limits of the destination's type.",
         'Name a type that allows this size, or change its provisioning:min_vol_size or '
         'provisioning:max_vol_size.'),
    Kind('quota', 'The project may have the volume and its snapshots in the destination type.',
         'Raise the quota of the volume type, or delete volumes or snapshots of it.'),
    Kind('destination-differs', 'The destination is not where the volume is.',
         'Name another destination.'),
    Kind('destination-enabled', "The destination's service is neither disabled nor frozen.",
         'Enable or thaw the destination, or name another one.'),
    # Asked of the source's backend.
    Kind('source-reads-snapshots', 'The source can give its snapshots to be read: directly, or '
         'through temporary volumes.',
         'Delete the snapshots: this backend cannot make them readable.'),
    Kind('source-removes', 'The source can remove the volume and its snapshots afterwards.',
         'Move the data by other means: this backend cannot remove what was moved.'),
    Kind('source-temporary-capacity', 'The source has room for a temporary volume, if its snapshots '
         'are read through one.',
         'Free or add space at the source.'),
    Kind('source-readable', 'The source has the volume and every snapshot.',
         exceptions.ResourceMissing.remedy),
    # Asked of the destination.
    Kind('destination-answers', "The destination's volume service is up and answers.",
         'Start the volume service of the destination, or name another destination.'),
    Kind('destination-version', "The destination's volume service speaks this version.",
         'Upgrade the volume service of the destination.'),
    Kind('destination-creates', 'The destination can make a volume and let it be written.',
         'Name another destination.'),
    Kind('destination-extends', 'The destination can extend a volume, if the links differ in size.',
         'Name another destination.'),
    Kind('destination-snapshots', 'The destination can take snapshots, if there are any to move.',
         'Name another destination, or delete the snapshots.'),
    Kind('destination-reads-back', 'The destination can give its snapshots to be read back, unless '
         'verify is off.',
         "Name another destination, or turn the verification off by verify 'off'."),
    Kind('destination-removes', 'The destination can remove what a migration that fails has made.',
         'Name another destination.'),
    Kind('transfer-method', 'Both ends offer a common method.', 'Name another destination.'),
    Kind('destination-pool', 'The destination reports the pool.',
         'Name a pool that the backend reports.'),
    Kind('physical-capacity', 'The whole chain fits into what is free, less the reserve and what '
         'other migrations have claimed.',
         'Free or add space at the destination, or name another one.'),
    Kind('virtual-capacity', 'The virtual size fits under the limit, less the reserve and what '
         'other migrations have claimed.',
         'Raise max_over_subscription_ratio, delete volumes, or name another destination.'),
)
"""In the order in which they are listed."""

BY_NAME = {kind.name: kind for kind in ALL}


@dataclasses.dataclass(frozen=True)
class Check:
    """One verdict.

    :ivar passed: None when it could not be looked at, because of another one that failed
    """

    name: str
    passed: bool | None
    detail: str
    remedy: str = ''

    def as_document(self):
        """As the record and the API have it."""
        return dataclasses.asdict(self)


def verdict(name, passed, detail, remedy=None):
    """A Check; the remedy only where it failed.

    :param remedy: one that fits better than the table's
    :raises KeyError: the table does not have it
    """
    kind = BY_NAME[name]
    return Check(name, bool(passed), detail, '' if passed else remedy or kind.remedy)


def unknown(name, reason):
    """A Check that could not be looked at."""
    return Check(BY_NAME[name].name, None, f'not looked at: {reason}')
