"""Replications in every state, for tests that ask for them: what is where is in ``make``."""
# SPDX-License-Identifier: Apache-2.0

import datetime

from oslo_utils import timeutils

from cinder_ext.db import (
    backend_failovers,
    group_types,
    groups,
    replication_changes,
    replication_operations,
    replication_shipping,
    replications,
    transition,
    volume_types,
    volumes,
)
from cinder_ext.states import replication as states
from cinder_ext.states import replication_policy
from cinder_ext.states import volume as volume_states

POINT = '11111111-2222-4333-8444-555555555555'
BEHIND_SECONDS = 20


def number(count):
    """A UUID that a YAML file can name."""
    return f'00000000-0000-4000-8000-{count:012}'


class Things:
    """Groups n with the volume n + 1 and the replication n * 10, of group type ``replicated``.

    200 is enabled and 20 s behind, 210 paused, 220 failed over, 230 in split brain, 240 enabling;
    250 is not replicated; 260 is another project's; 270, of the group type ``plain``, is not
    replicated.  The pool ``node@beta#beta`` with the volume 301 is replication 3000.  Operation
    2900 failed 221 over.
    """

    def __init__(self, ctxt, project_id, other_project_id, volume_type_id, plain_type_id):
        self._ctxt, self._project, self._type = ctxt, project_id, volume_type_id
        self._group_type = group_types.create(
            ctxt, {'name': 'replicated'}, {'group_replication_enabled': '<is> True',
                                           'replication:retention': '5'}).id
        for count in (250, 270):
            self._group(count, plain_type_id if count == 270 else self._group_type)
        for count, events in ((200, ('enabled',)), (210, ('enabled', 'pause')), (220, ('enabled',)),
                              (230, ('enabled', 'break')), (240, ())):
            self._replicated(count, events)
        self._replicated(260, ('enabled',), project_id=other_project_id)
        self._pool()
        self._more()

    def _group(self, count, group_type_id, project_id=None):
        groups.create(self._ctxt, {
            'id': number(count), 'project_id': project_id or self._project, 'user_id': 'admin',
            'host': 'node@alpha#alpha', 'name': f'group {count}', 'availability_zone': 'nova',
            'group_type_id': group_type_id}, [self._type])
        groups.created(self._ctxt, number(count))
        self._volume(count + 1, 'node@alpha#alpha', project_id, group_id=number(count))

    def _volume(self, count, host, project_id=None, **columns):
        volumes.create(self._ctxt, {
            'id': number(count), 'project_id': project_id or self._project, 'user_id': 'admin',
            'size': 1, 'host': host, 'name': f'volume {count}', 'volume_type_id': self._type,
            **columns})
        transition.move(self._ctxt, volume_states.MACHINE, number(count), 'created')

    def _replicated(self, count, events, project_id=None):
        self._group(count, self._group_type, project_id)
        self._replication(number(count), 'group', count * 10, events)

    def _replication(self, protected_id, scope, count, events):
        policy = replication_policy.merge(
            None, None, replication_policy.Policy(True, scope, rpo_seconds=10))
        row = replications.create(self._ctxt, policy, protected_id, 'dr', {'id': number(count)})
        if not events:
            return
        taken_at = timeutils.utcnow() - datetime.timedelta(seconds=BEHIND_SECONDS)
        replications.update(self._ctxt, row.id, {'epoch': 3})
        replication_shipping.arrived(
            self._ctxt, replications.get(self._ctxt, row.id), POINT, taken_at,
            [each.volume_id for each in replications.members(self._ctxt, row.id)],
            bytes_shipped=4096, bytes_pending=512)
        for event in events[1:]:
            transition.move(self._ctxt, states.MACHINE, row.id, event)

    def _pool(self):
        self._volume(301, 'node@beta#beta')
        self._replication('node@beta#beta', 'pool', 3000, ('enabled',))

    def _more(self):
        replication_changes.set_condition(
            self._ctxt, number(2300), 'split_brain', True, 'both are primary at node@alpha',
            {'local_side': 'home', 'local_epoch': 4, 'remote_side': 'dr', 'remote_epoch': 5})
        row = replication_operations.create(self._ctxt, {
            'id': number(2900), 'verb': 'failover', 'replication_id': number(2200), 'force': True})
        transition.move(self._ctxt, states.MACHINE, number(2200), 'fail-over')
        transition.move(self._ctxt, states.MACHINE, number(2200), 'failed-over',
                        {'source_side': 'dr', 'destination_side': None, 'epoch': 4})
        replication_operations.member_done(self._ctxt, row.id, number(221), {
            'loss_seconds': 1.5, 'epoch': 4, 'step': 'promoted',
            'attachments': [{'server_id': 'a-server', 'to_do': 'detach and attach it'}]})
        replication_operations.close(self._ctxt, row.id)


class Old:
    """What the old calls meet: groups n with the volume n + 1, of a replicated group type.

    310 is not replicated yet; 320 is enabled, to ``dr``; 330 is too, with its volume in use; 340 has
    a volume type that asks for no replication.  The backend ``node@alpha`` can be failed over,
    ``node@beta`` cannot.
    """

    def __init__(self, ctxt, project_id):
        self._ctxt, self._project = ctxt, project_id
        enabled = {'replication_enabled': '<is> True'}
        self._type = volume_types.create(ctxt, {'name': 'safe'}, enabled).id
        self._plain = volume_types.create(ctxt, {'name': 'unsafe'}, {}).id
        self._group_type = group_types.create(
            ctxt, {'name': 'replicated'}, {'consistent_group_replication_enabled': '<is> True'}).id
        for count in (310, 320, 330):
            self._group(count, self._type)
        self._group(340, self._plain)
        for count in (320, 330):
            self._replicate(count)
        transition.move(ctxt, volume_states.MACHINE, number(331), 'attached')
        backend_failovers.announce(ctxt, 'node@alpha', True)
        backend_failovers.announce(ctxt, 'node@beta', False)

    def _group(self, count, type_id):
        groups.create(self._ctxt, {
            'id': number(count), 'project_id': self._project, 'user_id': 'admin',
            'host': 'node@alpha#alpha', 'name': f'group {count}', 'availability_zone': 'nova',
            'group_type_id': self._group_type}, [type_id])
        groups.created(self._ctxt, number(count))
        volumes.create(self._ctxt, {
            'id': number(count + 1), 'project_id': self._project, 'user_id': 'admin', 'size': 1,
            'host': 'node@alpha#alpha', 'volume_type_id': type_id, 'group_id': number(count)})
        transition.move(self._ctxt, volume_states.MACHINE, number(count + 1), 'created')

    def _replicate(self, count):
        policy = replication_policy.merge(
            None, None, replication_policy.Policy(True, 'group', rpo_seconds=10))
        row = replications.create(self._ctxt, policy, number(count), 'dr', {'id': number(count * 10)})
        replication_shipping.arrived(self._ctxt, row, POINT, timeutils.utcnow(), [number(count + 1)])
