"""A volume service that is killed while a chain goes from raw files to qcow2 layers, and back."""
# SPDX-License-Identifier: Apache-2.0

import os

import layered
import pytest

from cinder_ext.drivers.conformance import workbench

MIB = 1024 ** 2
LONG = bool(os.environ.get('CINDER_EXT_LONG'))
INTERVAL = 4 * MIB

WAY = [f'bytes:{3 * MIB}', 'step:copy-link-0001:SUCCESS']
LONG_WAY = ['step:create-target:RUNNING', f'bytes:{3 * MIB}', f'bytes:{5 * MIB}',
            'step:copy-link-0001:RUNNING', f'bytes:{3 * MIB}', 'step:copy-link-0002:RUNNING',
            f'bytes:{2 * MIB}', 'step:verify-chain:RUNNING', 'step:swap-records:SUCCESS',
            'step:remove-source:RUNNING', 'step:remove-source:SUCCESS']


@pytest.fixture
def service(killable, tmp_path):
    """alpha has raw files, beta qcow2 layers."""
    class Mixed(killable):
        options_of_all = {**killable.options_of_all, 'beta': {'file_format': 'qcow2'}}

        def path(self, backend, kind, name_id):
            if backend == 'alpha':
                return super().path(backend, kind, name_id)
            return layered.flat(layered.layer(self.state_dir / backend, kind, name_id),
                                self.state_dir / 'flat')

        def files(self, backend):
            if backend == 'alpha':
                return super().files(backend)
            return [path.name for path in layered.layers(self.state_dir / backend)]

    made = Mixed(tmp_path / 'state')
    yield made
    made.kill()
    beta = tmp_path / 'state' / 'beta'
    layered.let_go(workbench.started('file', file_path=beta, file_format='qcow2'), beta)


def test_killed_on_the_way_to_layers_and_on_the_way_back(service, travel, record_property):
    traveller = travel()
    for points in (LONG_WAY, LONG_WAY) if LONG else (WAY, WAY[::-1]):
        copied, killed = service.copied(), service.kills
        service.stop()
        service.begin(points[0])
        traveller.depart()
        for point in points[1:]:
            if service.dies(is_over(traveller)):
                service.begin(point)
        service.dies(is_over(traveller))
        if not service.is_running:
            service.begin()
        record = traveller.arrive()
        kills = service.kills - killed
        assert kills >= len(points) - 1
        assert record['attempt'] > kills
        assert service.copied() - copied <= traveller.unique + kills * INTERVAL
    record_property('kills', service.kills)


def is_over(traveller):
    def asked():
        record = traveller.record()
        return record is not None and record['phase'] in ('finished', 'failed')
    return asked
