"""Many lines of the ``openstack`` client in one process: each costs its requests, not a start.

As a program it reads lines of JSON, each the words of one command, and answers each
with a line of JSON: ``[code, standard output, standard error]``.
"""
# SPDX-License-Identifier: Apache-2.0

import collections
import contextlib
import importlib
import importlib.metadata
import io
import json
import shlex
import subprocess
import sys

import embedded
import neighbours
import rest

GROUPS = {
    'openstack.volume.v3': None,
    'openstack.common': ('availability_zone_list', 'extension_list', 'limits_show', 'quota_delete',
                         'quota_list', 'quota_set', 'quota_show', 'versions_show'),
}
"""Entry point groups of the client -> those that concern this service; None: all."""


def family(distribution='python-openstackclient'):
    """The names of the commands which a distribution has for block storage, as one types them."""
    points = importlib.metadata.distribution(distribution).entry_points
    return sorted(point.name.replace('_', ' ') for group, names in GROUPS.items()
                  for point in points.select(group=group) if names is None or point.name in names)


OTHER_PROJECT = 'f' * 32
SERVER = '5a3d8a9c-52ce-4d29-8fbb-6ae0c5d1a2b7'

WORKS = 'works'
REFUSED = 'refused'
CLIENT = 'fails in the client'
ABSENT = 'not served'
TRIED = {}


def tries(*commands, result=WORKS):
    """Name the commands of a test; they must have been run, and ended so, when it is over.

    :param result: WORKS; REFUSED, where the service says why it does not; CLIENT, where the client
        asks for something else than the API has; ABSENT, where there is no such resource here
    """
    def mark(test):
        test.tried = {**getattr(test, 'tried', {}), **dict.fromkeys(commands, result)}
        TRIED.update(test.tried)
        return test
    return mark


class Failed(Exception):
    """A command ended otherwise than expected; the text holds what it wrote."""


class Openstack:
    """A process of the client.

    :param environment: of that process: names the cloud
    :param options: what stands before each command
    :ivar ended: command -> set of how it ended: True, it worked; False, it did not
    """

    def __init__(self, environment, options=()):
        self.ended = collections.defaultdict(set)
        self._options = list(options)
        self._names = sorted((*family(), *family('cinder-ext')), key=len, reverse=True)
        self._process = subprocess.Popen(
            [sys.executable, __file__], env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def attempt(self, line):
        """Run one command, whatever its end.

        :returns: (code, standard output, standard error)
        """
        self._process.stdin.write(json.dumps([*self._options, *shlex.split(line)]) + '\n')
        self._process.stdin.flush()
        code, out, err = json.loads(self._process.stdout.readline())
        name = next((each for each in self._names if f'{line} '.startswith(f'{each} ')), None)
        self.ended[name].add(code == 0)
        return code, out, err

    def __call__(self, line):
        """What a command that shows or lists something has found, decoded.

        :raises Failed: its code is not 0
        """
        return json.loads(self.do(f'{line} -f json'))

    def do(self, line):
        """Run a command; its standard output.

        :raises Failed: its code is not 0
        """
        code, out, err = self.attempt(line)
        if code:
            raise Failed(f'openstack {line}: {code}\n{out}{err}')
        return out

    def refused(self, line):
        """Run a command that must fail; what it says.

        :raises Failed: its code is not 1, or it does not know why
        """
        code, out, err = self.attempt(line)
        if code != 1 or 'Traceback' in err or 'HTTP 5' in err or 'Server Error' in err:
            raise Failed(f'openstack {line}: {code}\n{out}{err}')
        return err

    def close(self):
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


class Cloud:
    """The service, stand-ins of what is beside it, and a client for each user.

    ``admin`` of the project operators is an administrator, ``user`` of the project others is not.
    The backend alpha replicates to ``far``.

    :param state_dir: of the service
    :ivar admin: the client of ``admin``
    """

    def __init__(self, state_dir):
        (state_dir / 'far').mkdir(parents=True, exist_ok=True)
        self.service = embedded.EmbeddedService(state_dir, options={'alpha': {
            'replication_device': f'backend_id:far,path:{state_dir}/far,modes:async'}})
        self.api = self.service.api
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        with self._stack as stack:
            stack.enter_context(self.service)
            self.service.create_types()
            beside = stack.enter_context(neighbours.Neighbours(
                self.api.root + '/v3/{project_id}', {'admin': 'operators', 'user': 'others'},
                {'operators': embedded.PROJECT_ID, 'others': OTHER_PROJECT}, {'server': SERVER}))
            clouds = self.service.state_dir / 'clouds-beside.yaml'
            clouds.write_text(beside.clouds())
            self._environment = {**self.service.client_environment(),
                                 'OS_CLIENT_CONFIG_FILE': str(clouds)}
            self.admin = self.client('admin')
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc_info):
        self._stack.close()

    def client(self, user):
        made = Openstack({**self._environment, 'OS_CLOUD': user},
                         ['--os-volume-api-version', '3.71'])
        self._stack.callback(made.close)
        return made

    def volume(self, name, **values):
        return self.api.create_volume(1, name=name, volume_type='alpha', **values)['id']

    def wait(self, path, status='available'):
        """The resource at a path when it has a status."""
        def reached():
            found, = self.api.get(path).values()
            return found if found['status'] == status else None
        return rest.wait_for(reached, f'{path} to be {status}')


def _run(shell, words):
    """The words of one command to its [code, standard output, standard error]."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = shell().run(words)
        except SystemExit as ended:
            code = ended.code
    return [code, out.getvalue(), err.getvalue()]


def main():
    # Only the process that runs the commands has the client: it takes a second to load.
    shell = importlib.import_module('openstackclient.shell').OpenStackShell
    for line in sys.stdin:
        print(json.dumps(_run(shell, json.loads(line))), flush=True)


if __name__ == '__main__':
    main()
