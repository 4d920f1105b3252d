"""The daemons as processes: start, answer, reload, stop, refuse."""
# SPDX-License-Identifier: Apache-2.0

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

PROJECT = '0123456789abcdef0123456789abcdef'

CONFIGURATION = """
[DEFAULT]
host = node
state_path = {directory}
log_file = {directory}/log
auth_strategy = noauth
enabled_backends = alpha
sweep_interval = 1
{more}
[api]
port = {port}
{api}
[alpha]
file_path = {directory}/alpha
"""


def _free_port():
    with socket.socket() as found:
        found.bind(('127.0.0.1', 0))
        return found.getsockname()[1]


class Daemon:
    """One configuration, and the processes that were started with it."""

    def __init__(self, directory):
        self.directory = directory
        self.port = _free_port()
        self.processes = []
        (directory / 'alpha').mkdir()
        self.configure()

    def configure(self, more='', api=''):
        self.file = self.directory / 'cinder-ext.conf'
        self.file.write_text(CONFIGURATION.format(directory=self.directory, port=self.port,
                                                  more=more, api=api))

    def spawn(self, name, *arguments):
        """Start ``cinder-ext-<name>``."""
        code = f'import sys; from cinder_ext.cmd.{name} import main; sys.exit(main())'
        process = subprocess.Popen(
            [sys.executable, '-c', code, '--config-file', str(self.file), *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.processes.append(process)
        return process

    def run(self, name, *arguments):
        """Run ``cinder-ext-<name>`` to its end: (exit code, standard output, standard error)."""
        process = self.spawn(name, *arguments)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def start(self):
        """Start everything in one process, and wait for its first answer."""
        process = self.spawn('all')
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and process.poll() is None:
            try:
                self.request('GET', '/v3/')
                return process
            except OSError:
                time.sleep(0.02)
        raise AssertionError(process.communicate()[1])

    def request(self, method, path, body=None):
        """(status, document)"""
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=30)
        try:
            connection.request(method, path, body and json.dumps(body),
                               {'Content-Type': 'application/json'})
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text else None
        finally:
            connection.close()

    def until_logged(self, text, seconds=60):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if text in self.log():
                return
            time.sleep(0.02)
        raise AssertionError(f'{text!r} is not in the log')

    def log(self):
        file = self.directory / 'log'
        return file.read_text() if file.exists() else ''

    def kill(self):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.communicate()


@pytest.fixture
def daemon(tmp_path):
    found = Daemon(tmp_path)
    yield found
    found.kill()


def _ends(process, signum=signal.SIGTERM):
    process.send_signal(signum)
    out, err = process.communicate(timeout=40)
    return process.returncode, out + err


def test_one_process_serves_a_volume_and_ends_with_silence(daemon):
    process = daemon.start()
    status, made = daemon.request('POST', f'/v3/{PROJECT}/volumes', {'volume': {'size': 1}})
    assert status == 202
    path = f"/v3/{PROJECT}/volumes/{made['volume']['id']}"
    deadline = time.monotonic() + 60
    while daemon.request('GET', path)[1]['volume']['status'] == 'creating':
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert daemon.request('GET', path)[1]['volume']['status'] == 'available'
    assert [file.stat().st_size for file in (daemon.directory / 'alpha/volumes').iterdir()] == [
        1024 ** 3]
    assert _ends(process) == (0, '')


def test_volume_asked_for_before_any_backend_is_up_is_created(daemon):
    os.rmdir(daemon.directory / 'alpha')
    daemon.start()
    _, made = daemon.request('POST', f'/v3/{PROJECT}/volumes', {'volume': {'size': 1}})
    (daemon.directory / 'alpha').mkdir()
    path = f"/v3/{PROJECT}/volumes/{made['volume']['id']}"
    deadline = time.monotonic() + 60
    while daemon.request('GET', path)[1]['volume']['status'] == 'creating':
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert daemon.request('GET', path)[1]['volume']['status'] == 'available'


def test_request_that_has_begun_is_answered_although_the_process_was_told_to_end(daemon):
    process = daemon.start()
    body = json.dumps({'volume': {'size': 1, 'name': 'last'}}).encode()
    with socket.create_connection(('127.0.0.1', daemon.port), timeout=20) as connection:
        connection.sendall(
            f'POST /v3/{PROJECT}/volumes HTTP/1.1\r\nHost: localhost\r\nContent-Length: '
            f'{len(body)}\r\nContent-Type: application/json\r\n\r\n'.encode() + body[:10])
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        daemon.until_logged('stopping')
        connection.sendall(body[10:])
        answer = connection.recv(65536)
    assert answer.startswith(b'HTTP/1.1 202 ')
    assert process.wait(40) == 0


def test_hangup_reads_the_configuration_again(daemon):
    process = daemon.start()
    daemon.until_logged('backend node@alpha is up')
    daemon.configure(more='report_interval = 7')
    process.send_signal(signal.SIGHUP)
    daemon.until_logged('reloading')
    daemon.until_logged('report_interval')
    assert daemon.request('GET', '/v3/')[0] == 200
    assert _ends(process)[0] == 0


def test_second_process_on_the_same_state_is_refused_and_names_the_first(daemon):
    first = daemon.start()
    code, _, err = daemon.run('all')
    assert code == 1
    assert f'is in use by process {first.pid}' in err
    assert daemon.request('GET', '/v3/')[0] == 200


def test_killed_process_leaves_no_lock_behind(daemon):
    first = daemon.start()
    first.kill()
    first.wait()
    assert _ends(daemon.start())[0] == 0


def test_taken_port_is_refused_in_one_line(daemon):
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(('127.0.0.1', daemon.port))
        taken.listen()
        code, _, err = daemon.run('all')
    assert code == 1
    assert len(err.splitlines()) == 1
    assert f'cannot listen on 127.0.0.1 port {daemon.port}' in err


@pytest.mark.parametrize('address', ['0.0.0.0', '::'])
def test_noauth_beyond_the_loopback_interface_is_refused(daemon, address):
    daemon.configure(api=f'listen = {address}')
    code, _, err = daemon.run('all')
    assert code == 1
    assert 'allow_noauth_beyond_loopback' in err


def test_noauth_beyond_the_loopback_interface_is_allowed_when_asked_for(daemon):
    daemon.configure(api='listen = 0.0.0.0\nallow_noauth_beyond_loopback = true')
    assert _ends(daemon.start())[0] == 0


def test_wrong_configuration_is_refused_in_one_line(daemon):
    daemon.configure(more='report_interval = often')
    code, _, err = daemon.run('all')
    assert code == 1
    assert 'report_interval' in err
    assert 'Traceback' not in err


def test_manage_brings_a_new_database_up_to_date(daemon):
    code, out, _ = daemon.run('manage', 'db', 'version')
    assert (code, out.split()[1]) == (1, 'none')
    assert daemon.run('manage', 'db', 'sync')[0] == 0
    assert daemon.run('manage', 'db', 'version')[0] == 0


def test_manage_lists_the_services(daemon):
    daemon.start()
    daemon.until_logged('backend node@alpha is up')
    _, out, _ = daemon.run('manage', 'service', 'list')
    assert [line.split()[:2] + line.split()[3:5] for line in out.splitlines()[1:]] == [
        ['cinder-scheduler', 'node', 'enabled', 'up'],
        ['cinder-volume', 'node@alpha', 'enabled', 'up']]


def test_manage_digests_a_file_whatever_its_holes(daemon, tmp_path):
    sparse, full = tmp_path / 'sparse', tmp_path / 'full'
    with sparse.open('wb') as file:
        file.truncate(5 << 20)
    full.write_bytes(bytes(5 << 20))
    found = daemon.run('manage', 'volume', 'digest', str(sparse))
    assert found == daemon.run('manage', 'volume', 'digest', str(full))
    assert (found[0], len(found[1].strip())) == (0, 64)
    full.write_bytes(bytes((5 << 20) - 1) + b'x')
    assert daemon.run('manage', 'volume', 'digest', str(full))[1] != found[1]
    shorter = daemon.run('manage', 'volume', 'digest', str(full), '--size-bytes', str(4 << 20))
    assert shorter[0] == 0


def test_manage_says_that_a_file_is_missing_in_one_line(daemon):
    code, _, err = daemon.run('manage', 'volume', 'digest', '/nonexistent')
    assert (code, len(err.splitlines())) == (1, 1)


def test_volume_daemon_refuses_a_backend_that_is_not_enabled(daemon):
    code, _, err = daemon.run('volume', '--backend', 'gamma')
    assert code == 1
    assert 'gamma' in err


def test_manage_removes_a_service_and_says_when_there_is_none(daemon):
    daemon.run('manage', 'db', 'sync')
    code, _, err = daemon.run('manage', 'service', 'remove', 'cinder-volume', 'node@alpha')
    assert (code, len(err.splitlines())) == (1, 1)
    _ends(daemon.start())
    code, out, _ = daemon.run('manage', 'service', 'remove', 'cinder-volume', 'node@alpha')
    assert (code, 'removed' in out) == (0, True)
    assert 'node@alpha' not in daemon.run('manage', 'service', 'list')[1]


def test_manage_purges_what_was_deleted_and_runs_data_migrations(daemon):
    daemon.run('manage', 'db', 'sync')
    assert daemon.run('manage', 'db', 'purge', '30')[:2] == (0, '')
    for days in ('-1', '1000000'):
        assert daemon.run('manage', 'db', 'purge', '--', days)[0] == 1
    code, out, _ = daemon.run('manage', 'db', 'online_data_migrations', '--max_count', '10')
    assert (code, out.split()[0]) == (0, 'Migration')


def test_manage_renames_the_host_of_volumes_and_deletes_a_volume(daemon):
    process = daemon.start()
    _, made = daemon.request('POST', f'/v3/{PROJECT}/volumes', {'volume': {'size': 1}})
    volume_id = made['volume']['id']
    path = f'/v3/{PROJECT}/volumes/{volume_id}'
    deadline = time.monotonic() + 60
    while daemon.request('GET', path)[1]['volume']['status'] != 'available':
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert daemon.run('manage', 'volume', 'update_host', '--currenthost', 'node@alpha', '--newhost',
                      'node@beta')[0] == 1
    for old, new in (('alpha', 'beta'), ('beta', 'alpha')):
        code, out, _ = daemon.run('manage', 'volume', 'update_host', '--currenthost',
                                  f'node@{old}#{old}', '--newhost', f'node@{new}#{new}')
        assert (code, out.split()[0]) == (0, '1')
    assert daemon.run('manage', 'volume', 'delete', volume_id)[0] == 0
    while daemon.request('GET', path)[0] != 404:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert list((daemon.directory / 'alpha/volumes').iterdir()) == []
    assert daemon.run('manage', 'volume', 'delete', volume_id)[0] == 1
    assert _ends(process)[0] == 0


def test_status_says_whether_a_deployment_is_ready(daemon):
    daemon.configure(more='enabled_backends = alpha')
    code, out, _ = daemon.run('status', 'upgrade', 'check')
    assert (code, 'cinder-ext-manage db sync' in out) == (2, True)
    daemon.run('manage', 'db', 'sync')
    code, out, _ = daemon.run('status', 'upgrade', 'check', '--json')
    found = {each['check']: each['result'] for each in json.loads(out)['checks']}
    assert code == 1
    assert found == {'Database schema': 0, 'Drivers of the enabled backends': 0, 'Policy file': 0,
                     'Authentication': 1, 'Services': 0, 'Replication targets': 0}


def test_status_names_a_driver_that_is_none_and_a_policy_file_that_is_missing(daemon):
    daemon.configure(api='[alpha]\nvolume_driver = none\n[oslo_policy]\npolicy_file = missing.yaml')
    _, out, _ = daemon.run('status', 'upgrade', 'check')
    assert 'there is no driver named none' in ' '.join(out.replace('|', ' ').split())
    assert 'missing.yaml does not exist' in out


def test_status_names_services_that_are_down(daemon):
    daemon.configure(more='service_down_time = 2\nreport_interval = 1')
    process = daemon.start()
    daemon.until_logged('backend node@alpha is up')
    _ends(process)
    daemon.configure(more='service_down_time = 5\nreport_interval = 1\nhost = other')
    process = daemon.start()
    daemon.until_logged('backend other@alpha is up')
    deadline = time.monotonic() + 60
    while True:
        _, out, _ = daemon.run('status', 'upgrade', 'check')
        assert 'other@alpha' not in out
        if 'cinder-volume on node@alpha' in ' '.join(out.replace('|', ' ').split()):
            break
        assert time.monotonic() < deadline, out
    _ends(process)
