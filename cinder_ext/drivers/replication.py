"""What a backend does that replicates: the capability, by itself because it is large."""
# SPDX-License-Identifier: Apache-2.0

import abc


class Replication(abc.ABC):
    """Volumes are kept on a second array too, behind by a little, and can be promoted there.

    The two arrays are *sides*: None is the backend itself (home), a ``backend_id`` is the target
    of that name.  Any of them may be source or destination, so that failing back is failing over
    the other way.  Every array keeps, beside the data, who it is: role, epoch and points of each
    volume (values.Side).  What a side knows can be read with the other one gone, and with every
    database gone.

    The epoch is chosen by the caller and grows with every promotion.  A call that would change a
    side whose epoch is larger than the caller's is refused with SplitBrain; nothing is changed.

    All calls are idempotent, may be repeated after a kill at any instant and may come while
    others run for other volumes; those that need only one side work when the other is lost.
    They also work on a driver whose ``start`` has failed, or was never called: home may be gone.
    Where resources are passed, their ``location`` says on which side they are used now.
    """

    word = 'replication'

    @abc.abstractmethod
    def replication_targets(self):
        """The targets that are configured: a list of values.ReplicationTarget.  No I/O.

        Their credentials are in no field.
        """

    @abc.abstractmethod
    def activate(self, backend_id):
        """New volumes are made on this side from now on; None: home.

        At the next start ``settings.active_backend_id`` says the same.  Idempotent.
        """

    @abc.abstractmethod
    def replication_interval(self, target, interval_seconds):
        """How often points can be shipped to a target: what is asked for, rounded.

        :param interval_seconds: the interval wanted, in seconds; None: the driver's own choice
        :returns: seconds, at most ``interval_seconds``
        :raises NotCapable: not so often; says what it can do
        """

    @abc.abstractmethod
    def side(self, volume, side):
        """What one side knows of a volume: values.Side; of an unknown volume too.

        :raises BackendDown: that side does not answer
        """

    @abc.abstractmethod
    def replicas(self, side):
        """All replicated volumes that a side knows: name_id -> (values.Side, size in bytes, group
        of members as a list of name_ids, the latest whole manifest in bytes or None).

        :raises BackendDown: that side does not answer
        """

    @abc.abstractmethod
    def pair(self, members, source, destination, epoch):
        """Make the destination ready to receive: source ``primary``, destination ``secondary``.

        What the destination already holds of these volumes as a secondary is kept, as the base
        of what is shipped next.  Idempotent.

        :raises SplitBrain: the destination is primary or fenced, has a volume of its own of that
            name, or the source is not primary; or either knows a larger epoch
        :raises NoSpace, BackendDown: of either side
        :raises ResourceMissing: a volume is not at the source
        """

    @abc.abstractmethod
    def ship(self, members, source, destination, point_id, retention, manifests=None):
        """Freeze all members at one moment and bring that state, with new snapshots, across.

        Only what changed since the last common point is moved.  The point counts when it is
        whole at the destination for all members, and not before: a kill in the middle leaves the
        previous one the latest.  Source points that are needed no more are removed, destination
        points beyond the newest ``retention`` too.  A source that is fenced, or secondary after
        a planned demotion, ships its last content: so a last sync follows a fence.

        Idempotent per ``point_id``: one that is whole is returned as it is; one that was taken at
        the source and not shipped whole is shipped with its first ``taken_at``, unless another
        one was taken for that destination since.  A snapshot that is not there is left out.

        :param point_id: a UUID
        :param retention: points kept at the destination, at least 1
        :param manifests: name_id -> bytes, kept beside the point; opaque
        :returns: values.Point
        :raises SplitBrain: the destination is primary, or either side knows another epoch than
            the other
        :raises ResourceBusy: members are written to without a pause, so that no common moment
            was found; tried again
        :raises NoSpace, BackendDown, ResourceMissing: of either side
        """

    @abc.abstractmethod
    def pending_bytes(self, members, source, destination):
        """At most how many bytes are at the source and in the newest point of the destination not.

        :returns: bytes; None when it cannot be told
        """

    @abc.abstractmethod
    def unpair(self, members, source, destination):
        """End it: source volumes are plain ones again, what a secondary held is removed.

        A destination that is primary is left as it is.  Idempotent; a side that does not answer
        is left out.  A source that is fenced gets its volume back.

        :raises ResourceBusy: both sides are secondary: a failover is in the middle of it

        :returns: the sides (list) that did not answer, on which something may be left
        """

    @abc.abstractmethod
    def fence(self, member, side, epoch):
        """No attach and no write from now on; who has the volume open writes to nothing that counts.

        Its content stays, as it is at this moment, for a last ``ship``; so does its epoch.
        A secondary is left as it is.  Idempotent.

        :raises SplitBrain: the side knows a larger epoch
        :raises BackendDown: the side does not answer
        :raises ResourceBusy: nobody gets it any more, but who has it open writes without a pause,
            and the backend has no other way to keep the content of one moment; repeated, or
            taken back
        """

    @abc.abstractmethod
    def unfence(self, member, side, epoch):
        """Take a fence back: the side is primary again, with its content.  For an undone failover.

        :returns: the volume's location
        :raises SplitBrain: the side knows a larger epoch, or has been demoted since
        """

    @abc.abstractmethod
    def promote(self, member, side, epoch, point_id=None):
        """Make a secondary the primary, at one of its points.

        What was received after that point, and half of it, is dropped.  Of the member's
        snapshots those that the point has can be used from then on, no others.  Idempotent for the
        same epoch and point, however long it is ago.

        :param epoch: larger than the side's
        :param point_id: by default the newest
        :returns: values.Promoted
        :raises SplitBrain: the side's epoch is as large, and it was not promoted by this call; or
            it is primary or fenced
        :raises ResourceMissing: it has no such point, or does not know the volume
        :raises BackendDown: the side does not answer
        """

    @abc.abstractmethod
    def demote(self, member, side, epoch):
        """Make a primary or fenced side a secondary, which receives.

        Its content is kept aside until a point arrives there, then dropped.  Points that never
        arrived anywhere else are dropped at once.  Idempotent.

        :param epoch: that of the side that is primary now
        :raises SplitBrain: the side knows a larger epoch
        :raises ResourceBusy: as fence
        """

    @abc.abstractmethod
    def resync(self, members, source, discard, epoch):
        """Discard one side's content in favour of the other one's.

        What ``discard`` wrote since the last common point is given up; it becomes the secondary
        of ``source``, ready for ``ship``.  Never implied by anything else.  Idempotent.

        :param discard: the side that loses
        :param epoch: at least that of either side, and theirs from then on.  To keep the side of
            the smaller epoch is a decision like a promotion: it takes one larger than both
        :raises SplitBrain: ``source`` is not primary, or either knows a larger epoch
        """

    @abc.abstractmethod
    def clone_point(self, volume, member, side, point_id):
        """Make a new volume of a point, on that side; replication goes on.  Idempotent.

        :param volume: values.Volume to be made
        :param member: values.Member whose point it is
        :returns: its location
        :raises ResourceMissing: there is no such point
        """
