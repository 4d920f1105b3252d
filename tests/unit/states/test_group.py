"""The life of a group."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext.states import group


def test_what_may_be_reset_are_the_words_of_the_api():
    assert set(group.MACHINE.states) == set(group.RESETTABLE)


def test_only_what_is_at_rest_is_removed_without_its_volumes():
    assert not {group.CREATING, group.UPDATING, group.DELETING}.intersection(group.DELETABLE)
    assert set(group.DELETABLE) <= set(group.MACHINE.row('delete').sources)


def test_whatever_begins_ends():
    begun = {group.CREATING, group.DELETING}
    assert begun == {source for row in group.MACHINE if row.event.endswith('-failed')
                     for source in row.sources}
