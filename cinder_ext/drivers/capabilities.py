"""What some backends can do besides: one small class per capability.

A driver derives from the classes it serves.  ``of(driver)`` is what scheduler
and API see: read off the class, less what the driver switched off at start.
"""
# SPDX-License-Identifier: Apache-2.0

import abc

from cinder_ext.drivers.replication import Replication


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


class DeferredFlush(abc.ABC):
    """Snapshots of one volume are taken one after the other and put on the medium together.

    A flush waits for whatever the medium is doing: of copying a chain of small snapshots that is
    about a third of the time.
    """

    word = 'deferred_flush'

    @abc.abstractmethod
    def create_snapshot_unflushed(self, snapshot):
        """As create_snapshot, and returns before the snapshot is on the medium.

        It holds what was written past the page cache before, flushed or not, and nothing that is
        written afterwards; it can be connected and deleted.  A service that is killed leaves it
        as it is, or no trace of it.  When the power fails before ``flush_snapshots`` it may be
        lost or hold anything: who cannot tell deletes it and takes it again.

        :returns: its location (str) or None
        :raises ResourceMissing, NoSpace: as create_snapshot
        """

    @abc.abstractmethod
    def flush_snapshots(self, snapshots):
        """Put snapshots of one volume on the medium, with their names.  Idempotent.

        What the volume holds is not part of it: whoever writes to it flushes that himself.

        :param snapshots: a list of values.Snapshot, however they were made
        :raises ResourceMissing: one is not there; the others may be flushed
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


class Exports(abc.ABC):
    """The backend knows what it makes reachable, and can end that by its own word."""

    word = 'exports'

    @abc.abstractmethod
    def list_exports(self):
        """What is reachable now.

        Also of a driver that was not started, in a process that does not serve the backend.

        :returns: a list of values.Export
        :raises BackendDown: the backend does not answer
        """

    @abc.abstractmethod
    def withdraw_export(self, export):
        """End an export, whoever uses it; the caller has made sure that nobody does.

        Idempotent: an unknown one is a success.
        """


NEVER_ASKED = 'never-asked'
"""The compute service was certainly not told of the snapshot, or has refused it at the door."""
UNKNOWN = 'unknown'
"""It may have been told: the consumer writes to the old file or to the new one."""
GONE = 'gone'
"""Nobody uses the volume: no consumer, no attachment, no copy."""


class AssistedSnapshots(abc.ABC):
    """Snapshots of a volume that is written to, with the compute service that serves its consumer.

    ============= ====================================== =======================================
    step          the driver                             the caller then
    ============= ====================================== =======================================
    create begin  makes a file for what comes next       keeps ``noted``, asks ``request``
    create        the consumer writes to the new file    snapshot available; attachments anew
    complete
    create abort  see there                              snapshot error; attachments anew
    delete begin  finds out what is to be merged         keeps ``noted``, asks ``request``; None:
                                                         the snapshot is gone
    delete        looks whether it was merged, removes   the snapshot is gone
    complete      what is needed no more
    delete abort  leaves everything where it is          snapshot error_deleting; it may be
                                                         deleted again, assisted or not
    ============= ====================================== =======================================

    Attachments anew: connect_volume is called again for each attachment and what it returns is
    stored, in the transaction that ends the step, since the consumer reads it again right then.

    Every step may be repeated, also after a kill at any instant of it.  There is one step of one
    snapshot of a volume at a time: the caller sees to it that a second snapshot waits.  **No step
    removes or renames what a consumer may be writing to.**

    The errors of ``base`` come from any step: BackendDown is repeated later, with nothing undone.
    """

    word = 'assisted_snapshots'

    @abc.abstractmethod
    def create_snapshot_assisted_begin(self, snapshot):
        """Make ready what the consumer is to write to once the snapshot is taken.

        The volume is what it was until ``complete`` or ``abort``: connect_volume and everything
        else goes on as before.

        Idempotent: what was made ready is left as it is and asked for again, with the same
        ``request`` and ``noted``.  A snapshot that was completed already: ``request`` None.

        :param snapshot: values.Snapshot; ``size_bytes`` is the volume's
        :returns: values.Assistance; ``request`` has ``type`` and ``new_file``
        :raises ResourceMissing: the volume is not there; the snapshot goes to error
        :raises ResourceBusy: another snapshot of the volume is on its way; repeated later
        :raises NoSpace: nothing is left; the snapshot goes to error

        After an error nothing has changed; the caller calls abort with NEVER_ASKED.
        """

    @abc.abstractmethod
    def create_snapshot_assisted_complete(self, snapshot, noted):
        """The consumer writes to the new file: that is the volume from now on.

        Idempotent: a snapshot that was completed already is left as it is.

        :param noted: what ``begin`` returned, or what an ``abort`` with UNKNOWN did: a report
            that comes late settles a chain that was uncertain
        :returns: values.Assistance with ``location`` and no ``request``; nothing is noted any more
        :raises ResourceMissing: what ``begin`` made is not there; the caller aborts, UNKNOWN
        """

    @abc.abstractmethod
    def create_snapshot_assisted_abort(self, snapshot, noted, consumer):
        """The snapshot was not taken, or nobody knows whether it was.

        ``consumer`` says what is known of whoever writes to the volume:

        - NEVER_ASKED: what ``begin`` made is removed, and everything is as it was before.
        - UNKNOWN: the new file becomes the volume.  It holds nothing yet unless the consumer
          has gone over to it, so that it reads right in either case, while the consumer
          writes to the old file or to the new one.  Nothing is removed.  ``noted`` has ``chain``:
          ``uncertain`` and is kept.  The snapshot's content is not to be relied on; it is there
          to be deleted.  Everything else that concerns the volume is right afterwards.
        - GONE: as UNKNOWN, but what is found is certain: nothing is noted any more.

        Idempotent, and may follow each other: UNKNOWN and then GONE.  NEVER_ASKED after UNKNOWN
        or ``complete`` removes nothing: the file is the volume by then.

        :param noted: what the step before returned; empty when it was killed before that
        :param consumer: NEVER_ASKED, UNKNOWN or GONE
        :returns: values.Assistance without a ``request``.  Empty ``noted``: nothing is kept.
        :raises ResourceBusy: with NEVER_ASKED, and yet somebody has the new file open; the caller
            aborts with UNKNOWN.  With GONE: somebody writes to the volume; it stays uncertain.
        """

    @abc.abstractmethod
    def delete_snapshot_assisted_begin(self, snapshot):
        """Find out what the consumer has to merge, so that a snapshot can go.

        Nothing that a consumer has open is changed.  It is found out from what there is: after
        a merge that was broken off in the middle it is planned anew, one that was done and not
        reported is recognised.

        Idempotent.  An unknown snapshot is one that is gone.

        :returns: values.Assistance.  ``request`` has ``type``, ``file_to_merge`` and
            ``merge_target_file`` as Nova's ``delete_info`` has them; None: no merge is needed,
            and the snapshot is gone.
        :raises ResourceBusy: a merge is still running, or the volume's snapshot is on its way;
            repeated later, or the snapshot goes to error_deleting
        """

    @abc.abstractmethod
    def delete_snapshot_assisted_complete(self, snapshot, noted):
        """The consumer has merged: remove what is needed no more.

        Idempotent: a snapshot that is gone is a success.

        :param noted: what ``begin`` returned
        :returns: values.Assistance without a ``request``; nothing is noted any more
        :raises DriverError: it was not merged, whatever was reported; the caller aborts
        :raises ResourceBusy: it was merged but is still written to; repeated later
        """

    @abc.abstractmethod
    def delete_snapshot_assisted_abort(self, snapshot, noted):
        """The merge failed, or nobody knows whether it did.

        Nothing is removed or renamed; the merge may even go on.  The snapshot may be
        deleted again, assisted by ``begin``, or by delete_snapshot when nobody uses the volume.
        Idempotent.

        :param noted: what ``begin`` returned; empty when it was killed before that
        :returns: values.Assistance without a ``request``; nothing is noted any more
        """


ALL = (SnapshotConnect, ChangedRanges, AllocatedRanges, DeferredFlush, Revert, GroupSnapshots,
       ManageVolumes, ManageSnapshots, Supersede, AssistedSnapshots, Exports, Replication)


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
