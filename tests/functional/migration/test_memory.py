"""What a migration takes of the memory."""
# SPDX-License-Identifier: Apache-2.0

import pathlib
import threading

from cinder_ext.conf import migration as options
from cinder_ext.drivers import values
from cinder_ext.drivers.generic import units
from cinder_ext.volume.migration import early, links

MIB = values.MIB
MOST = 128 * MIB
WORKERS = next(option for option in options.OPTS if option.name == 'workers').type.max


def test_as_many_workers_as_there_may_be_have_buffers_of_less_than_128_mebibytes():
    assert (WORKERS + early.WORKERS) * units.UNIT_BYTES + 2 * links.AHEAD_BYTES <= MOST


def test_buffers_of_a_migration_stay_below_128_mebibytes(reflink_cloud, noise):
    """Resident are those of all workers and what is read ahead, and they go with the migration."""
    cloud = reflink_cloud
    cloud.conf.set_override('workers', WORKERS, 'migration')
    volume_id = cloud.volume(1)
    for _ in range(3):
        cloud.write(volume_id, 0, noise(80 * MIB))
        cloud.snapshot(volume_id)
    before = cloud.contents(volume_id)
    idle = resident()

    with Sampled() as sampled:
        cloud.migrate(volume_id)

    assert cloud.contents(volume_id) == before
    assert WORKERS * units.UNIT_BYTES / 2 < max(sampled.seen) - idle <= MOST
    assert resident() <= idle


class Sampled:
    """Looks at the memory of the buffers while a block runs."""

    def __init__(self):
        self.seen = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def _look(self):
        while not self._over.wait(0.005):
            self.seen.append(resident())

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exc_info):
        self._over.set()
        self._thread.join()


def resident():
    """Bytes in memory of what children do not get: of large buffers only (proc(5), VM_DONTCOPY)."""
    total = rss = 0
    for line in pathlib.Path('/proc/self/smaps').read_text().splitlines():
        word, _, rest = line.partition(':')
        if word == 'Rss':
            rss = int(rest.split()[0]) * 1024
        elif word == 'VmFlags' and 'dc' in rest.split():
            total += rss
    return total
