"""What some backends can do besides: one small class per capability.

A driver derives from the classes it serves.  ``of(driver)`` is what scheduler
and API see: read off the class, less what the driver switched off at start.
"""
# SPDX-License-Identifier: Apache-2.0

import abc


class SnapshotConnect(abc.ABC):
    """A snapshot can be read directly, without a temporary volume."""

    word = 'snapshot_connect'

    @abc.abstractmethod
    def connect_snapshot(self, snapshot, connector):
        """Make a snapshot readable from a host.  As connect_volume; the path is never written."""

    @abc.abstractmethod
    def disconnect_snapshot(self, snapshot, connector):
        """Take the reachability back.  Idempotent: an unknown snapshot or host is a success."""


class ChangedRanges(abc.ABC):
    """The backend knows where two states of one volume differ."""

    word = 'changed_ranges'

    @abc.abstractmethod
    def changed_ranges(self, older, newer):
        """Where ``newer`` may differ from ``older``.

        :param older: values.Snapshot
        :param newer: values.Snapshot or values.Volume, the same volume later
        :returns: a list of values.Range in bytes, ascending, not overlapping, within
            ``newer.size_bytes``.  Everything outside it is the same; what lies past the end of
            ``older`` counts as changed unless it reads zeros.  Too much is allowed, too little
            never.
        :raises ResourceMissing: one of them is not there
        :raises NotCapable: it cannot be told for these two; the caller reads everything
        """


class AllocatedRanges(abc.ABC):
    """The backend knows which ranges were ever written."""

    word = 'allocated_ranges'

    @abc.abstractmethod
    def allocated_ranges(self, resource):
        """Where a volume or snapshot may be other than zero.

        :returns: a list of values.Range in bytes, ascending, not overlapping; all else reads zeros
        :raises ResourceMissing: it is not there
        """


class ManageVolumes(abc.ABC):
    """What lies on the backend already can become a volume, and a volume can be let go."""

    word = 'manage_volumes'

    @abc.abstractmethod
    def manageable_volumes(self):
        """What could be managed; what is managed is among it.

        :returns: a list of values.Found
        """

    @abc.abstractmethod
    def examine_volume(self, volume, reference):
        """What a reference names, without changing it.

        :param volume: values.Volume that it is to become; its size does not count
        :param reference: what the operator wrote, not checked by anybody: anything of JSON
        :returns: values.Found; of what has become ``volume`` already too
        :raises ReferenceRefused: it names nothing that can be managed
        :raises ResourceMissing: it is not there
        """

    @abc.abstractmethod
    def manage_volume(self, volume, reference):
        """Give what a reference names the volume's name, and its size if it is smaller.

        Idempotent: what has become the volume already is left as it is.

        :returns: its location (str) or None
        :raises ReferenceRefused, ResourceMissing: as examine_volume
        """

    @abc.abstractmethod
    def unmanage_volume(self, volume):
        """Let a volume go, with its content; manageable_volumes() names it afterwards.

        Idempotent: an unknown volume is a success.
        """


class ManageSnapshots(abc.ABC):
    """As ManageVolumes, for snapshots."""

    word = 'manage_snapshots'

    @abc.abstractmethod
    def manageable_snapshots(self):
        """As manageable_volumes."""

    @abc.abstractmethod
    def examine_snapshot(self, snapshot, reference):
        """As examine_volume; that it is a snapshot of the volume is the operator's word."""

    @abc.abstractmethod
    def manage_snapshot(self, snapshot, reference):
        """As manage_volume."""

    @abc.abstractmethod
    def unmanage_snapshot(self, snapshot):
        """As unmanage_volume."""


class Revert(abc.ABC):
    """The backend puts a volume back to a snapshot of it, without moving the bytes through here."""

    word = 'revert_to_snapshot'

    @abc.abstractmethod
    def revert_to_snapshot(self, volume, snapshot):
        """Give a volume, which nobody uses, the content of its latest snapshot.

        :param snapshot: values.Snapshot of the volume; ``size_bytes`` is the volume's
        :raises ResourceMissing: the volume or the snapshot is not there
        :raises NoSpace: the backend cannot hold it; the volume is as it was

        Idempotent.  Killed in the middle, the volume holds the old content or the new one, or the
        call is repeated before anybody uses the volume.
        """



class GroupSnapshots(abc.ABC):
    """Snapshots of several volumes are taken at one moment.

    The word is the Block Storage API's name of the capability that a group type asks for.
    """

    word = 'consistent_group_snapshot_enabled'
    refuses_writers = False
    """Whether a volume that a process has open for writing is refused (ResourceBusy), at any time.

    Else a moment between two writes is looked for.
    """

    @abc.abstractmethod
    def create_group_snapshot(self, snapshots):
        """Freeze the content of several volumes as it is at one moment.

        What was written to one volume before something was written to another, by whoever
        waited for the first write, is never missing while the second is there.  The members are
        snapshots like any others afterwards: each is read, cloned and deleted by itself.

        Idempotent: finished members are left as they are.  When one of them is not there, all
        are made anew: what a killed call has left of them was never told to anybody.

        :param snapshots: a list of values.Snapshot, of one volume each
        :returns: a list of their locations (str or None), in the same order
        :raises ResourceBusy: no such moment was found while the volumes are written to; nothing
            is left, and the caller tells the user
        :raises NoSpace: the backend cannot hold them; nothing is left
        :raises ResourceMissing: one of the volumes is not there; nothing is left
        """


class Supersede(abc.ABC):
    """A volume and its snapshots get other names, out of the reach of whoever writes to them."""

    word = 'supersede'

    @abc.abstractmethod
    def supersede(self, pairs):
        """Give volumes and snapshots other names, so that nobody who has them open reaches them.

        Each new one holds what the old one held at some moment of the call.  What is written
        to an old one afterwards, also by whoever opened or connected it before, never arrives in
        a new one; it may fail.  The old ones stay, and are deleted by the caller, in any order.
        A new volume and its new snapshots belong together as the old ones did; they are as large.

        Of a snapshot nobody writes, so it may be the same thing under a second name.

        Idempotent: what has its new name already is left as it is.

        :param pairs: a list of (old, new): values.Volume first, then values.Snapshot of that volume
        :returns: a list of the new locations (str or None), in the same order
        :raises ResourceMissing: one of the old ones is not there
        :raises NoSpace: the backend cannot hold both
        :raises ResourceBusy: somebody writes to an old one who cannot be kept from it

        After an error some of the new ones may be there; the caller deletes them.
        """


ALL = (SnapshotConnect, ChangedRanges, AllocatedRanges, Revert, GroupSnapshots, ManageVolumes,
       ManageSnapshots, Supersede)


def of(driver):
    """The capability words of a started driver, sorted."""
    off = driver.switched_off()
    return sorted(kind.word for kind in ALL if isinstance(driver, kind) and kind not in off)


def has(driver, kind):
    """Whether a started driver serves a capability class."""
    return isinstance(driver, kind) and kind not in driver.switched_off()


CALLS = ('create_volume', 'create_volume_from_snapshot', 'clone_volume', 'delete_volume',
         'extend_volume', 'create_snapshot', 'delete_snapshot', 'connect_volume')
"""Methods of every driver, which one that cannot serve them names in ``unserved_calls``."""


def calls_of(driver):
    """Which of CALLS a started driver serves, in their order."""
    off = driver.unserved_calls()
    return [name for name in CALLS if name not in off]
