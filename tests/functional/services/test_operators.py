"""What operators ask of services that run: frozen backends, sweeps, log levels, capabilities."""
# SPDX-License-Identifier: Apache-2.0

import logging

import pytest

from cinder_ext import exceptions
from cinder_ext.db import services, snapshots, volume_types
from cinder_ext.rpc import control


@pytest.fixture
def control_api(cloud):
    return control.ControlAPI(cloud.conf)


def _service(cloud, binary='cinder-volume', host='node@alpha'):
    return services.get(cloud.context, binary, host)


def test_a_frozen_backend_gets_no_volumes_although_it_is_enabled(cloud):
    services.set_frozen(cloud.context, 'node@alpha', True)
    services.set_disabled(cloud.context, 'cinder-volume', 'node@alpha', False)
    assert cloud.row(cloud.volume(status='error')).host is None
    services.set_frozen(cloud.context, 'node@alpha', False)
    assert cloud.row(cloud.volume()).host == 'node@alpha#alpha'


def test_a_sweep_that_is_asked_for_takes_up_recorded_work(cloud, control_api):
    volume_id = cloud.volume()
    snapshot_id = snapshots.create(cloud.context, {'volume_id': volume_id}).id
    control_api.sweep(cloud.context, _service(cloud))
    cloud.until(lambda: snapshots.get(cloud.context, snapshot_id).status == 'available')


def test_a_sweep_of_the_scheduler_places_what_was_recorded(cloud, control_api):
    volume_id = cloud.record_volume()
    control_api.sweep(cloud.context, _service(cloud, 'cinder-scheduler', 'node'))
    cloud.becomes(volume_id, 'available')


@pytest.mark.parametrize(('binary', 'host'), [('cinder-volume', 'node@alpha'),
                                              ('cinder-scheduler', 'node')])
def test_log_levels_are_set_and_told(cloud, control_api, binary, host):
    logger = logging.getLogger('operators.test')
    logger.setLevel(logging.NOTSET)
    control_api.set_log_levels(cloud.context, _service(cloud, binary, host), 'operators.', 'ERROR')
    cloud.until(lambda: logger.level == logging.ERROR)
    found = control_api.get_log_levels(cloud.context, _service(cloud, binary, host), 'operators.')
    assert found == {'operators.test': 'ERROR'}


def test_capabilities_are_what_the_pools_say(cloud):
    told = cloud.volume_api.get_capabilities(cloud.context, 'node@alpha#alpha')
    pool = cloud.pools(detail=True)[0]['capabilities']
    for word in ('vendor_name', 'volume_backend_name', 'driver_version', 'storage_protocol'):
        assert told[word] == pool[word] is not None
    assert told['properties']['qos'] == {'title': 'QoS', 'description': 'Enables QoS.',
                                         'type': 'boolean'}


def test_pools_are_filtered_by_what_a_type_asks_for(cloud):
    found = cloud.scheduler_api.get_pools(cloud.context, filters={'volume_type': 'beta'})
    assert [pool['name'] for pool in found] == ['node@beta#beta']
    volume_types.create(cloud.context, {'name': 'odd'}, {'color': 'red'})
    assert cloud.scheduler_api.get_pools(cloud.context, filters={'volume_type': 'odd'}) == []
    with pytest.raises(exceptions.VolumeTypeNotFound):
        cloud.scheduler_api.get_pools(cloud.context, filters={'volume_type': 'none'})
