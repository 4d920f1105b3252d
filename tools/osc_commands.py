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
