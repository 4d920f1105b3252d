"""Tempest: its configuration, a run of it, and what must have passed."""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import json
import os
import pathlib
import signal
import subprocess

import daemons
import environments
import identity

HERE = pathlib.Path(__file__).parent
ALL = r'^(?=(tempest\.api\.volume|cinder_tempest_plugin\.api)\.)'

NEEDS_AN_IMAGE = (
    r'\[[^]]*\bimage\b|\.(VolumeAndVolumeTypeFromImageTest|CreateVolumesFromImageTest)\.'
    r'|\.VolumesExtendTest\.test_volume_extend\[')
"""Tests that make a volume from an image: those that say so, and three that do not."""


class Suite:
    """Tempest's tests of block storage against one cloud.

    :param running: daemons.Daemons; a run that is interrupted ends with it
    :param state: directory for tempest.conf and logs
    :param keystone: identity.Keystone
    """

    def __init__(self, running, state, keystone):
        self._running = running
        self._state = state
        self._config = state / 'tempest.conf'
        identity.write_config(self._config, _sections(state, keystone))
        top = next(environments.python_of('tempest').parents[1].glob('lib/python3*/site-packages'))
        (state / 'stestr.conf').write_text(
            f'[DEFAULT]\ntest_path={top}/tempest/test_discover\ntop_dir={top}\n'
            'group_regex=([^\\.]*\\.)*\n')

    def run(self, regex='', concurrency=2):
        """Run the tests of block storage whose ids match.

        :returns: iterator of results, each as soon as it is there: dictionaries of outcomes.py
        """
        stestr = environments.python_of('tempest').with_name('stestr')
        times = environments.CACHE / 'times'
        times.mkdir(exist_ok=True)
        words = [stestr, '--config', self._state / 'stestr.conf',
                 '--repo-url', times,
                 'run', '--subunit', '--concurrency', concurrency,
                 '--exclude-regex', NEEDS_AN_IMAGE,
                 f'{ALL}(?=.*(?:{regex}))']
        with open(self._running.logs / 'stestr.log', 'ab') as log:
            tests = subprocess.Popen(
                [str(word) for word in words], stdout=subprocess.PIPE, stderr=log, cwd=self._state,
                stdin=subprocess.DEVNULL, start_new_session=True,
                env={**os.environ, 'TEMPEST_CONFIG': self._config.name,
                     'TEMPEST_CONFIG_DIR': str(self._state)})
            self._running.callback(_end, tests)
            reader = subprocess.Popen(
                [str(environments.python_of('tempest')), str(HERE / 'outcomes.py')],
                stdin=tests.stdout, stdout=subprocess.PIPE, stderr=log, text=True,
                start_new_session=True)
            tests.stdout.close()
            self._running.callback(_end, reader)
        yield from map(json.loads, reader.stdout)
        if tests.wait() not in (0, 1) or reader.wait():
            raise daemons.Failed(f"Tempest did not run:\n{self._running.tail('stestr')}")


def required():
    """Ids of the tests that must pass."""
    lines = (HERE / 'required.txt').read_text().splitlines()
    return [line for line in lines if line and not line.startswith('#')]


def _end(process):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _sections(state, keystone):
    return {
        'DEFAULT': {'log_dir': state, 'log_file': 'tempest.log', 'debug': 'true'},
        'oslo_concurrency': {'lock_path': state / 'locks'},
        'auth': {'use_dynamic_credentials': 'true', 'admin_username': 'admin',
                 'admin_password': keystone.admin_password, 'admin_project_name': 'admin',
                 'admin_domain_name': 'Default', 'tempest_roles': 'member',
                 'create_isolated_networks': 'false'},
        'identity': {'uri_v3': keystone.url, 'region': identity.REGION},
        # Without an image service three classes fail in their set-up, although most of their
        # tests need no image; without a network service whole classes are skipped.
        'service_available': {'cinder': 'true', 'neutron': 'true', 'nova': 'false', 'glance': 'true',
                              'swift': 'false', 'horizon': 'false'},
        'volume': {'backend_names': 'alpha,beta', 'max_microversion': '3.71',
                   'catalog_type': 'block-storage', 'storage_protocol': 'file',
                   'vendor_name': 'cinder_ext', 'build_interval': 1, 'build_timeout': 60,
                   'manage_volume_ref': 'source-name,volume-%s.raw',
                   'manage_snapshot_ref': 'source-name,snapshot-%s.raw'},
        'compute-feature-enabled': {'volume_multiattach': 'true'},
        'volume-feature-enabled': {
            'backup': 'false', 'snapshot': 'true', 'clone': 'true', 'multi_backend': 'true',
            'manage_volume': 'true', 'manage_snapshot': 'true',
            'extend_volume_with_snapshot': 'true', 'volume_revert': 'true',
            'replication': 'true',
            'api_extensions': 'all'},
        # What a test reads it reads as a reader of the project.
        'enforce_scope': {'cinder': 'true'},
    }
