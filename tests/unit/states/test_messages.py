"""The catalogue of user messages."""
# SPDX-License-Identifier: Apache-2.0

import pytest

from cinder_ext.states import messages


@pytest.mark.parametrize('table', [messages.ACTIONS, messages.DETAILS], ids=['actions', 'details'])
def test_numbers_have_three_digits_and_texts_are_distinct(table):
    assert all(len(number) == 3 and number.isdigit() for number in table)
    assert len(set(table.values())) == len(table)


def test_every_number_that_has_a_name_has_a_text():
    named = {value for name, value in vars(messages).items()
             if name.isupper() and isinstance(value, str)}
    assert named == {*messages.ACTIONS, *messages.DETAILS}


def test_a_message_says_what_was_done_and_what_happened():
    assert messages.shown('001', '003') == (
        'schedule allocate volume:Could not find any available weighted backend.')


def test_a_stored_text_follows():
    assert messages.shown('007', '010', 'Disk a.') == (
        'extend volume:Volume Driver failed to extend volume. Disk a.')


def test_unknown_numbers_have_words_too():
    assert messages.shown('888', None) == 'unknown action:An unknown error occurred.'


def test_the_refused_retype_names_the_policy_to_use():
    assert 'on-demand-include-snapshots' in messages.DETAILS[messages.SNAPSHOTS_NOT_INCLUDED]
