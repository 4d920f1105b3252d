"""Two ways to run the service for measurements: embedded, and deployed on real servers.

Each has ``port``, ``api_pids()`` (the processes that answer requests), ``engine()`` on its
database, and is a context manager.
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import time
import urllib.request

import sqlalchemy as sa

TOOLS = pathlib.Path(__file__).parents[2] / 'tools'
sys.path.insert(0, str(TOOLS))

import embedded  # noqa: E402

CONFIGURATION = """
[DEFAULT]
host = host
state_path = {directory}/state
log_file = {directory}/{name}.log
auth_strategy = noauth
enabled_backends = alpha,beta
default_volume_type = alpha
transport_url = {transport}
quota_volumes = -1
quota_gigabytes = -1
[api]
allow_noauth_beyond_loopback = true
[database]
connection = {database}
max_pool_size = 10
[flows]
connection = {flows}
[oslo_messaging_rabbit]
rabbit_quorum_queue = true
[alpha]
volume_backend_name = alpha
file_path = {directory}/alpha
[beta]
volume_backend_name = beta
file_path = {directory}/beta
"""


class Embedded:
    """cinder-ext-all on SQLite."""

    name = 'embedded, SQLite'

    def __init__(self, directory):
        self._service = embedded.EmbeddedService(directory / 'state', options={
            'DEFAULT': {'log_file': directory / 'log'}})

    def __enter__(self):
        self.seconds_to_first_answer = self._service.start()
        self.port = self._service.port
        self._service.create_types()
        return self

    def __exit__(self, *_fault):
        self._service.stop()

    def api_pids(self):
        return [self._service.pid]

    def engine(self):
        return sa.create_engine(f'sqlite:///{self._service.state_dir}/cinder-ext.db')


class Deployed:
    """gunicorn with two workers, scheduler and volume daemons, MariaDB, RabbitMQ."""

    name = 'gunicorn (2 workers), MariaDB, RabbitMQ'
    workers = 2

    def __init__(self, directory):
        self._directory = directory
        self.port = embedded.Ports.any_free()
        self._stack = contextlib.ExitStack()
        self._gunicorn = None

    def __enter__(self):
        with contextlib.ExitStack() as undo:
            undo.callback(self.__exit__)
            self._start()
            undo.pop_all()
        return self

    def __exit__(self, *_fault):
        self._stack.close()

    def _start(self):
        directory = self._directory
        directory.chmod(0o755)
        for name in ('state', 'alpha', 'beta'):
            (directory / name).mkdir()
        servers = directory / 'servers'
        self._stack.callback(subprocess.run, [TOOLS / 'services.sh', 'stop', servers], check=False)
        subprocess.run([TOOLS / 'services.sh', 'start', servers, 'mariadb', 'rabbitmq'], check=True)
        found = _environment(servers / 'services.env')
        self._database = f"{found['MARIADB_URL_BASE']}/measured"
        _create_databases(found['MARIADB_URL_BASE'], 'measured', 'measured_flows')
        files = {name: self._configure(name, found) for name in ('api', 'scheduler', 'volume')}
        subprocess.run([_binary('cinder-ext-manage'), '--config-file', files['api'], 'db', 'sync'],
                       check=True, stdout=subprocess.DEVNULL)
        for name in ('scheduler', 'volume'):
            self._spawn([_binary(f'cinder-ext-{name}'), '--config-file', files[name]])
        began = time.monotonic()
        self._gunicorn = self._spawn(
            [sys.executable, '-m', 'gunicorn', '--workers', str(self.workers), '--threads', '8',
             '--bind', f'127.0.0.1:{self.port}', '--log-level', 'warning',
             'cinder_ext.cmd.wsgi:application'],
            {'CINDER_EXT_CONFIG_FILES': str(files['api'])})
        self.seconds_to_first_answer = _first_answer(self.port, began)

    def _configure(self, name, found):
        file = self._directory / f'{name}.conf'
        file.write_text(CONFIGURATION.format(
            directory=self._directory, name=name, transport=found['RABBIT_URL'],
            database=self._database, flows=f"{found['MARIADB_URL_BASE']}/measured_flows"))
        return file

    def _spawn(self, command, environment=None):
        with open(self._directory / 'console.log', 'ab') as log:
            process = subprocess.Popen(command, env={**os.environ, **(environment or {})},
                                       stdout=log, stderr=log)
        self._stack.callback(_end, process)
        return process

    def api_pids(self):
        children = pathlib.Path(
            f'/proc/{self._gunicorn.pid}/task/{self._gunicorn.pid}/children').read_text()
        return [int(pid) for pid in children.split()]

    def engine(self):
        return sa.create_engine(self._database)


def _binary(name):
    return str(pathlib.Path(sys.prefix) / 'bin' / name)


def _environment(file):
    found = {}
    for line in file.read_text().splitlines():
        words = shlex.split(line)
        found.update(word.split('=', 1) for word in words if '=' in word)
    return found


def _create_databases(base, *names):
    engine = sa.create_engine(f'{base}/mysql')
    with engine.connect() as connection:
        for name in names:
            connection.exec_driver_sql(
                f'CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin')
    engine.dispose()


def _first_answer(port, began):
    while True:
        try:
            with urllib.request.urlopen(f'http://127.0.0.1:{port}/v3/', timeout=5) as answer:
                answer.read()
            return time.monotonic() - began
        except OSError:
            if time.monotonic() > began + 60:
                raise
            time.sleep(0.005)


def _end(process):
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(40)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
