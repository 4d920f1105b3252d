"""The service as separate daemons on a database server and a message broker.

One API, one scheduler, and one volume service for each backend, every one a
process of its own.  All that the embedded service can be asked can be asked
of these too; they share its state directory and its configuration file.
"""
# SPDX-License-Identifier: Apache-2.0

import os
import pathlib
import signal
import subprocess
import sys
import time

import embedded
import requests
import servers


class Daemons(embedded.EmbeddedService):
    """cinder-ext-api, cinder-ext-scheduler, and cinder-ext-volume for each backend.

    :param database_url: of the database for this deployment alone; it is made anew.  The flows
        are stored in another one beside it.
    :param transport_url: of the messages
    :ivar processes: name -> process; names are api, scheduler, and those of the backends
    """

    def __init__(self, state_dir, database_url, transport_url, options=None):
        self.processes = {}
        super().__init__(state_dir, options=options)
        self.database_url = database_url
        self.flows_url = servers.neighbour(database_url, 'flows')
        self.transport_url = transport_url

    @property
    def names(self):
        return ('scheduler', *self.backends, 'api')

    def _sections(self):
        sections = super()._sections()
        sections['DEFAULT']['transport_url'] = self.transport_url
        sections['database']['connection'] = self.database_url
        sections['flows'] = {'connection': self.flows_url}
        for section, values in self.options.items():
            sections.setdefault(section, {}).update({key: str(value) for key, value in values.items()})
        return sections

    def command(self, name):
        """What starts a daemon, without the configuration file."""
        found = pathlib.Path(sys.prefix) / 'bin'
        if name in self.backends:
            return [str(found / 'cinder-ext-volume'), '--backend', name]
        return [str(found / f'cinder-ext-{name}')]

    def environment_of(self, name):
        """Variables of a daemon besides those of this process."""
        return self.environment

    def prepare(self):
        """Write the configuration and make both databases anew, with their schemas."""
        self.write_files()
        for url in (self.database_url, self.flows_url):
            servers.make_empty(url)
        subprocess.run([str(pathlib.Path(sys.prefix) / 'bin' / 'cinder-ext-manage'),
                        '--config-file', str(self.config_file), 'db', 'sync'],
                       check=True, stdout=subprocess.DEVNULL, timeout=120)

    def start(self, timeout=60):
        """Start those that do not run, and wait for the API's first answer."""
        if not self.config_file.exists():
            self.prepare()
        began = time.monotonic()
        for name in self.names:
            if not self.runs(name):
                self.launch(name)
        while not self.answers():
            for name in self.names:
                if not self.runs(name):
                    raise embedded.NotStarted(f'{name} ended with {self.processes[name].returncode}:\n'
                                              f'{self.log_tail()}')
            if time.monotonic() > began + timeout:
                raise embedded.NotStarted(f'no answer on port {self.port}:\n{self.log_tail()}')
            time.sleep(0.05)
        return time.monotonic() - began

    def await_backends(self, timeout=60):
        """Return when the scheduler knows every backend; before that it may refuse one's type."""
        deadline = time.monotonic() + timeout
        while self._pools() < len(self.backends):
            if time.monotonic() > deadline:
                raise embedded.NotStarted(f'a backend does not report:\n{self.log_tail()}')
            time.sleep(0.1)

    def _pools(self):
        """How many the scheduler knows.  What is asked before it listens is answered by nobody."""
        try:
            return len(self.api.get('/scheduler-stats/get_pools', timeout=10)['pools'])
        except requests.Timeout:
            return 0

    def create_types(self):
        self.await_backends()
        super().create_types()

    def launch(self, name):
        """Start one daemon, and wait for nothing."""
        self.processes[name] = self.spawn(
            [*self.command(name), '--config-file', str(self.config_file)],
            self.environment_of(name))

    def runs(self, name):
        return name in self.processes and self.processes[name].poll() is None

    @property
    def is_running(self):
        return all(self.runs(name) for name in self.names)

    def kill_one(self, name):
        """End a daemon at once (KILL) and wait for its end."""
        self.processes[name].kill()
        self.processes.pop(name).wait(10)

    def _end(self, number, timeout):
        """Signal all, and wait for all.

        :returns: the exit codes of those that ran
        """
        ending, self.processes = self.processes, {}
        for process in ending.values():
            if process.poll() is None:
                os.kill(process.pid, number)
        codes = []
        for process in ending.values():
            try:
                codes.append(process.wait(timeout))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                codes.append(process.wait(10))
        return codes
