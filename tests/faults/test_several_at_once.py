"""Several processes die at once, the database server, the broker: nothing is lost."""
# SPDX-License-Identifier: Apache-2.0

import os
import random

import pytest
import servers

LONG = bool(os.environ.get('CINDER_EXT_LONG'))
FIRST = (servers.database_urls() if servers.transport_urls() else [])[:1]
MIB = 1024 ** 2
TOGETHER = (('alpha', 'beta'), ('api', 'alpha'), ('scheduler', 'beta'),
            ('alpha', 'beta', 'scheduler', 'api'))


def slow(service):
    """Long enough ways to be interrupted in, and patience with whoever starts meanwhile."""
    service.options = {
        **service.options, 'migration': {'checkpoint_mib': 4},
        **{name: {'file_copy_bytes_per_second': 16 * MIB} for name in service.backends}}


def kill_together(service, names):
    for name in names:
        service.processes[name].kill()
    for name in names:
        service.kill_one(name)
        service.kills += 1


@pytest.mark.parametrize('service', FIRST, indirect=True, ids=servers.kind)
def test_processes_are_killed_together(service, travel, record_property):
    slow(service)
    moments, traveller = random.Random(9), travel()
    for names in TOGETHER * (5 if LONG else 1):
        traveller.depart()
        traveller.wait(('copying', 'verifying', 'committing', 'tidying'),
                       moments.choice((0, 3, 9, 20)) * MIB)
        kill_together(service, names)
        for name in names:
            service.launch(name)
        traveller.arrive()
    assert service.kills == 10 * (5 if LONG else 1)
    record_property('kills', service.kills)


@pytest.mark.parametrize('service', FIRST, indirect=True, ids=servers.kind)
def test_the_database_is_killed_and_started_again(service, own_server, travel, record_property):
    """The database while it copies, alone and with the services of both ends."""
    database = own_server('mariadb', 'MARIADB_URL_BASE')
    service.database_url = database.proxy.url(database.url + '/cinder_ext')
    service.flows_url = database.proxy.url(database.url + '/cinder_ext_flows')
    slow(service)
    traveller = travel()
    for daemons in ((), ('alpha', 'beta')):
        traveller.depart()
        traveller.wait(('copying', 'verifying'), 3 * MIB)
        with database.dead():
            kill_together(service, daemons)
            service.kills += 1
        for name in daemons:
            service.launch(name)
        traveller.arrive()
    assert service.kills == 4
    record_property('kills', service.kills)


@pytest.mark.parametrize('service', FIRST, indirect=True, ids=servers.kind)
def test_the_broker_is_killed_and_started_again(service, own_server, travel, record_property):
    """The source's service has never called before, so that its queue of replies is a moment old."""
    broker = own_server('rabbitmq', 'RABBIT_URL')
    service.transport_url = broker.proxy.url(broker.url)
    slow(service)
    traveller = travel()
    ways = 4 if LONG else 1
    for _ in range(ways):
        traveller.depart()
        traveller.wait(('copying', 'verifying'), 3 * MIB)
        with broker.dead():
            service.kills += 1
        traveller.arrive()
    assert service.kills == ways
    record_property('kills', service.kills)
