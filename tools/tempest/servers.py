"""MariaDB, RabbitMQ and memcached, private instances, by tools/services.sh."""
# SPDX-License-Identifier: Apache-2.0

import pathlib
import shlex
import shutil
import tempfile

SCRIPT = pathlib.Path(__file__).parents[1] / 'services.sh'


class Servers:
    """The servers of one run; their data is removed with them.

    :param running: daemons.Daemons; the servers stop when it ends
    :ivar broker: transport URL
    :ivar memcached: host:port
    """

    def __init__(self, running):
        # Not below the checkout: they run as nobody, who cannot enter every home directory.
        self._directory = pathlib.Path(tempfile.mkdtemp(prefix='cinder-ext-servers-'))
        self._directory.chmod(0o755)
        running.callback(shutil.rmtree, self._directory, ignore_errors=True)
        running.callback(running.run, 'servers', SCRIPT, 'stop', self._directory)
        running.run('servers', SCRIPT, 'start', self._directory, 'mariadb', 'rabbitmq', 'memcached')
        found = _exports(self._directory / 'services.env')
        self._database = found['MARIADB_URL_BASE']
        self.broker = found['RABBIT_URL']
        self.memcached = found['MEMCACHED']

    def database(self, name):
        """URL of a database that exists once ``create`` has run."""
        return f'{self._database}/{name}?charset=utf8mb4'

    def create(self, running, python, *names):
        """Make databases.

        :param python: one that has PyMySQL
        """
        running.run('servers', python, '-c', _CREATE, self._database, *names)


_CREATE = '''
import sys, urllib.parse, pymysql
url = urllib.parse.urlsplit(sys.argv[1])
with pymysql.connect(host=url.hostname, port=url.port, user=url.username,
                     password=url.password) as connection, connection.cursor() as cursor:
    for name in sys.argv[2:]:
        cursor.execute(f'CREATE DATABASE {name} CHARACTER SET utf8mb4')
'''


def _exports(path):
    """The ``export NAME=VALUE`` lines of a file."""
    pairs = (line.removeprefix('export ').partition('=') for line in path.read_text().splitlines()
             if line.startswith('export '))
    return {name: ''.join(shlex.split(value)) for name, _, value in pairs}
