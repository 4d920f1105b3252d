"""Separate daemons on a database server and RabbitMQ, killed one by one: nothing is lost."""
# SPDX-License-Identifier: Apache-2.0

import os
import random
import time

import pytest
import servers

LONG = bool(os.environ.get('CINDER_EXT_LONG'))
DATABASES = servers.database_urls() if servers.transport_urls() else []
FIRST = DATABASES[:1]
MIB = 1024 ** 2

POINTS = [f'step:{step}' for step in (
    'create-target:RUNNING', 'copy-link-0001:SUCCESS', 'verify-chain:RUNNING',
    'swap-records:RUNNING', 'swap-records:SUCCESS', 'remove-source:SUCCESS')]


@pytest.mark.parametrize('service', DATABASES, indirect=True, ids=servers.kind)
def test_the_source_is_killed_at_steps_of_both_flows(service, story, record_property):
    points = POINTS if LONG or service.database_url.startswith('mysql') else POINTS[1::3]
    assert story.retype_until_killed(points[0])
    for point in points[1:]:
        service.begin(point)
        assert service.dies(story.is_over), point
    story.ends_well()
    assert service.kills == len(points)
    record_property('kills', service.kills)


@pytest.mark.parametrize('service', FIRST, indirect=True, ids=servers.kind)
def test_any_daemon_is_killed_at_any_moment(service, tell, record_property):
    """Scheduler and both ends, a dozen times; each is started again at once."""
    service.options = {**service.options, 'alpha': {'file_copy_bytes_per_second': 6 * MIB}}
    moments, story, during = random.Random(7), tell(), 0
    service.api.retype(story.volume_id, 'beta')
    for number in range(40 if LONG else 12):
        name = ('alpha', 'beta', 'scheduler')[number % 3]
        time.sleep(moments.uniform(0.05, 1.5))
        during += not story.is_over()
        service.kill_one(name)
        service.kills += 1
        service.launch(name)
    story.ends_well()
    assert during >= 6
    record_property('kills', service.kills)


@pytest.mark.parametrize('service', FIRST, indirect=True, ids=servers.kind)
def test_a_call_that_dies_with_the_destination_is_sent_again(story):
    story.service.victim = 'beta'
    assert story.retype_until_killed('call:create_snapshot')
    record = story.ends_well()
    assert record['attempt'] == 1


@pytest.mark.parametrize('service', FIRST, indirect=True, ids=servers.kind)
def test_what_was_cast_to_a_killed_service_is_done_by_its_successor(service):
    """A broker forgets a message when a service takes it: what the service was told is in rows."""
    service.begin()
    service.create_types()
    asked = []
    for name in ('scheduler', 'alpha', 'scheduler', 'alpha'):
        asked += [service.api.post('/volumes', {'volume': {'size': 1, 'volume_type': 'alpha'}})
                  ['volume']['id'] for _ in range(5)]
        service.kill_one(name)
        service.launch(name)
    for volume_id in asked:
        assert service.api.wait_volume(volume_id, timeout=60)['status'] == 'available'
    assert len(service.files('alpha')) == len(asked)
    for number, volume_id in enumerate(asked):
        service.api.call('DELETE', f'/volumes/{volume_id}')
        if number % 7 == 3:
            service.kill_one('alpha')
            service.launch('alpha')
    _until(lambda: service.api.get('/volumes')['volumes'] == [])
    assert service.files('alpha') == []


def _until(claim, seconds=60):
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline
        time.sleep(0.1)
