"""The API under WSGI servers that fork: gunicorn and uWSGI."""
# SPDX-License-Identifier: Apache-2.0

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).parents[3]

CONFIGURATION = """
[DEFAULT]
host = node
state_path = {directory}
log_file = {directory}/log
auth_strategy = noauth
[api]
allow_noauth_beyond_loopback = {allowed}
[metrics]
port = {metrics}
"""


def _free_port():
    with socket.socket() as found:
        found.bind(('127.0.0.1', 0))
        return found.getsockname()[1]


def _gunicorn(port, *more):
    return [sys.executable, '-m', 'gunicorn', '--workers', '2', '--threads', '4', '--bind',
            f'127.0.0.1:{port}', *more, 'cinder_ext.cmd.wsgi:application']


def _uwsgi(port):
    return ['uwsgi_python3', '--http-socket', f'127.0.0.1:{port}', '--master', '--processes', '2',
            '--threads', '4', '--enable-threads', '--die-on-term',
            *(word for path in sys.path if path.endswith('site-packages')
              for word in ('--pythonpath', path)),
            '--pythonpath', str(ROOT), '--module', 'cinder_ext.cmd.wsgi:application']


class Site:
    """One configuration with a database, and a server on it."""

    def __init__(self, directory):
        self.directory = directory
        self.port, self.metrics = _free_port(), _free_port()
        self.figures = directory / 'figures'
        self.figures.mkdir()
        self.server = None

    def start(self, command, allowed=True):
        file = self.directory / 'cinder-ext.conf'
        file.write_text(CONFIGURATION.format(directory=self.directory, metrics=self.metrics,
                                             allowed=allowed))
        code = 'import sys; from cinder_ext.cmd.manage import main; sys.exit(main())'
        subprocess.run([sys.executable, '-c', code, '--config-file', str(file), 'db', 'sync'],
                       check=True, timeout=60)
        environment = {**os.environ, 'CINDER_EXT_CONFIG_FILES': str(file),
                       'PROMETHEUS_MULTIPROC_DIR': str(self.figures)}
        with open(self.directory / 'server.log', 'wb') as log:
            self.server = subprocess.Popen(command, env=environment, stdout=log,
                                           stderr=subprocess.STDOUT)

    def get(self, path, port=None):
        """(status, text); waits until the server answers."""
        deadline = time.monotonic() + 90
        while True:
            try:
                with urllib.request.urlopen(f'http://127.0.0.1:{port or self.port}{path}',
                                            timeout=20) as answer:
                    return answer.status, answer.read().decode()
            except urllib.error.HTTPError as error:
                return error.code, error.read().decode()
            except OSError:
                if time.monotonic() > deadline or self.server.poll() is not None:
                    raise AssertionError((self.directory / 'server.log').read_text())
                time.sleep(0.05)

    def stop(self):
        """Ends the server; returns its exit code."""
        self.server.send_signal(signal.SIGTERM)
        try:
            return self.server.wait(30)
        finally:
            self.server.kill()
            self.server.wait()


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path)
    yield made
    if made.server is not None:
        made.stop()


def _answers(site):
    status, text = site.get('/v3/volumes/detail')
    assert (status, json.loads(text)) == (200, {'volumes': []})


@pytest.mark.parametrize('more', [(), ('--preload',)], ids=['forked', 'preloaded'])
def test_gunicorn_serves_on_several_workers_and_sums_their_figures(site, more):
    site.start(_gunicorn(site.port, *more))
    for _ in range(20):
        _answers(site)
    deadline, wanted = time.monotonic() + 60, 'route="/volumes/detail"} 20.0'
    text = ''
    while wanted not in text and time.monotonic() < deadline:
        text = site.get('/metrics', site.metrics)[1]
    assert wanted in text
    assert site.stop() == 0


def test_uwsgi_serves_on_several_workers(site):
    assert shutil.which('uwsgi_python3'), 'the Debian package uwsgi-plugin-python3 is missing'
    site.start(_uwsgi(site.port))
    for _ in range(20):
        _answers(site)
    assert site.stop() == 0


def test_noauth_is_refused_where_the_address_is_not_known(site):
    site.start(_gunicorn(site.port), allowed=False)
    assert site.get('/v3/volumes')[0] == 500
    assert 'auth_strategy is noauth' in (site.directory / 'server.log').read_text()
