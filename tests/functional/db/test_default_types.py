"""Default volume types of projects."""
# SPDX-License-Identifier: Apache-2.0

import concurrent.futures

import pytest

from cinder_ext import context, exceptions
from cinder_ext.db import default_types, volume_types


@pytest.fixture
def types(database, ctxt):
    """Ids of the types ``fast`` and ``slow``."""
    return [volume_types.create(ctxt, {'name': name}).id for name in ('fast', 'slow')]


def test_a_projects_own_default_goes_before_the_services(types, ctxt):
    assert default_types.effective(ctxt, 'project', 'slow').id == types[1]
    default_types.put(ctxt, 'project', types[0])
    assert default_types.effective(ctxt, 'project', 'slow').id == types[0]
    assert default_types.effective(ctxt, 'other', 'slow').id == types[1]
    assert default_types.effective(ctxt, 'other', None) is None
    with pytest.raises(exceptions.VolumeTypeNotFound):
        default_types.effective(ctxt, 'other', 'none')


def test_it_is_replaced_listed_and_removed(types, ctxt):
    for type_id in types:
        default_types.put(ctxt, 'project', type_id)
    assert [row.volume_type_id for row in default_types.list_all(ctxt)] == [types[1]]
    default_types.delete(ctxt, 'project')
    default_types.delete(ctxt, 'project')
    with pytest.raises(exceptions.DefaultTypeNotFound):
        default_types.get(ctxt, 'project')


def test_a_type_that_is_a_default_stays(types, ctxt):
    default_types.put(ctxt, 'project', types[0])
    with pytest.raises(exceptions.InvalidState):
        volume_types.delete(ctxt, types[0])


def test_an_unknown_type_is_no_default(database, ctxt):
    with pytest.raises(exceptions.VolumeTypeNotFound):
        default_types.put(ctxt, 'project', 'none')


def test_racing_requests_leave_one_default(types, ctxt):
    def put(number):
        return default_types.put(context.admin_context(), 'project', types[number % 2])

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(put, range(16)))
    assert len(default_types.list_all(ctxt)) == 1
