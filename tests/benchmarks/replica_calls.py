"""What the calls of a failover cost, per volume, on the file driver.

::

    python tests/benchmarks/replica_calls.py [--volumes 200] [--threads 8]

On a plain directory, and on an XFS with reflinks where it may be mounted (as root).
"""
# SPDX-License-Identifier: Apache-2.0

import argparse
import concurrent.futures
import contextlib
import os
import tempfile
import time
import uuid

from cinder_ext.drivers import values
from cinder_ext.drivers.conformance import media, workbench

MIB = values.MIB


class Trial:
    """Some volumes of 1 GiB with 64 KiB in each."""

    def __init__(self, directory, reflink, volumes, threads):
        for name in ('home', 'away'):
            os.makedirs(os.path.join(directory, name))
        self.title, self.threads = reflink, threads
        self.driver = workbench.started(
            'file', file_path=f'{directory}/home', file_reflink=reflink,
            replication_device=f'backend_id:away,path:{directory}/away')
        self.members = [values.Member(values.Volume(str(uuid.uuid4()), values.GIB))
                        for _each in range(volumes)]
        for member in self.members:
            self.driver.create_volume(member.volume)
            with open(f'{directory}/home/volumes/volume-{member.volume.name_id}.raw', 'r+b') as stream:
                stream.write(os.urandom(65536))

    def run(self):
        driver = self.driver
        self._together('pair', lambda: driver.pair(self.members, None, 'away', 1))
        for name in ('ship, first, one group', 'ship, unchanged, one group'):
            self._together(name, lambda: self._ship(self.members))
        self._each('ship, unchanged, by itself', lambda member: self._ship([member]))
        self._each('fence', lambda member: driver.fence(member, None, 1))
        self._together('ship, fenced, one group', lambda: self._ship(self.members))
        self._each('promote', lambda member: driver.promote(member, 'away', 2))
        self._each('demote', lambda member: driver.demote(member, None, 2))

    def _ship(self, members):
        self.driver.ship(members, None, 'away', str(uuid.uuid4()), 2)

    def _together(self, name, call):
        began = time.perf_counter()
        call()
        self._print(name, time.perf_counter() - began)

    def _each(self, name, call):
        began = time.perf_counter()
        with concurrent.futures.ThreadPoolExecutor(self.threads) as pool:
            list(pool.map(call, self.members))
        self._print(name, time.perf_counter() - began)

    def _print(self, name, seconds):
        print(f'reflink {self.title:5}{name:28}{seconds:8.2f} s '
              f'{seconds / len(self.members) * 1000:8.2f} ms per volume', flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--volumes', type=int, default=200)
    parser.add_argument('--threads', type=int, default=8)
    chosen = parser.parse_args()
    with contextlib.ExitStack() as stack:
        plain = stack.enter_context(tempfile.TemporaryDirectory())
        Trial(f'{plain}/arrays', 'off', chosen.volumes, chosen.threads).run()
        if os.geteuid() == 0:
            shared = stack.enter_context(media.mounted_xfs(plain))
            Trial(f'{shared}/arrays', 'auto', chosen.volumes, chosen.threads).run()


if __name__ == '__main__':
    main()
