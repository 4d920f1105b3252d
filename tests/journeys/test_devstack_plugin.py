"""The DevStack plugin, through all its phases, against stand-ins of DevStack's own functions."""
# SPDX-License-Identifier: Apache-2.0

import configparser
import contextlib
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

from cinder_ext.conf import options
from cinder_ext.drivers import loader

ROOT = pathlib.Path(__file__).parents[2]
SCRIPTS = ('devstack/plugin.sh', 'devstack/settings', 'tests/journeys/devstack_standins.sh')
STACK = ('stack pre-install', 'stack install', 'stack post-config', 'stack extra',
         'stack test-config')
ALL_SERVICES = 'cext-api cext-sch cext-vol nova tempest'


class DevStack:
    """One host with DevStack on it, in a directory."""

    def __init__(self, directory, services=ALL_SERVICES, **variables):
        self.directory = directory
        with socket.socket() as found:
            found.bind(('127.0.0.1', 0))
            self.port = found.getsockname()[1]
        self.environment = {**os.environ, 'STANDINS': str(directory), 'CHECKOUT': str(ROOT),
                            'PYTHON': sys.executable, 'PORT': str(self.port),
                            'SERVICES': services, **variables}

    def run(self, *phases):
        """Go through phases of the plugin in one shell."""
        done = subprocess.run(
            ['bash', str(ROOT / 'tests' / 'journeys' / 'devstack_standins.sh'), *phases],
            env=self.environment, capture_output=True, text=True, timeout=180, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    @property
    def calls(self):
        file = self.directory / 'calls'
        return file.read_text().splitlines() if file.exists() else []

    @property
    def conf_file(self):
        return self.directory / 'etc' / 'cinder_ext.conf'

    def get(self, path):
        """The status and document of an answer of the API."""
        try:
            with urllib.request.urlopen(f'http://127.0.0.1:{self.port}{path}', timeout=10) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as fault:
            return fault.code, json.load(fault)

    def pids(self):
        return {path.stem: int(path.read_text()) for path in self.directory.glob('*.pid')}

    def services_up(self):
        """Lines of the services that are alive, by cinder-ext-manage."""
        done = subprocess.run(
            [self.directory / 'bin' / 'cinder-ext-manage', '--config-file', self.conf_file,
             'service', 'list'], capture_output=True, text=True, timeout=60, check=True)
        return [line.split()[:2] for line in done.stdout.splitlines() if ' up ' in line]


@pytest.fixture
def make(tmp_path):
    """make(services, **variables) -> DevStack; what it started is ended."""
    made = []

    def build(*args, **variables):
        made.append(DevStack(tmp_path, *args, **variables))
        return made[-1]

    yield build
    for stack in made:
        for pid in stack.pids().values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)


def _is_running(pid):
    """Whether a process is there and is no zombie."""
    try:
        return pathlib.Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0] != 'Z'
    except FileNotFoundError:
        return False


def _ini(path):
    found = configparser.ConfigParser(default_section='none', interpolation=None)
    found.read(path)
    return found


