"""What replication_device may say, and what locations name."""
# SPDX-License-Identifier: Apache-2.0

import pytest

from cinder_ext import exceptions
from cinder_ext.drivers import values
from cinder_ext.drivers.conformance import workbench
from cinder_ext.drivers.replica import targets

WHOLE = {'backend_id': 'dr', 'path': '/srv/dr', 'modes': 'sync|async', 'cross_os': 'true',
         'peer': 'west', 'availability_zone': 'az2', 'min_interval_seconds': '2.5',
         'control_file': '/tmp/control'}


def test_an_entry_is_a_target_and_what_is_nobody_elses_business():
    entry = targets.parse('alpha', [WHOLE])['dr']
    assert entry.target == values.ReplicationTarget('dr', ('async',), True, 'west', 'az2')
    assert (entry.path, entry.min_interval_seconds, entry.control_file) == (
        '/srv/dr', 2.5, '/tmp/control')


def test_most_of_an_entry_may_be_left_out():
    entry = targets.parse('alpha', [{'backend_id': 'dr', 'path': '/srv/dr'}])['dr']
    assert entry.target == values.ReplicationTarget('dr')
    assert entry.control_file is None


@pytest.mark.parametrize(('change', 'reason'), [
    ({'modes': 'sync'}, 'async only'), ({'modes': 'often'}, 'modes are'),
    ({'path': 'srv'}, 'absolute'), ({'path': ''}, 'absolute'), ({'backend_id': ''}, 'backend_id'),
    ({'backend_id': 'default'}, 'backend_id'), ({'backend_id': 'a/b'}, 'backend_id'),
    ({'cross_os': 'perhaps'}, 'perhaps'), ({'min_interval_seconds': '0'}, 'min_interval'),
    ({'min_interval_seconds': 'inf'}, 'min_interval'), ({'password': 'secret'}, 'password is unknown')])
def test_a_wrong_entry_is_misconfigured(change, reason):
    with pytest.raises(exceptions.Misconfigured, match=reason) as caught:
        targets.parse('alpha', [WHOLE | {'backend_id': 'first'}, WHOLE | change])
    assert 'entry 2' in str(caught.value)
    assert 'secret' not in str(caught.value)


def test_two_entries_of_one_name_are_misconfigured():
    with pytest.raises(exceptions.Misconfigured, match='two of'):
        targets.parse('alpha', [WHOLE, WHOLE])


@pytest.mark.parametrize(('side', 'location'), [(None, None), ('dr', 'side:dr')])
def test_a_location_names_a_side(side, location):
    assert targets.location(side) == location
    assert targets.side_of(location) == side


def test_a_location_of_another_kind_is_home():
    assert targets.side_of('somewhere') is None


def test_entries_come_from_the_configuration(tmp_path):
    with pytest.raises(exceptions.Misconfigured, match='async only'):
        workbench.started('file', file_path=tmp_path,
                          replication_device=f'backend_id:dr,path:{tmp_path},modes:sync')


def test_layers_are_not_replicated(tmp_path):
    with pytest.raises(exceptions.Misconfigured, match='format raw'):
        workbench.started('file', file_path=tmp_path, file_format='qcow2',
                          replication_device=f'backend_id:dr,path:{tmp_path}')


@pytest.mark.parametrize('paths', [('/srv/alpha/', '/srv/beta'), ('/srv/beta', '/srv//beta')],
                         ids=['home', 'another'])
def test_a_directory_is_one_array(paths):
    devices = [{'backend_id': f'dr{number}', 'path': path} for number, path in enumerate(paths)]
    with pytest.raises(exceptions.Misconfigured, match='another array'):
        targets.parse('alpha', devices, '/srv/alpha')
