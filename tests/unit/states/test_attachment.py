"""The life of an attachment."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext.states import attachment


def test_an_attachment_can_be_removed_in_every_state():
    assert sorted(attachment.MACHINE.row('detach').sources) == attachment.MACHINE.states


def test_a_detaching_attachment_never_attaches_again():
    for event in ('connect', 'complete'):
        assert attachment.DETACHING not in attachment.MACHINE.row(event).sources
