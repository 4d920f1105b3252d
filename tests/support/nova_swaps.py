"""Nova swaps a volume because the block storage service asks it to: a call of that swap fails.

The calls and what Nova does after an error are those of ``compute_service``; they go by a
``nova_player.Wire``, which lets one fail.  The guest only reads: its disk is a path, which changes
with the pivot.
"""
# SPDX-License-Identifier: Apache-2.0

import os

import compute_service
import nova_player

CALLS = ('look-old', 'look-new', 'begin-detaching', 'reserve', 'connect', 'complete', 'delete-old',
         'completion')
"""What Nova asks of the block storage service in a swap, in order."""
COPIED_BYTES = 1024 ** 2
GUEST = 'guest'


class WiredStorage(compute_service.Storage):
    """The block storage service, by a wire: no call is repeated but a removal."""

    def __init__(self, wire):
        super().__init__('', 0)
        self._wire = wire

    def ask(self, method, path, body=None):
        try:
            return self._wire.ask(method, path, body, may_fail=True)
        except nova_player.Gone:
            if method == 'DELETE':
                return {}
            raise compute_service.Refused(404, path) from None
        except nova_player.Broken as fault:
            raise compute_service.Refused(500, str(fault)) from fault


class ReadDisk:
    """A disk whose guest reads it all the time.

    :param reader: path_reader.PathReader
    """

    def __init__(self, reader, path, stamp):
        self._reader, self._stamp, self.path, self.has_moved = reader, stamp, path, False
        reader.hold(GUEST, path, stamp)

    def mirror(self, path, ready):
        """Copy what there is, and let the guest read there from then on."""
        with open(self.path, 'rb') as source, open(path, 'r+b') as target:
            target.write(source.read(COPIED_BYTES))
            os.fsync(target.fileno())
        ready()
        self.restart(path)
        self.has_moved = True

    def restart(self, path):
        """The guest reads elsewhere from now on."""
        self.path = path
        self._reader.hold(GUEST, path, self._stamp)

    def cancel(self):
        """There is nothing that could be cut off."""

    def close(self):
        self._reader.release(GUEST)


class SwappingNova(compute_service.ComputeService):
    """The compute service, whose calls go by a wire.

    Its wire is set once the service is known, which must know this one first.
    """

    def __init__(self, directory, reader):
        super().__init__(directory, '')
        self._reader = reader

    def speak_by(self, wire):
        self.storage = WiredStorage(wire)

    def attach(self, server, volume_id, stamp):
        """Attach a volume as Nova does; returns the disk of the guest."""
        attachment_id = self.storage.reserve(volume_id, server.id)
        info = self.storage.connect(attachment_id)
        disk = ReadDisk(self._reader, info['device_path'], stamp)
        self.storage.complete(attachment_id)
        server.devices[volume_id] = {'attachment_id': attachment_id, 'disk': disk}
        return disk
