"""User messages in the database."""
# SPDX-License-Identifier: Apache-2.0

import datetime

import pytest
from oslo_utils import timeutils

from cinder_ext import exceptions
from cinder_ext.db import messages
from cinder_ext.states import messages as catalogue


def _message(ctxt, resource='volume', **kwargs):
    return messages.create(ctxt, 'project', 'req-1', 'VOLUME', resource, catalogue.RETYPE_VOLUME,
                           catalogue.NO_DESTINATION, **kwargs)


def test_a_message_keeps_what_it_says_and_expires_in_thirty_days(database, ctxt):
    found = messages.get(ctxt, _message(ctxt).id, 'project')
    assert (found.event_id, found.message_level) == ('VOLUME_VOLUME_902_904', 'ERROR')
    assert (found.request_id, found.resource_uuid) == ('req-1', 'volume')
    days = (found.expires_at - found.created_at) / datetime.timedelta(days=1)
    assert days == pytest.approx(30, abs=0.01)


def test_another_project_does_not_find_it(database, ctxt):
    with pytest.raises(exceptions.MessageNotFound):
        messages.get(ctxt, _message(ctxt).id, 'another')


def test_lists_come_newest_first_and_by_resource(database, ctxt):
    made = [_message(ctxt, resource).id for resource in ('a', 'b', 'a')]
    assert [each.id for each in messages.list_all(ctxt, 'project')] == made[::-1]
    assert [each.id for each in messages.list_all(ctxt, resource_uuid='a')] == [made[2], made[0]]
    assert messages.list_all(ctxt, 'another') == []


def test_a_removed_message_is_gone_and_removing_it_again_is_harmless(database, ctxt):
    made = _message(ctxt)
    for _ in range(2):
        messages.delete(ctxt, made.id)
    with pytest.raises(exceptions.MessageNotFound):
        messages.get(ctxt, made.id)


def test_the_purge_removes_only_what_has_expired(database, ctxt):
    _message(ctxt)
    messages.keep_for(60 * 86400)
    try:
        kept = _message(ctxt)
    finally:
        messages.keep_for(30 * 86400)
    later = timeutils.utcnow() + datetime.timedelta(days=31)
    assert messages.purge_expired(ctxt, later) == 1
    assert [each.id for each in messages.list_all(ctxt)] == [kept.id]
