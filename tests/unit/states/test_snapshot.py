"""The life of a snapshot."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext.states import snapshot


def test_what_may_be_reset_and_deleted_are_states():
    assert set(snapshot.RESETTABLE) == set(snapshot.MACHINE.states) - {
        snapshot.RESTORING, snapshot.UNMANAGING}
    assert snapshot.MACHINE.row('delete').sources == snapshot.DELETABLE


def test_a_snapshot_that_is_being_made_or_removed_is_not_removed():
    assert not {snapshot.CREATING, snapshot.DELETING}.intersection(snapshot.DELETABLE)
