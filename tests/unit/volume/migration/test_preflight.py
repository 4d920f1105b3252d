"""What failed checks become."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext.states import checks
from cinder_ext.volume.migration import preflight

FOUND = [checks.verdict('volume-status', False, 'it was reserved'),
         checks.verdict('destination-answers', True, 'found'),
         checks.verdict('no-clone-in-progress', False, 'c is'),
         checks.unknown('physical-capacity', 'no answer')]


def test_what_could_not_be_looked_at_did_not_fail():
    assert preflight.failed(FOUND) == [FOUND[0], FOUND[2]]


def test_refusal_names_every_failed_check_and_its_remedy():
    fault = preflight.refusal(FOUND)
    assert 'volume-status: it was reserved' in fault.message
    assert 'no-clone-in-progress: c is' in fault.message
    assert 'destination-answers' not in fault.message
    assert 'available or in use' in fault.remedy
    assert 'Wait until' in fault.remedy


def test_documents_are_plain():
    assert preflight.documents(FOUND)[1:] == [
        {'name': 'destination-answers', 'passed': True, 'detail': 'found', 'remedy': ''},
        {'name': 'no-clone-in-progress', 'passed': False, 'detail': 'c is',
         'remedy': 'Wait until these volumes are created.'},
        {'name': 'physical-capacity', 'passed': None, 'detail': 'not looked at: no answer',
         'remedy': ''}]
