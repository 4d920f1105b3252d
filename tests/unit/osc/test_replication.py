"""How the commands show replications and operations."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext.osc import replication

RECORD = {
    'id': 'one', 'state': 'error',
    'policy': {'rpo_seconds': 60, 'schedule': None, 'retention': 3},
    'conditions': {'split_brain': {'status': True}, 'degraded': {'status': True},
                   'completed': {'status': False}},
    'split_brain': {'local_side': 'home', 'local_epoch': 4, 'remote_side': 'dr', 'remote_epoch': 5}}
MEMBER = {'volume_id': 'v', 'result': 'failed', 'loss_seconds': 1.5, 'error_code': 'cinder_ext.x',
          'remedy': 'Do it again.', 'attachments': []}


def test_details_are_flat_and_name_both_epochs():
    shown = dict(zip(*replication.details(RECORD), strict=True))
    assert shown['conditions'] == 'degraded, split_brain'
    assert shown['policy'] == 'rpo_seconds 60, retention 3'
    assert shown['split_brain'] == 'home has epoch 4, dr has epoch 5'
    assert dict(zip(*replication.details({**RECORD, 'split_brain': None}), strict=True))[
        'split_brain'] == ''


def test_each_member_has_a_line_with_what_was_lost_and_what_is_to_be_done():
    shown = dict(zip(*replication.operation_details({'id': 'o', 'members': [
        MEMBER, {**MEMBER, 'volume_id': 'w', 'result': 'done', 'loss_seconds': None,
                 'error_code': None, 'remedy': None, 'attachments': [{'server_id': 's'}]},
        {**MEMBER, 'error': 'the array says no'}]}), strict=True))
    assert shown['members'] == (
        'v: failed, loss 1.5 s, cinder_ext.x, Do it again.\n'
        "w: done, attachment {'server_id': 's'}\n"
        'v: failed, loss 1.5 s, the array says no, Do it again.')
