"""What is done about a swap, by what is known of it: forward or back, never a guess."""
# SPDX-License-Identifier: Apache-2.0

import itertools

import pytest

from cinder_ext.volume.migration import attached
from cinder_ext.volume.migration.attached import BACK, FORWARD, REQUEST, WAIT, Facts

STAGES = ('none', 'reserved', 'connected', 'attached', 'removed')


def decision(*facts, **more):
    return attached.decide(Facts(*facts, **more))[0]


@pytest.mark.parametrize(('facts', 'expected'), [
    (Facts('none'), REQUEST),
    (Facts('none', requests=1), REQUEST),
    (Facts('none', requests=3), WAIT),
    (Facts('none', requests=3, is_quiet=True), BACK),
    (Facts('none', requests=1, refusal='it is locked'), BACK),
    (Facts('none', requests=1, is_gone=True), WAIT),
    (Facts('none', requests=1, is_gone=True, is_quiet=True), BACK),
    (Facts('reserved', requests=1), WAIT),
    (Facts('reserved', requests=2, refusal='it has one'), WAIT),
    (Facts('reserved', requests=1, is_quiet=True), WAIT),
    (Facts('reserved', requests=1, is_overdue=True), BACK),
    (Facts('connected', requests=1, is_quiet=True, is_overdue=True), WAIT),
    (Facts('connected', requests=1, is_quiet=True, is_overdue=True, is_stopped=True), BACK),
    (Facts('connected', requests=1, is_gone=True), WAIT),
    (Facts('connected', requests=1, is_gone=True, is_quiet=True), BACK),
    (Facts('attached', requests=1), WAIT),
    (Facts('attached', requests=1, is_quiet=True), FORWARD),
    (Facts('attached', requests=1, is_used=True), FORWARD),
    (Facts('removed', requests=1), BACK),
], ids=str)
def test_each_case(facts, expected):
    assert attached.decide(facts)[0] == expected


def _all_facts():
    flags = (False, True)
    for stage, requests, refusal, used, gone, stopped, quiet, overdue in itertools.product(
            STAGES, (0, 1, 3), (None, 'no'), (None, *flags), (None, *flags), flags, flags, flags):
        yield Facts(stage, requests, refusal, used, gone, stopped, quiet, overdue)


def test_a_guest_at_the_destination_is_never_taken_back():
    assert {attached.decide(facts)[0] for facts in _all_facts()
            if facts.progress == 'attached'} == {FORWARD, WAIT}


def test_nothing_goes_forward_before_the_guest_is_there():
    assert not [facts for facts in _all_facts()
                if facts.progress != 'attached' and attached.decide(facts)[0] == FORWARD]


def test_a_host_that_may_be_mirroring_is_waited_for():
    assert not [facts for facts in _all_facts()
                if facts.progress == 'connected' and attached.decide(facts)[0] == BACK
                and not facts.is_gone and not facts.is_stopped]


def test_it_is_asked_for_again_only_while_nobody_has_the_destination():
    assert {facts.progress for facts in _all_facts()
            if attached.decide(facts)[0] == REQUEST} == {'none'}


def test_long_silence_is_told():
    found = attached.decide(Facts('connected', requests=1, is_overdue=True))
    assert found == (WAIT, attached.UNCLEAR)
