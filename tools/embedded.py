"""The embedded service as a process: its state directory, its configuration, start and stop.

Used by the quickstart and by the tests that need a real process.  Everything
the service keeps lies in one directory::

    cinder-ext.conf  clouds.yaml  cinder-ext.db  flows.db  logs/  alpha/  beta/
"""
# SPDX-License-Identifier: Apache-2.0

import configparser
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import requests
import rest

PROJECT_ID = '0123456789abcdef0123456789abcdef'
"""Project of callers without a token (default of the option noauth_project_id)."""

CLOUDS_YAML = """\
clouds:
  cinder-ext:
    auth_type: none
    auth:
      endpoint: {endpoint}
    block_storage_endpoint_override: {endpoint}
    volume_endpoint_override: {endpoint}
    volume_api_version: '3'
    block_storage_api_version: '3'
    region_name: RegionOne
"""


class NotStarted(Exception):
    """The service ended, or gave no answer in time; the text holds the end of its log."""


class Ports:
    """TCP ports of the loopback interface."""

    @staticmethod
    def is_free(port):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(('127.0.0.1', port))
            except OSError:
                return False
        return True

    @staticmethod
    def any_free():
        with socket.socket() as probe:
            probe.bind(('127.0.0.1', 0))
            return probe.getsockname()[1]


class EmbeddedService:
    """One cinder-ext-all with its state directory.

    :param state_dir: made when missing, readable by its owner only
    :param port: of the API; by default one that is free
    :param backends: names; each gets a directory below ``state_dir`` and a section
    :param options: section -> option -> value, over what stands here
    :param binary: the command to run; by default the one beside this Python
    :ivar arguments: what stands between the command and its options
    :ivar environment: variables of the process besides those of this one
    """

    arguments = ()
    environment = {}

    def __init__(self, state_dir, port=None, backends=('alpha', 'beta'), options=None, binary=None):
        self.state_dir = pathlib.Path(state_dir).absolute()
        self.port = port or Ports.any_free()
        self.backends = tuple(backends)
        self.options = options or {}
        self.binary = binary or str(pathlib.Path(sys.prefix) / 'bin' / 'cinder-ext-all')
        self.process = None
        self.api = rest.Client(f'http://127.0.0.1:{self.port}', PROJECT_ID)

    @property
    def config_file(self):
        return self.state_dir / 'cinder-ext.conf'

    @property
    def clouds_file(self):
        return self.state_dir / 'clouds.yaml'

    @property
    def console(self):
        """What the process wrote to its standard output and error."""
        return self.state_dir / 'logs' / 'console.log'

    @property
    def pid(self):
        return self.process.pid if self.process else None

    @property
    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def write_files(self):
        """Make the directories, cinder-ext.conf and clouds.yaml; the database stays if there is one."""
        self.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.state_dir.chmod(0o700)
        for name in ('logs', *self.backends):
            (self.state_dir / name).mkdir(mode=0o700, exist_ok=True)
        parser = configparser.ConfigParser(interpolation=None)
        parser.optionxform = str
        parser.read_dict(self._sections())
        with open(self.config_file, 'w', encoding='utf-8') as stream:
            parser.write(stream)
        self.clouds_file.write_text(CLOUDS_YAML.format(endpoint=self.api.endpoint))

    def _sections(self):
        state = self.state_dir
        sections = {
            'DEFAULT': {
                'enabled_backends': ','.join(self.backends),
                'auth_strategy': 'noauth',
                'transport_url': 'local://',
                'state_path': str(state),
                'host': 'host',
                'default_volume_type': self.backends[0],
                'log_file': str(state / 'logs' / 'cinder-ext.log'),
                'quota_volumes': '-1',
                'quota_snapshots': '-1',
                'quota_gigabytes': '-1',
                'quota_groups': '-1',
            },
            'database': {'connection': f'sqlite:///{state}/cinder-ext.db'},
            'api': {'port': str(self.port)},
        }
        for name in self.backends:
            sections[name] = {
                'volume_driver': 'file',
                'volume_backend_name': name,
                'file_path': str(state / name),
            }
        for section, values in self.options.items():
            sections.setdefault(section, {}).update({key: str(value) for key, value in values.items()})
        return sections

    def start(self, timeout=30):
        """Start the process and wait for its first answer.

        :returns: seconds until that answer
        :raises NotStarted: it ended, or ``timeout`` seconds were not enough
        """
        if not self.config_file.exists():
            self.write_files()
        began = time.monotonic()
        self.process = self.spawn(
            [self.binary, *self.arguments, '--config-file', str(self.config_file)],
            self.environment)
        try:
            self._await_answer(began + timeout)
        except BaseException:
            self.kill()
            raise
        return time.monotonic() - began

    def spawn(self, command, environment):
        """Start a process, in a session of its own.

        :param environment: variables besides those of this process
        """
        with open(self.console, 'ab') as stream:
            return subprocess.Popen(
                command, env={**os.environ, **environment}, stdin=subprocess.DEVNULL,
                stdout=stream, stderr=stream, start_new_session=True)

    def _await_answer(self, deadline):
        while not self.answers():
            if not self.is_running:
                raise NotStarted(
                    f'{self.binary} ended with {self.process.returncode}:\n{self.log_tail()}')
            if time.monotonic() > deadline:
                raise NotStarted(
                    f'{self.binary} does not answer on port {self.port}:\n{self.log_tail()}')
            time.sleep(0.05)

    def answers(self):
        """True when the API answers a request for its versions."""
        try:
            return requests.get(self.api.root + '/', timeout=2).status_code in (200, 300)
        except requests.RequestException:
            return False

    def log_tail(self, lines=20):
        found = []
        for path in (self.console, self.state_dir / 'logs' / 'cinder-ext.log'):
            if path.exists():
                found += path.read_text(errors='replace').splitlines()[-lines:]
        return '\n'.join(found)

    def stop(self, timeout=40):
        """Ask it to end (TERM) and wait; repeating it is harmless.

        :returns: its exit code; None when it was not running
        """
        return self._end(signal.SIGTERM, timeout)

    def kill(self):
        """End it at once (KILL); repeating it is harmless."""
        return self._end(signal.SIGKILL, 10)

    def _end(self, number, timeout):
        if self.process is None:
            return None
        if self.process.poll() is None:
            os.kill(self.process.pid, number)
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            code = self.process.wait(10)
        self.process = None
        return code

    def restart(self):
        """Stop it if it runs, and start it on the same state."""
        self.stop()
        return self.start()

    def client_environment(self):
        """Environment for the ``openstack`` command."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith('OS_')}
        return {**kept, 'OS_CLOUD': 'cinder-ext', 'OS_CLIENT_CONFIG_FILE': str(self.clouds_file)}

    def create_types(self):
        """A volume type per backend, of the same name, bound to it; existing ones stay."""
        present = {item['name'] for item in self.api.get('/types')['volume_types']}
        for name in self.backends:
            if name not in present:
                self.api.create_type(name, {'volume_backend_name': name})

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc_info):
        self.stop()
