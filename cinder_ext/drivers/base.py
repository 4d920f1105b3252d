"""The contract that every backend fulfils.

A driver takes frozen values and returns values.  It knows no database, no
message and no request.  All calls may come from several threads at once, and
any call may be repeated after the process was killed in the middle of it:

- repeating a create or an extend that was done succeeds and changes nothing;
- deleting what is not there succeeds;
- a create that was killed leaves nothing visible, or is completed when repeated.

Errors are those below ``cinder_ext.exceptions.DriverError``:

================ ===================================== ==========================
error            when                                  what the caller does
================ ===================================== ==========================
NoSpace          the backend cannot hold it            reverts, tells the user
BackendDown      the backend does not answer           repeats later
ResourceBusy     it is in use (a snapshot hangs on it) repeats later, or refuses
ResourceMissing  a source of a create is not there     sets the status to error
ReferenceRefused what is to be managed is unfit        sets the status to error
NotCapable       asked for what it does not do         never calls it again
Misconfigured    options are wrong (at start only)     does not start the backend
================ ===================================== ==========================

Source for the manner: the error tables of the Container Storage Interface
specification.
"""
# SPDX-License-Identifier: Apache-2.0

import abc

from cinder_ext.drivers import values


class Driver(abc.ABC):
    """What every backend must do.

    Capabilities are separate small classes (``capabilities.py``) that a driver
    also derives from; what the scheduler and the API see is read off the class.
    """

    def __init__(self, settings: values.BackendSettings):
        self.settings = settings

    @classmethod
    def options(cls):
        """oslo.config options of the backend's section, a list; none by default."""
        return []

    @classmethod
    def variant(cls, options):
        """The class that serves a backend with these options; this one by default.

        :param options: the section's values, attribute access
        """
        return cls

    def switched_off(self):
        """Capability classes that this backend, as found at start, cannot serve; a set."""
        return frozenset()

    def unserved_calls(self):
        """Which of ``capabilities.CALLS`` this backend, as found at start, cannot serve; a set.

        They raise NotCapable.  A migration that needs one of them is refused in its preflight.
        """
        return frozenset()

    @property
    def clones_need_their_source(self):
        """Whether a volume made from a snapshot, or from a volume, keeps that from being removed.

        While there is one its source is not migrated away.  False only where each is independent.
        """
        return True

    @property
    def connections_outlive_snapshots(self):
        """Whether a connected volume stays reachable in the same way when a snapshot of it is taken.

        A migration then writes one link after the other through one connection, and connects and
        reads the snapshots meanwhile; else each link has a connection of its own.
        """
        return False

    @abc.abstractmethod
    def start(self):
        """Check the options and reach the backend.  Called once, before any other call.

        :raises Misconfigured: the options are wrong
        :raises BackendDown: the backend cannot be reached; the service retries
        """

    def stop(self):  # noqa: B027 - most drivers hold nothing
        """Let go of what this process holds; called last, and not when the process is killed.

        What consumers use stays reachable.
        """

    @abc.abstractmethod
    def report(self):
        """Capacity now.

        :returns: a list of values.PoolReport
        :raises BackendDown: the backend cannot be reached
        """

    @abc.abstractmethod
    def promises(self):
        """What a migration may count on here: values.Promises."""

    @property
    def copy_bytes_per_second(self):
        """A throttle that every copy from or to this backend obeys, bytes per second; 0: none."""
        return 0

    @abc.abstractmethod
    def create_volume(self, volume):
        """Create an empty volume of ``volume.size_bytes``.

        Idempotent: a volume of that name and size is left as it is.

        :returns: its location (str) or None
        :raises NoSpace: the backend cannot hold it
        """

    @abc.abstractmethod
    def create_volume_from_snapshot(self, volume, snapshot):
        """Create a volume with the snapshot's content; the volume may be larger.

        Idempotent: a finished volume of that name is left as it is; a half-made one is made anew.

        :returns: its location (str) or None
        :raises NoSpace: the backend cannot hold it
        :raises ResourceMissing: the snapshot is not there
        """

    @abc.abstractmethod
    def clone_volume(self, volume, source):
        """Create a volume with the content of volume ``source``; it may be larger.

        Idempotent and errors as create_volume_from_snapshot.
        """

    @abc.abstractmethod
    def delete_volume(self, volume):
        """Delete a volume.  Idempotent: an unknown volume is a success.

        :raises ResourceBusy: snapshots or clones hang on it and the backend needs it for them
        """

    @abc.abstractmethod
    def extend_volume(self, volume, size_bytes):
        """Make a volume larger.  Idempotent: a volume of that size or larger is left as it is.

        :raises NoSpace: the backend cannot hold it
        :raises ResourceMissing: the volume is not there
        """

    @abc.abstractmethod
    def create_snapshot(self, snapshot):
        """Freeze the volume's content as it is now.

        Idempotent: a finished snapshot of that name is left as it is; a half-made one is made
        anew.

        :returns: its location (str) or None
        :raises NoSpace: the backend cannot hold it
        :raises ResourceMissing: the volume is not there
        """

    @abc.abstractmethod
    def delete_snapshot(self, snapshot):
        """Delete a snapshot.  Idempotent: an unknown snapshot is a success.

        :raises ResourceBusy: clones hang on it and the backend needs it for them
        """

    @abc.abstractmethod
    def connect_volume(self, volume, connector):
        """Make a volume reachable from a host.

        :param connector: the host's properties as os-brick collects them (``host``, ``ip`` ...)
        :returns: values.ConnectionInfo
        :raises ResourceMissing: the volume is not there

        Idempotent per host.
        """

    @abc.abstractmethod
    def disconnect_volume(self, volume, connector):
        """Take the reachability back.  Idempotent: an unknown volume or host is a success."""
