"""One of everything for a project, and what all projects share."""
# SPDX-License-Identifier: Apache-2.0

import uuid

from cinder_ext import context
from cinder_ext.db import (
    attachments,
    default_types,
    group_snapshots,
    group_types,
    groups,
    messages,
    qos_specs,
    quotas,
    replication_operations,
    replications,
    snapshots,
    transition,
    type_access,
    type_encryptions,
    volume_migrations,
    volume_properties,
    volume_types,
    volumes,
)
from cinder_ext.states import messages as catalogue
from cinder_ext.states import migration as migration_states
from cinder_ext.states import replication as replication_states
from cinder_ext.states import replication_policy
from cinder_ext.states import snapshot as snapshot_states
from cinder_ext.states import volume as volume_states

HOST = 'node@alpha#alpha'
OWN = {'volumes': 1000}


def GLOBAL(ctxt, conf):
    """Types, QoS specs and group types: name -> id."""
    made = {}
    for name in ('alpha', 'beta', 'unused'):
        made[f'type_{name}'] = volume_types.create(
            ctxt, {'name': name}, {'volume_backend_name': name}).id
    made['type_closed'] = volume_types.create(ctxt, {'name': 'closed', 'is_public': False}, {}).id
    made['type_secure'] = volume_types.create(ctxt, {'name': 'secure'}, {}).id
    type_encryptions.create(ctxt, made['type_secure'], {
        'provider': 'luks', 'cipher': 'aes', 'key_size': 256, 'control_location': 'front-end'})
    made['qos'] = qos_specs.create(ctxt, 'fast', 'back-end', {'iops': '100'}).id
    qos_specs.associate(ctxt, made['qos'], made['type_beta'])
    made['group_type'] = group_types.create(ctxt, {'name': 'plain'}, {'spec': 'one'}).id
    made['group_type_unused'] = group_types.create(ctxt, {'name': 'spare'}, {'spec': 'one'}).id
    made['group_type_replicated'] = group_types.create(
        ctxt, {'name': 'replicated'}, {'group_replication_enabled': '<is> True'}).id
    made['group_type_legacy'] = group_types.legacy(ctxt)
    conf.set_override('default_volume_type', 'alpha')
    conf.set_override('default_group_type', 'plain')
    return made


