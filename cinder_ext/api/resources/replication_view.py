"""How replications and what is done with them look in an answer.

What names a backend is for those who may see it of a volume: the policy
``volume_extension:volume_host_attribute``.  The name of a target is for everybody: who owns a
replicated volume says by it where the volume is to fail over to.
"""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext.api.resources import volume_view
from cinder_ext.api.resources.volume_view import lag_seconds, moment
from cinder_ext.states import replication as states

HOME = 'home'
"""How the backend itself is named where a target could stand."""


def record(call, row):
    """A replication."""
    shown = {
        'id': row.id, 'scope': row.scope, 'protected_id': row.protected_id,
        'project_id': row.project_id, 'user_id': row.user_id,
        'target': row.target, 'cross_os': bool(row.cross_os),
        'mode': row.mode, 'topology': row.topology, 'auto_failover': row.auto_failover,
        'role': 'secondary' if row.source_side else 'primary',
        'source': row.source_side or HOME, 'destination': row.destination_side or HOME,
        'epoch': row.epoch, 'state': row.state, 'shipping': bool(row.is_shipping),
        **_measured(row), **_policy(row),
        'conditions': _conditions(call, row), 'split_brain': split_brain(row.conditions),
        'error_code': row.error_code, 'remedy': row.remedy,
        'created_at': moment(row.created_at), 'updated_at': moment(row.updated_at),
    }
    if call.allowed(volume_view.HOST, row):
        shown.update({'host': row.home, 'error': row.error, 'request_id': row.request_id,
                      'attempt': row.attempt})
    return shown


def _measured(row):
    return {
        'last_consistent_point': row.point_id, 'last_consistent_at': moment(row.last_consistent_at),
        'lag_seconds': lag_seconds(row.last_consistent_at), 'breached_at': moment(row.breached_at),
        'bytes_pending': row.bytes_pending, 'bytes_shipped': row.bytes_shipped,
    }


def _policy(row):
    asked = row.policy or {}
    return {
        'rpo_seconds': row.rpo_seconds, 'interval_seconds': row.interval_seconds,
        'policy': {'rpo_seconds': asked.get('rpo_seconds'), 'schedule': asked.get('schedule'),
                   'retention': row.retention},
    }


def _conditions(call, row):
    """Every condition's word with its facts; the reason may name a backend."""
    found = {}
    for word in states.CONDITIONS:
        facts = dict((row.conditions or {}).get(word) or {'status': False})
        if not call.allowed(volume_view.HOST, row):
            facts.pop('reason', None)
        found[word] = facts
    return found


def split_brain(conditions):
    """Both sides of a split brain with their epochs; None when there is none."""
    facts = (conditions or {}).get('split_brain') or {}
    if not facts.get('status'):
        return None
    return {name: facts.get(name) for name in
            ('local_side', 'local_epoch', 'remote_side', 'remote_epoch')}


def operation(call, row):
    """An operation without its members."""
    shown = {
        'id': row.id, 'verb': row.verb, 'scope': row.scope, 'protected_id': row.protected_id,
        'selector': row.selector, 'replication_id': row.replication_id,
        'project_id': row.project_id, 'user_id': row.user_id, 'request_id': row.request_id,
        'target': row.target, 'force': bool(row.force), 'dry_run': bool(row.dry_run),
        'allow_attached': bool(row.allow_attached), 'reattach': bool(row.reattach),
        'consistency': row.consistency, 'discard': row.discard, 'point_id': row.point_id,
        'state': row.state, 'error_code': row.error_code, 'remedy': row.remedy,
        'expires_at': moment(row.expires_at), 'created_at': moment(row.created_at),
        'started_at': moment(row.started_at), 'finished_at': moment(row.finished_at),
    }
    if call.allowed(volume_view.HOST, row):
        shown.update({'host': row.home, 'error': row.error, 'attempt': row.attempt})
    return shown


def operation_detail(call, row, members):
    """An operation with the result of each member."""
    return {**operation(call, row), 'members': [_member(call, row, each) for each in members]}


def _member(call, row, member):
    shown = {
        'volume_id': member.volume_id, 'replication_id': member.replication_id,
        'result': member.result, 'step': member.step, 'epoch': member.epoch,
        'point_id': member.point_id, 'last_consistent_at': moment(member.last_consistent_at),
        'loss_seconds': member.loss_seconds, 'clone_volume_id': member.clone_volume_id,
        'attachments': member.attachments or [],
        'error_code': member.error_code, 'remedy': member.remedy,
        'finished_at': moment(member.finished_at),
    }
    if call.allowed(volume_view.HOST, row):
        shown.update({'error': member.error, 'former_status': member.former_status})
    return shown
