"""QoS specs and the volume types that have them."""
# SPDX-License-Identifier: Apache-2.0

import pytest

from cinder_ext import exceptions
from cinder_ext.db import qos_specs, volume_types


@pytest.fixture
def specs_id(database, ctxt):
    return qos_specs.create(ctxt, 'quick', 'both', {'a': '1', 'b': '2'}).id


@pytest.fixture
def type_id(database, ctxt):
    return volume_types.create(ctxt, {'name': 'fast'}).id


def _values(ctxt, specs_id):
    return qos_specs.values_of(ctxt, [specs_id])[specs_id]


def test_a_name_is_taken_once_and_free_again(specs_id, ctxt):
    with pytest.raises(exceptions.AlreadyExists):
        qos_specs.create(ctxt, 'quick', 'both', {})
    qos_specs.delete(ctxt, specs_id)
    assert qos_specs.create(ctxt, 'quick', 'both', {}).name == 'quick'


def test_limits_are_added_changed_and_removed(specs_id, ctxt):
    qos_specs.update(ctxt, specs_id, {'b': '3', 'c': '4'}, 'front-end')
    assert _values(ctxt, specs_id) == {'a': '1', 'b': '3', 'c': '4'}
    assert qos_specs.get(ctxt, specs_id).consumer == 'front-end'
    qos_specs.delete_keys(ctxt, specs_id, ['a', 'c'])
    assert _values(ctxt, specs_id) == {'b': '3'}


def test_of_keys_all_are_removed_or_none(specs_id, ctxt):
    with pytest.raises(exceptions.QosKeyNotFound):
        qos_specs.delete_keys(ctxt, specs_id, ['a', 'z'])
    assert _values(ctxt, specs_id) == {'a': '1', 'b': '2'}


def test_a_type_has_those_of_one_name(specs_id, type_id, ctxt):
    other = qos_specs.create(ctxt, 'slow', 'back-end', {}).id
    for _time in range(2):
        qos_specs.associate(ctxt, specs_id, type_id)
    with pytest.raises(exceptions.InvalidState):
        qos_specs.associate(ctxt, other, type_id)
    qos_specs.disassociate(ctxt, other, type_id)
    assert qos_specs.of_type(ctxt, type_id) == ('both', {'a': '1', 'b': '2'})
    assert [tuple(row) for row in qos_specs.associations(ctxt, specs_id)] == [(type_id, 'fast')]
    qos_specs.disassociate(ctxt, specs_id, type_id)
    assert qos_specs.of_type(ctxt, type_id) is None


def test_what_types_have_is_removed_by_force_only(specs_id, type_id, ctxt):
    qos_specs.associate(ctxt, specs_id, type_id)
    with pytest.raises(exceptions.InvalidState):
        qos_specs.delete(ctxt, specs_id)
    assert qos_specs.of_type(ctxt, type_id) == ('both', {'a': '1', 'b': '2'})
    qos_specs.delete(ctxt, specs_id, force=True)
    assert qos_specs.of_type(ctxt, type_id) is None
    assert volume_types.get(ctxt, type_id).qos_specs_id is None


def test_a_removed_type_has_none(specs_id, type_id, ctxt):
    qos_specs.associate(ctxt, specs_id, type_id)
    volume_types.delete(ctxt, type_id)
    assert qos_specs.associations(ctxt, specs_id) == []
    qos_specs.delete(ctxt, specs_id)


def test_no_type_has_them_afterwards(specs_id, type_id, ctxt):
    qos_specs.associate(ctxt, specs_id, type_id)
    qos_specs.disassociate_all(ctxt, specs_id)
    assert qos_specs.associations(ctxt, specs_id) == []


@pytest.mark.parametrize('change', [
    lambda ctxt, type_id: qos_specs.get(ctxt, 'none'),
    lambda ctxt, type_id: qos_specs.update(ctxt, 'none', {'a': '1'}),
    lambda ctxt, type_id: qos_specs.delete_keys(ctxt, 'none', []),
    lambda ctxt, type_id: qos_specs.delete(ctxt, 'none'),
    lambda ctxt, type_id: qos_specs.associations(ctxt, 'none'),
    lambda ctxt, type_id: qos_specs.associate(ctxt, 'none', type_id),
    lambda ctxt, type_id: qos_specs.disassociate_all(ctxt, 'none')],
    ids=['get', 'update', 'delete_keys', 'delete', 'associations', 'associate', 'disassociate'])
def test_what_there_is_not_is_not_found(type_id, ctxt, change):
    with pytest.raises(exceptions.QosSpecsNotFound):
        change(ctxt, type_id)


def test_an_unknown_type_has_none(specs_id, ctxt):
    for change in (qos_specs.associate, qos_specs.disassociate):
        with pytest.raises(exceptions.VolumeTypeNotFound):
            change(ctxt, specs_id, 'none')
