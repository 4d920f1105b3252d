"""A database server or a broker that one test has for itself, ends and starts again."""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import os
import pathlib
import signal
import subprocess

import cutting
import sqlalchemy as sa

SERVICES = pathlib.Path(__file__).parents[2] / 'tools' / 'services.sh'


class OwnServer:
    """A server of this test alone, that is killed and started again; a proxy keeps its port."""

    def __init__(self, directory, name, variable):
        self.directory, self.name, self._variable = directory, name, variable
        self._launch()
        self.proxy = cutting.Proxy(self._address())

    def _launch(self):
        subprocess.run([SERVICES, 'start', self.directory, self.name], check=True, timeout=120,
                       stdout=subprocess.DEVNULL)

    @property
    def url(self):
        lines = (self.directory / self.name / 'env').read_text().splitlines()
        return dict(line.removeprefix('export ').split('=', 1) for line in lines)[self._variable]

    def _address(self):
        found = sa.make_url(self.url)
        return found.host, found.port

    @contextlib.contextmanager
    def dead(self):
        """Killed at once; started again when the block ends."""
        with self.proxy.away():
            os.killpg(int((self.directory / self.name / 'process').read_text().split()[0]),
                      signal.SIGKILL)
            yield
            self.start()

    def stop(self):
        """Ask it to end, and return when it has ended."""
        subprocess.run([SERVICES, 'stop', self.directory], check=True, timeout=120)

    def start(self):
        """Start it again with the same data."""
        self._launch()
        self.proxy.address = self._address()
