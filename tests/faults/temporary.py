"""As killable.py, on a driver that cannot attach snapshots: it reads them through temporary volumes.

More points for ``KILL_AT``:

``noted:N``  before the driver makes the Nth temporary volume of this process
``made:N``   after that
``kept:N``   before the driver removes the Nth of them
``gone:N``   after that

``MOST`` names a file to which the number of volumes of the backend is added with each one made.
"""
# SPDX-License-Identifier: Apache-2.0

import os
import sys

import killable

from cinder_ext.drivers import capabilities, loader
from cinder_ext.drivers.file import FileDriver


class Temporaries(FileDriver):
    """Counts the temporary volumes that it makes and removes; all drivers of the process together."""

    made, gone, names = 0, 0, set()

    def switched_off(self):
        return super().switched_off() | {capabilities.SnapshotConnect}

    def create_volume_from_snapshot(self, volume, snapshot):
        Temporaries.made += 1
        self.names.add(volume.name_id)
        die('noted', self.made)
        super().create_volume_from_snapshot(volume, snapshot)
        with open(os.environ['MOST'], 'a') as counts:
            counts.write(f"{len(os.listdir(os.path.join(self._base, 'volumes')))}\n")
        die('made', self.made)

    def delete_volume(self, volume):
        if volume.name_id not in self.names:
            super().delete_volume(volume)
            return
        Temporaries.gone += 1
        die('kept', self.gone)
        super().delete_volume(volume)
        die('gone', self.gone)


def die(kind, count):
    if kind == killable.KIND and count == int(killable.POINT):
        killable.die()


def load(*arguments, loaded=loader.load):
    """As loader.load, but such a driver."""
    return Temporaries(loaded(*arguments).settings)


if __name__ == '__main__':
    loader.load = load
    sys.exit(killable.main())
