"""The life of a volume."""
# SPDX-License-Identifier: Apache-2.0

import pytest

from cinder_ext.states import volume


def test_what_may_be_reset_and_deleted_are_states():
    assert set(volume.RESETTABLE) <= set(volume.MACHINE.states)
    assert set(volume.DELETABLE) <= set(volume.MACHINE.states)


@pytest.mark.parametrize('event', ['delete', 'extend', 'extend-attached', 'retype', 'retype-attached',
                                   'lock', 'reserve', 'connect'])
def test_nothing_begins_on_a_volume_that_is_being_migrated_or_changed(event):
    busy = {volume.RETYPING, volume.MAINTENANCE, volume.CREATING, volume.DELETING, volume.EXTENDING}
    assert not busy.intersection(volume.MACHINE.row(event).sources)


def test_an_attached_volume_is_never_deleted():
    assert volume.IN_USE not in volume.MACHINE.row('delete').sources


def test_every_busy_state_has_a_way_out():
    for state in (volume.CREATING, volume.DELETING, volume.EXTENDING, volume.RETYPING,
                  volume.MAINTENANCE, volume.ATTACHING, volume.DETACHING, volume.RESERVED):
        assert [row for row in volume.MACHINE if state in row.sources and row.target != state], state


def test_whatever_begins_with_a_volume_is_guarded():
    """Of what leads from rest to work only what follows from attachments is not."""
    rest = {volume.AVAILABLE, volume.IN_USE, volume.ERROR, volume.ERROR_MANAGING}
    work = {volume.DELETING, volume.EXTENDING, volume.RETYPING, volume.MAINTENANCE,
            volume.AWAITING_TRANSFER, volume.UNMANAGING, volume.ERROR_MANAGING_DELETING,
            volume.REVERTING, volume.RESERVED, volume.ATTACHING}
    begins = {row.event for row in volume.MACHINE if rest & set(row.sources) and row.target in work}
    begins -= {f'restore-{status}' for status in volume.STRANDABLE}
    assert begins - volume.GUARDED == {'connect', 'still-reserved'}
    assert volume.GUARDED - begins == {'accept'}


def test_what_is_stranded_is_restored_to_what_it_was():
    for status in volume.STRANDABLE:
        assert status in volume.MACHINE.row('strand').sources
        assert volume.MACHINE.row(f'restore-{status}').target == status
