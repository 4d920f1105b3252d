"""The connection to the database is cut, in the middle of a commit too: nothing is lost."""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import itertools
import os
import random
import re
import time

import cutting
import pytest
import servers
import sqlalchemy as sa

DATABASES = servers.database_urls() if servers.transport_urls() else []
LONG = bool(os.environ.get('CINDER_EXT_LONG'))
MIB = 1024 ** 2

LOOK_AT_THE_FENCE = re.compile(
    rb'SELECT volume_migrations\.attempt, volume_migrations\.phase\s+FROM volume_migrations')
"""By which the service of the destination finds out for whom it works, before each call."""
REPEATS = 3
"""How often it looks again before it tells the source that its database is away."""


@pytest.fixture
def proxy(service):
    """Between the daemons and their database."""
    found = sa.make_url(service.database_url)
    with contextlib.closing(cutting.Proxy((found.host, found.port))) as made:
        service.database_url = made.url(service.database_url)
        service.flows_url = made.url(service.flows_url)
        yield made


@pytest.mark.parametrize('service', DATABASES, indirect=True, ids=servers.kind)
def test_the_commit_of_the_swap_is_cut(service, proxy, travel, record_property):
    """Before it reaches the server and after; with the service killed in that moment, and without."""
    traveller, is_first = travel(), service.database_url.startswith('mysql')
    for moment in (cutting.BEFORE, cutting.AFTER):
        for is_killed in (False, True) if is_first or LONG else (moment == cutting.BEFORE,):
            def when_cut(name=traveller.place, is_killed=is_killed):
                if is_killed:
                    service.processes[name].kill()
            proxy.when_cut, proxy.cut_commit = when_cut, moment
            traveller.depart()
            while proxy.cut_commit:
                assert traveller.record() is None or traveller.record()['phase'] != 'finished'
                time.sleep(0.02)
            if is_killed:
                service.kill_one(traveller.place)
                service.kills += 1
                service.launch(traveller.place)
            record = traveller.arrive()
            assert record['attempt'] >= 1 + is_killed
    assert service.kills == (2 if is_first or LONG else 1)
    record_property('kills', service.kills)


@pytest.mark.parametrize('service', DATABASES, indirect=True, ids=servers.kind)
def test_destination_that_is_cut_once_looks_again(service, proxy, travel):
    """A look repeated is as good as the first: the source does not hear of it."""
    traveller = travel()
    proxy.watched, proxy.fates = LOOK_AT_THE_FENCE, itertools.chain([True], itertools.repeat(False))
    traveller.depart()
    assert traveller.arrive()['attempt'] == 1
    assert proxy.cuts == 1


@pytest.mark.parametrize('service', DATABASES, indirect=True, ids=servers.kind)
def test_migration_waits_while_the_destination_has_no_database(service, proxy, travel):
    """In its first call and in later ones, however often it looks again: nothing is failed for it."""
    traveller, passing = travel(), range(7) if LONG else (0, 2, 5)
    fates = [is_cut for count in passing for is_cut in [True] * (1 + REPEATS) + [False] * count]
    proxy.watched, proxy.fates = LOOK_AT_THE_FENCE, iter(fates)
    traveller.depart()
    record = traveller.arrive()
    assert proxy.cuts == sum(fates)
    assert record['attempt'] == 1 + len(passing)


@pytest.mark.parametrize('service', DATABASES, indirect=True, ids=servers.kind)
def test_every_connection_is_cut_again_and_again(service, proxy, travel, record_property):
    service.options = {**service.options, 'alpha': {'file_copy_bytes_per_second': 12 * MIB}}
    moments, traveller, during = random.Random(3), travel(), 0
    traveller.depart()
    for number in range(60 if LONG else 12):
        time.sleep(moments.uniform(0.05, 0.5))
        record = traveller.record()
        during += record is None or record['phase'] != 'finished'
        if number % 4 == 3:
            with proxy.away():
                time.sleep(1)
        else:
            proxy.cut_all()
    traveller.arrive()
    assert during >= 6
    record_property('cuts', proxy.cuts)
