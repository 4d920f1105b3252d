"""Private volume types and who may use them."""
# SPDX-License-Identifier: Apache-2.0

import pytest

from cinder_ext import exceptions
from cinder_ext.db import listing, models, type_access, volume_types


@pytest.fixture
def private(database, ctxt):
    return volume_types.create(ctxt, {'name': 'private', 'is_public': False}).id


def test_a_private_type_is_found_by_whom_it_was_given(private, ctxt):
    type_access.add(ctxt, private, 'project')
    assert volume_types.get(ctxt, private, 'project').name == 'private'
    assert volume_types.get_by_name_or_id(ctxt, 'private', 'project').id == private
    assert type_access.projects(ctxt, private) == ['project']
    for lookup in (volume_types.get, volume_types.get_by_name_or_id):
        with pytest.raises(exceptions.VolumeTypeNotFound):
            lookup(ctxt, private, 'other')


def test_it_is_given_once_and_taken_once(private, ctxt):
    type_access.add(ctxt, private, 'project')
    with pytest.raises(exceptions.AlreadyExists):
        type_access.add(ctxt, private, 'project')
    type_access.remove(ctxt, private, 'project')
    with pytest.raises(exceptions.TypeAccessNotFound):
        type_access.remove(ctxt, private, 'project')
    with pytest.raises(exceptions.VolumeTypeNotFound):
        volume_types.get(ctxt, private, 'project')


def test_a_public_type_is_not_given(database, ctxt):
    public = volume_types.create(ctxt, {'name': 'public'}).id
    for change in (type_access.add, type_access.remove):
        with pytest.raises(exceptions.InvalidState):
            change(ctxt, public, 'project')
    assert volume_types.get(ctxt, public, 'anybody').name == 'public'


def test_an_unknown_type_is_not_given(database, ctxt):
    with pytest.raises(exceptions.VolumeTypeNotFound):
        type_access.add(ctxt, 'none', 'project')


def test_lists_have_public_types_and_those_that_were_given(private, ctxt):
    volume_types.create(ctxt, {'name': 'public'})
    type_access.add(ctxt, private, 'project')

    def names(project_id):
        page = listing.Page(keys=(('name', 'asc'), ('id', 'asc')))
        return [row.name for row in listing.rows(
            ctxt, models.VolumeType, page, [volume_types.usable_by(project_id)])]

    assert names('project') == ['private', 'public']
    assert names('other') == ['public']


def test_access_goes_with_the_type(private, ctxt):
    type_access.add(ctxt, private, 'project')
    volume_types.delete(ctxt, private)
    assert type_access.projects(ctxt, private) == []
