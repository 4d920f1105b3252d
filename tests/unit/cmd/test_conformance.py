"""cinder-ext-conformance, as a driver author starts it."""
# SPDX-License-Identifier: Apache-2.0

import os
import subprocess
import sys

import pytest

COMMAND = 'import sys; from cinder_ext.cmd import conformance; sys.exit(conformance.main())'
CASES = 'repeating_a_create_keeps or deleted_volume_gives or every_capability'
FORGETFUL = '''
from cinder_ext.drivers import file


class Forgetful(file.FileDriver):
    """Says that it has deleted a volume, and has not."""

    def delete_volume(self, volume):
        pass
'''


@pytest.fixture
def try_driver(tmp_path):
    """try_driver(name, *words) -> (exit code, output): of a driver on an empty directory."""
    (tmp_path / 'backend').mkdir()
    (tmp_path / 'forgetful.py').write_text(FORGETFUL)
    registered = tmp_path / 'forgetful-1.dist-info'
    registered.mkdir()
    (registered / 'METADATA').write_text('Metadata-Version: 2.1\nName: forgetful\nVersion: 1\n')
    (registered / 'entry_points.txt').write_text(
        '[cinder_ext.drivers]\nforgetful = forgetful:Forgetful\n')

    def _try(name, *words, backend='mine'):
        config = tmp_path / 'service.conf'
        config.write_text(f'[mine]\nvolume_driver = {name}\nfile_path = {tmp_path}/backend\n')
        done = subprocess.run(
            [sys.executable, '-c', COMMAND, '--config-file', str(config), '--backend', backend,
             *words], capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path,
            env={**os.environ, 'PYTHONPATH': str(tmp_path)})
        return done.returncode, done.stdout + done.stderr

    return _try


def test_driver_that_keeps_its_contract_passes_and_leaves_nothing(try_driver, tmp_path):
    code, said = try_driver('file', '-q', '-k', CASES)
    assert code == 0, said
    assert 'capabilities: ' in said
    assert '3 passed' in said
    assert not [each for each in (tmp_path / 'backend').rglob('*') if each.is_file()]


def test_driver_that_breaks_its_contract_fails_by_the_name_of_the_case(try_driver):
    code, said = try_driver('forgetful', '-q', '-k', CASES)
    assert code == 1
    assert 'test_a_deleted_volume_gives_its_size_back' in said
    assert '1 failed, 2 passed' in said


def test_backend_that_cannot_start_is_refused_with_the_reason(try_driver):
    code, said = try_driver('nobody')
    assert (code, said.splitlines()[-1]) == (
        2, 'cinder-ext-conformance: The configuration of backend mine is wrong: '
           'there is no driver named nobody')
