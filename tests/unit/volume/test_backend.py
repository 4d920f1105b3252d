"""What the journeys of one backend share ends with its service."""
# SPDX-License-Identifier: Apache-2.0

import os
from concurrent import futures

import processes
import pytest
import sqlalchemy as sa

from cinder_ext.drivers import values
from cinder_ext.drivers.conformance import workbench
from cinder_ext.drivers.generic import attach
from cinder_ext.volume.backend import Backend

VOLUME = values.Volume('11111111-2222-4333-8444-555555555555', values.GIB)


@pytest.fixture
def driver(tmp_path):
    made = workbench.started('file', file_path=tmp_path, file_format='qcow2')
    made.create_volume(VOLUME)
    yield made
    made.disconnect_volume(VOLUME, attach.connector_properties())
    made.stop()


def test_views_that_are_in_use_outlive_the_service_and_what_nobody_uses_ends(driver, tmp_path):
    connector = attach.connector_properties()
    path = driver.connect_volume(VOLUME, connector).data['device_path']
    Backend('host@alpha', driver).stop()
    assert os.stat(path).st_size == values.GIB
    driver.disconnect_volume(VOLUME, connector)
    Backend('host@alpha', driver).stop()
    processes.wait_for_the_end(tmp_path / 'views')


def test_recorded_work_that_finds_the_database_locked_is_told_and_can_be_taken_up_again(
        tmp_path, caplog):
    pool = futures.ThreadPoolExecutor(1)
    backend, done = Backend('host@alpha', workbench.started('file', file_path=tmp_path),
                            pool=pool), []

    def work(is_locked):
        if is_locked:
            raise sa.exc.OperationalError('', {}, Exception('database is locked'))
        done.append(True)

    backend.resume('volume', work, True)
    # Its one thread has done the other work before.
    pool.submit(int).result(10)
    backend.resume('volume', work, False)
    pool.submit(int).result(10)
    backend.stop()
    assert done == [True]
    assert 'volume: recorded work failed and is tried again' in caplog.text
