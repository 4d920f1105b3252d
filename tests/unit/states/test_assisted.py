"""What reports of a compute service say."""
# SPDX-License-Identifier: Apache-2.0

import pytest

from cinder_ext.states import assisted


@pytest.mark.parametrize(('kind', 'status', 'progress', 'token', 'outcome'), [
    (assisted.CREATE, 'creating', '90%', None, assisted.DONE),
    (assisted.CREATE, 'creating', '50%', None, None),
    (assisted.CREATE, 'creating', None, None, None),
    (assisted.CREATE, 'available', None, None, assisted.DONE),
    (assisted.CREATE, 'error', '90%', None, assisted.FAILED),
    (assisted.CREATE, 'creating', None, 'creating_compute_complete', assisted.DONE),
    (assisted.CREATE, 'creating', '90%', 'error', assisted.FAILED),
    (assisted.DELETE, 'deleting', '90%', None, assisted.DONE),
    (assisted.DELETE, 'error_deleting', None, None, assisted.FAILED),
    (assisted.DELETE, 'deleting', None, 'deleting_compute_complete', assisted.DONE),
    (assisted.DELETE, 'error_deleting', None, 'error', assisted.FAILED)])
def test_report_says_what_has_come_of_it(kind, status, progress, token, outcome):
    assert assisted.outcome_of(kind, status, progress, token) == outcome


@pytest.mark.parametrize(('kind', 'status', 'token'), [
    (assisted.CREATE, 'deleting', None), (assisted.CREATE, 'error_deleting', None),
    (assisted.DELETE, 'available', None), (assisted.DELETE, 'error', None),
    (assisted.CREATE, 'creating', 'deleting_compute_complete'),
    (assisted.DELETE, 'deleting', 'creating_compute_complete'),
    (assisted.CREATE, 'error', 'creating_compute_complete'),
    (assisted.CREATE, 'available', 'error')])
def test_report_that_cannot_be_made_is_refused(kind, status, token):
    with pytest.raises(ValueError, match='is no report'):
        assisted.outcome_of(kind, status, '90%', token)


def test_every_key_of_an_operation_is_told_from_the_driver_s():
    assert all(key.startswith(assisted.PREFIX) or key == assisted.REPORT
               for key in (*assisted.OF_OPERATION, assisted.UNSETTLED, assisted.LATE))
