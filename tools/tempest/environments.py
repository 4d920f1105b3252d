"""Virtual environments for programs that are not ours: made once, used again."""
# SPDX-License-Identifier: Apache-2.0

import pathlib
import shutil
import subprocess
import sys
from concurrent import futures

CACHE = pathlib.Path(__file__).parents[2] / '.tempest'
"""Where everything lies that this tool makes; not under version control."""

WANTED = {
    'keystone': ('keystone>=30,<31', 'gunicorn>=23', 'PyMySQL>=1.1', 'python-memcached>=1.59'),
    'tempest': ('tempest>=47,<48', 'cinder-tempest-plugin>=1.23,<1.24'),
}
"""Name of an environment -> what pip installs there; required.txt belongs to these versions."""


class NotInstalled(Exception):
    """pip could not install something; what it said stands in the text."""


def python_of(name):
    return CACHE / f'env-{name}' / 'bin' / 'python'


def prepare():
    """Make the environments that are not there yet, side by side.

    :raises NotInstalled: pip failed
    """
    with futures.ThreadPoolExecutor(len(WANTED)) as pool:
        for made in [pool.submit(_make, name, wanted) for name, wanted in WANTED.items()]:
            made.result()


def _make(name, wanted):
    path = CACHE / f'env-{name}'
    stamp = path / '.prepared'
    words = '\n'.join((sys.version, *wanted))
    if stamp.exists() and stamp.read_text() == words:
        return
    print(f"Installing {' '.join(wanted)}", flush=True)
    shutil.rmtree(path, ignore_errors=True)
    path.parent.mkdir(exist_ok=True)
    _run(sys.executable, '-m', 'venv', path)
    _run(path / 'bin' / 'python', '-m', 'pip', 'install', '-q', '--disable-pip-version-check', *wanted)
    stamp.write_text(words)


def _run(*words):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotInstalled(f"{' '.join(map(str, words))} failed:\n{done.stdout}{done.stderr}")