class Rows:
    """``made`` is name -> id.

    :param mark: in every name, description and value
    :param offer: function(project id, volume id) -> a transfer, as the API answers
    """

    def __init__(self, project_id, mark, shared, offer):
        self.project_id, self.mark, self.shared = project_id, mark, shared
        self.ctxt = context.RequestContext(
            user_id=f'{mark}-user', project_id=project_id, roles=['admin'], is_admin=True,
            overwrite=False)
        self.made = dict(shared, project=project_id)
        self._volumes()
        self._attachments()
        self._groups()
        self._replications()
        self._others()
        transfer = offer(project_id, self._volume('offered'))
        self.made['transfer'], self.made['key'] = transfer['id'], transfer['auth_key']

    def _volume(self, name, status='available', **columns):
        row = volumes.create(self.ctxt, {
            'project_id': self.project_id, 'user_id': self.ctxt.user_id, 'size': 1, 'host': HOST,
            'name': f'{self.mark} {name}', 'description': self.mark, 'availability_zone': 'nova',
            'volume_type_id': self.shared['type_alpha'], **columns},
            {f'{self.mark}-key': self.mark, 'kept': 'yes'})
        transition.force(self.ctxt, volume_states.MACHINE, row.id, status)
        self.made[name] = row.id
        return row.id

    def _snapshot(self, name, volume_id, status='available'):
        row = snapshots.create(self.ctxt, {
            'volume_id': volume_id, 'name': f'{self.mark} {name}', 'description': self.mark},
            {'kept': self.mark})
        transition.force(self.ctxt, snapshot_states.MACHINE, row.id, status)
        self.made[name] = row.id

    def _volumes(self):
        volume_properties.set_image(self.ctxt, self._volume('volume'), {'kept': self.mark})
        self._snapshot('snapshot', self._volume('snapped'))
        self._snapshot('reported', self._volume('reporting'), 'creating')
        self._volume('attaching', 'attaching')
        self._migration('migration', 'migrating')
        self._migration('paused_migration', 'resting', 'schedule', 'pause')
        self._migration('failed_migration', 'failing', 'fail')
        left = self._migration('left_migration', 'leaving_volume', 'fail')
        volume_migrations.note_leftover(self.ctxt, left, {
            'host': HOST, 'kind': 'volume', 'name_id': str(uuid.uuid4()), 'size_bytes': 1,
            'reason': self.mark})

    def _migration(self, name, volume, *events):
        """A migration of a volume of its own, to which some events have happened."""
        row = volume_migrations.start(self.ctxt, self._volume(volume), {
            'operation': 'migrate', 'destination_host': 'node@beta#beta'}, None)
        for event in events:
            transition.move(self.ctxt, migration_states.MACHINE, row.id, event)
        self.made[name] = row.id
        return row.id

    def _attachments(self):
        for name, volume in (('attachment', 'attached'), ('leaving', 'detaching')):
            row = attachments.reserve(self.ctxt, self._volume(volume), str(uuid.uuid4()))
            self.made[name], self.made[f'{name}_server'] = row.id, row.instance_id
            attachments.connect(self.ctxt, row.id, {'host': self.mark})
            attachments.store_connection(self.ctxt, row.id, {'device_path': self.mark})
            attachments.complete(self.ctxt, row.id)
        transition.force(self.ctxt, volume_states.MACHINE, self.made['detaching'], 'detaching')
        row = attachments.reserve(self.ctxt, self._volume('reserved'), str(uuid.uuid4()))
        self.made['reservation'] = row.id

    def _group(self, name, group_type):
        self.made[name] = groups.create(self.ctxt, {
            'project_id': self.project_id, 'user_id': self.ctxt.user_id, 'host': HOST,
            'name': f'{self.mark} {name}', 'group_type_id': self.shared[group_type],
            'availability_zone': 'nova'}, [self.shared['type_alpha']]).id
        groups.created(self.ctxt, self.made[name])

    def _groups(self):
        for kind, group_type in (('group', 'group_type'), ('cgroup', 'group_type_legacy')):
            self._group(kind, group_type)
            self._group(f'empty_{kind}', group_type)
            self._volume(f'in_{kind}', group_id=self.made[kind])
            name = {'group': 'group_snapshot', 'cgroup': 'cgsnapshot'}[kind]
            made = group_snapshots.create(self.ctxt, self.made[kind], {
                'user_id': self.ctxt.user_id, 'name': f'{self.mark} {name}'})
            member = snapshots.of_group_snapshot(self.ctxt, made.id)[0].id
            group_snapshots.created(self.ctxt, made.id, {member: None})
            self.made[name], self.made[f'in_{name}'] = made.id, member

    def _replications(self):
        """Groups that are replicated, and one that may be."""
        self._group('replicable', 'group_type_replicated')
        self._replication('replication', 'enabled')
        self._replication('paused_replication', 'enabled', 'pause')
        away = self._replication('away_replication', 'enabled', 'fail-over', 'failed-over')
        row = replication_operations.create(self.ctxt, {'verb': 'reprotect', 'replication_id': away})
        replication_operations.close(self.ctxt, row.id)
        self.made['operation'] = row.id

    def _replication(self, name, *events):
        """The replication of a group of its own with one volume, to which some events happened."""
        group = f'group_of_{name}'
        self._group(group, 'group_type_replicated')
        self._volume(f'in_{group}', group_id=self.made[group])
        row = replications.create(self.ctxt, replication_policy.merge(
            replication_policy.Policy(True, 'group'), None), self.made[group], 'dr')
        for event in events:
            transition.move(self.ctxt, replication_states.MACHINE, row.id, event)
        self.made[name] = row.id
        return row.id

    def _others(self):
        self.made['message'] = messages.create(
            self.ctxt, self.project_id, f'req-{uuid.uuid4()}', 'VOLUME', self.made['volume'],
            catalogue.EXTEND_VOLUME, catalogue.DRIVER_FAILED_EXTEND, self.mark).id
        # A name of its own: both projects have a type that only they may use.
        self.made['type_own'] = volume_types.create(
            self.ctxt, {'name': f'{self.mark} type', 'is_public': False},
            {'spec': self.mark, 'multiattach': '<is> False'}).id
        type_access.add(self.ctxt, self.made['type_own'], self.project_id)
        default_types.put(self.ctxt, self.project_id, self.shared['type_alpha'])
        quotas.set_limits(self.ctxt, self.project_id, OWN)
