"""The life of a group snapshot."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext.states import group, group_snapshot


def test_its_states_may_be_set_by_hand():
    assert set(group_snapshot.MACHINE.states) <= set(group.RESETTABLE)


def test_one_that_is_being_made_or_removed_is_not_removed():
    sources = group_snapshot.MACHINE.row('delete').sources
    assert not {group_snapshot.CREATING, group_snapshot.DELETING}.intersection(sources)
