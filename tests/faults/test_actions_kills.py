"""Killed while a migration is cancelled, paused and resumed: what was accepted comes true."""
# SPDX-License-Identifier: Apache-2.0

import os

import pytest
import rest

LONG = bool(os.environ.get('CINDER_EXT_LONG'))
MIB = 1024 ** 2

PLACES = ['plain', 'xfs'] if LONG else ['plain']

UNDOING = ['commit:1', 'committed:1', 'commit:2', 'committed:3']
"""Where those die who undo a cancelled migration, one after the other."""
MOVING = ['step:copy-link-0001:RUNNING', 'bytes:5242880', 'step:verify-chain:RUNNING']


@pytest.fixture
def traveller(service, travel):
    service.options = {**service.options, **{
        name: {'file_copy_bytes_per_second': 24 * MIB} for name in service.backends}}
    return travel()


def ask(traveller, verb):
    traveller.service.api.post(f"/volume-migrations/{traveller.record()['id']}/action", {verb: {}})


def die(service):
    service.process.kill()
    assert service.dies(lambda: False)


def is_over(traveller):
    def over():
        record = traveller.record()
        return record is not None and record['phase'] in ('finished', 'failed', 'cancelled')
    return over


@pytest.mark.parametrize('service', PLACES, indirect=True)
def test_killed_while_it_is_cancelled(service, traveller, record_property):
    """The volume is as it was, and nothing is left at the destination."""
    for points in (UNDOING, UNDOING[1:]) * (4 if LONG else 1):
        traveller.depart()
        traveller.wait(('copying', 'verifying'), 2 * MIB)
        ask(traveller, 'cancel')
        die(service)
        for point in points:
            service.begin(point)
            if not service.dies(is_over(traveller)):
                service.stop()
        service.begin()
        traveller.stays('cancelled')
    assert service.kills >= 4
    traveller.depart()
    traveller.arrive()
    record_property('kills', service.kills)


@pytest.mark.parametrize('service', PLACES, indirect=True)
def test_killed_while_it_is_paused_and_when_it_goes_on(service, traveller, record_property):
    """A pause outlives the service; what goes on copies nothing again that was stored."""
    for point in MOVING * (4 if LONG else 1):
        traveller.depart()
        traveller.wait(('copying', 'verifying'), MIB)
        ask(traveller, 'pause')
        die(service)
        service.begin(point)
        assert traveller.record()['phase'] == 'paused'
        done = traveller.record()['bytes']['done']
        ask(traveller, 'resume')
        if not service.dies(is_over(traveller)):
            service.stop()
        service.begin()
        assert traveller.arrive()['bytes']['done'] >= done
    assert service.kills >= 4
    record_property('kills', service.kills)


@pytest.mark.parametrize('service', ['plain'], indirect=True)
def test_what_was_cancelled_and_killed_is_tried_again(service, traveller):
    traveller.depart()
    traveller.wait(('copying', 'verifying'), MIB)
    ask(traveller, 'cancel')
    die(service)
    service.begin()
    cancelled = traveller.stays('cancelled')
    service.api.post(f"/volume-migrations/{cancelled['id']}/action", {'retry': {}})
    rest.wait_for(traveller.record, 'the retry')
    die(service)
    service.begin()
    assert traveller.arrive()['retry_of'] == cancelled['id']