def test_scripts_have_no_finding_of_shellcheck():
    found = pathlib.Path(sys.executable).with_name('shellcheck')
    command = str(found) if found.exists() else shutil.which('shellcheck')
    assert command, 'shellcheck is not installed: it comes with the extra "test"'
    done = subprocess.run([command, '-x', *SCRIPTS], cwd=ROOT, capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode == 0, done.stdout


def test_stack_unstack_and_clean_leave_what_they_should(make):
    stack = make()
    stack.run(*STACK)

    conf = options.new()
    options.parse(conf, ['--config-file', str(stack.conf_file)])
    assert conf.enabled_backends == ['alpha', 'beta']
    assert (conf.auth_strategy, conf.default_volume_type) == ('keystone', 'alpha')
    assert (conf.api.listen, conf.api.port) == ('127.0.0.1', stack.port)
    assert conf.database.connection == f'sqlite:///{stack.directory}/cinder_ext.db'
    written = _ini(stack.conf_file)
    assert [name for name in written['DEFAULT'] if name not in conf] == ['transport_url']
    assert [name for name in written['api'] if name not in conf.api] == []
    for section in conf.enabled_backends:
        driver = loader.load(conf, section)
        driver.start()
        assert [pool.name for pool in driver.report()] == [section]
        assert [name for name in written[section] if name not in conf[section]] == []
    assert stack.conf_file.stat().st_mode & 0o007 == 0

    assert stack.get('/')[1]['versions'][0]['id'] == 'v3.0'
    deadline = time.monotonic() + 30
    while len(stack.services_up()) < 3 and time.monotonic() < deadline:
        time.sleep(0.2)
    up = stack.services_up()
    assert {binary for binary, _ in up} == {'cinder-scheduler', 'cinder-volume'}
    assert len(up) == 3

    pids = stack.pids()
    assert set(pids) == {'cext-api', 'cext-sch', 'cext-vol'}
    stack.run('unstack')
    assert not any(_is_running(pid) for pid in pids.values())
    assert stack.conf_file.exists()
    stack.run('clean')
    assert not stack.conf_file.exists()
    assert not (stack.directory / 'data' / 'cinder_ext').exists()


def test_endpoint_types_and_tempest_are_set_up(make):
    stack = make('cext-api nova tempest', CINDER_EXT_SERVICE_TYPES='block-storage,volumev3')
    stack.run(*STACK, 'unstack')
    url = f'http://127.0.0.1:{stack.port}/v3'
    calls = stack.calls
    assert 'create_service_user cinder admin' in calls
    for type_ in ('block-storage', 'volumev3'):
        assert f'get_or_create_service cinder {type_} Block storage' in calls
        assert f'get_or_create_endpoint {type_} RegionOne {url}' in calls
    for name in ('alpha', 'beta'):
        assert (f'openstack --os-cloud devstack-admin volume type create --property '
                f'volume_backend_name={name} {name}') in calls
    assert 'disable_service c-api c-sch c-vol c-bak' in calls
    assert 'enable_service cext-api cext-sch cext-vol' in calls
    nova = _ini(stack.directory / 'nova.conf')['cinder']
    assert (nova['catalog_info'], nova['username']) == ('block-storage::publicURL', 'nova')
    tempest = _ini(stack.directory / 'tempest.conf')
    assert tempest['service_available']['cinder'] == 'True'
    assert dict(tempest['volume']) == {
        'catalog_type': 'block-storage', 'storage_protocol': 'file', 'vendor_name': 'cinder_ext',
        'backend_names': 'alpha,beta', 'max_microversion': '3.71',
        'manage_volume_ref': 'source-name,volume-%s',
        'manage_snapshot_ref': 'source-name,snapshot-%s'}
    assert dict(tempest['volume-feature-enabled']) == {
        'backup': 'False', **dict.fromkeys((
            'snapshot', 'clone', 'multi_backend', 'manage_volume', 'manage_snapshot',
            'extend_volume_with_snapshot', 'volume_revert'), 'True')}


def test_stacking_again_keeps_nothing_of_the_configuration_before(make):
    stack = make(CINDER_EXT_ENABLED_BACKENDS='alpha,beta')
    stack.run('stack install', 'stack post-config')
    stack.environment['CINDER_EXT_ENABLED_BACKENDS'] = 'gamma'
    stack.run('stack post-config')
    found = _ini(stack.conf_file)
    assert found['DEFAULT']['enabled_backends'] == 'gamma'
    assert found['DEFAULT']['default_volume_type'] == 'gamma'
    assert not found.has_section('alpha')
    assert found['gamma']['file_path'].endswith('/backends/gamma')
    assert (stack.directory / 'data' / 'cinder_ext' / 'backends' / 'gamma').is_dir()


def test_backend_that_replicates_has_a_target_and_tempest_knows(make):
    stack = make(CINDER_EXT_REPLICATED_BACKENDS='beta')
    stack.run('stack install', 'stack post-config', 'stack test-config')
    found, remote = _ini(stack.conf_file), '/backends/beta-remote,modes:async'
    assert not found.has_option('alpha', 'replication_device')
    assert found['beta']['replication_device'].startswith('backend_id:beta-remote,path:/')
    assert found['beta']['replication_device'].endswith(remote)
    assert (stack.directory / 'data' / 'cinder_ext' / 'backends' / 'beta-remote').is_dir()
    tempest = _ini(stack.directory / 'tempest.conf')
    assert tempest['volume-feature-enabled']['replication'] == 'True'


def test_host_with_a_volume_service_alone_registers_nothing(make):
    stack = make('cext-vol')
    stack.run(*STACK)
    assert set(stack.pids()) == {'cext-vol'}
    assert not [call for call in stack.calls if call.startswith(('create_', 'get_or', 'openstack'))]
    assert not (stack.directory / 'tempest.conf').exists()
    assert not (stack.directory / 'nova.conf').exists()
    stack.run('unstack')


def test_host_without_our_services_is_left_alone(make):
    stack = make('nova tempest', CINDER_EXT_REPLACES_CINDER='no')
    stack.run(*STACK, 'unstack', 'clean')
    assert sorted(path.name for path in stack.directory.iterdir()) == ['calls']
    assert not [call for call in stack.calls if call.startswith('disable_service')]
