"""One good request for every operation of the route table.

``<name>`` in a path, a body or a query stands for what a project has under that name in
``api_rows.py``.  A test that goes over the table fails for an operation without a case.
"""
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import re

from cinder_ext.api import policy, routes, rules

_NAME = re.compile(r'<(\w+)>')


@dataclasses.dataclass(frozen=True)
class Case:
    """``path`` holds the words for the page's variables, in their order.

    ``answer``  status for who may, where it is not the operation's
    ``foreign`` name -> (status, reason): what a project is told of another one's id, where that is
        neither 404 nor, of what is for administrators, 403
    """

    path: tuple = ()
    body: object = None
    query: str = ''
    answer: int | None = None
    foreign: dict = dataclasses.field(default_factory=dict)

    def names(self):
        """What it is about, in any order."""
        return set(_NAME.findall(repr((self.path, self.body, self.query))))


@dataclasses.dataclass(frozen=True)
class Route:
    """An operation with its place in the table and its case."""

    method: str
    page: str
    action: str | None
    operation: object
    case: Case

    @property
    def name(self):
        return ' '.join(filter(None, (self.method, self.page, self.action)))

    @property
    def status(self):
        return self.case.answer or self.operation.success

    @property
    def is_for_administrators(self):
        return 'admin_api' in _DEFAULTS.get(self.operation.policy, '')[:15]

    @property
    def is_for_everybody(self):
        return _DEFAULTS.get(self.operation.policy, rules.ANYBODY) == rules.ANYBODY

    @property
    def writes(self):
        """Whether it changes something, or lets the caller do so."""
        return (self.method != 'GET' or self.name in _WRITING) and self.name not in _READING

    def request(self, names):
        """Method, path, body and query as api_stage.Stage.send takes them."""
        body = resolve(self.case.body, names)
        if self.action is not None:
            body = {self.action: body}
        path = self.page if self.page in routes.UNVERSIONED else filled(
            '/v3' + self.page, [resolve(each, names) for each in self.case.path])
        return {'method': self.method, 'path': path, 'body': body,
                'query': resolve(self.case.query, names)}


def filled(page, words):
    left = list(words)
    return re.sub(r'\{\w+\}', lambda _found: left.pop(0), page)


def resolve(value, names):
    """A case's value with ids instead of names."""
    if isinstance(value, str):
        return _NAME.sub(lambda found: names[found[1]], value)
    if isinstance(value, dict):
        return {key: resolve(inner, names) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [resolve(inner, names) for inner in value]
    return value


_DEFAULTS = {each.name: each.check_str for each in policy.list_rules()}
_READING = frozenset({'POST /volumes/{volume_id}/action os-show_image_metadata'})
_WRITING = frozenset({'GET /qos-specs/{qos_id}/associate', 'GET /qos-specs/{qos_id}/disassociate',
                      'GET /qos-specs/{qos_id}/disassociate_all'})

UNKNOWN = '99999999-9999-4999-8999-999999999999'
_KEPT = {'metadata': {'kept': 'no'}}
_UPLOAD = {'image_name': 'x', 'container_format': 'bare', 'disk_format': 'raw'}
_NOT_IN_IT = (400, 'upstream says that it is not in the group')
_GROUPS_VOLUME = {'volume': (400, 'upstream says that it cannot be added because it is not found'),
                  'in_group': _NOT_IN_IT, 'in_cgroup': _NOT_IN_IT}
_LATEST = {'snapshot': (400, 'upstream says that it is not the latest of the volume')}
_KEY = {'transfer': (400, 'who takes a volume knows id and key; a wrong key is 400 upstream')}
_HINT = {'volume': (202, 'upstream takes any hint; the scheduler sees volumes of the project only')}
_NO_SUCH = {'attachment': (202, 'upstream: there is nothing to detach')}
_ASKED = {'project': (403, 'whether there is such a project is the identity service\'s business')}


def _volume_actions():
    own = {
        'os-extend': Case(('<volume>',), {'new_size': 2}),
        'os-retype': Case(('<volume>',), {'new_type': 'beta', 'migration_policy': 'on-demand'}),
        'os-migrate_volume': Case(('<volume>',), {'host': 'node@beta#beta'}),
        'os-reset_status': Case(('<volume>',), {'status': 'error'}),
        'os-force_delete': Case(('<volume>',), {}),
        'os-set_bootable': Case(('<volume>',), {'bootable': True}),
        'os-migrate_volume_completion': Case(('<volume>',), {'new_volume': '<snapped>'}, answer=400),
        'os-extend_volume_completion': Case(('<volume>',), {'error': False}, answer=400),
        'revert': Case(('<snapped>',), {'snapshot_id': '<snapshot>'}, foreign=_LATEST),
        'os-reimage': Case(('<volume>',), {'image_id': UNKNOWN}, answer=501),
        'os-volume_upload_image': Case(('<volume>',), _UPLOAD, answer=501),
        'os-attach': Case(('<attaching>',), {'instance_uuid': UNKNOWN, 'mountpoint': '/dev/vdb',
                                             'mode': 'rw'}),
        'os-detach': Case(('<attached>',), {'attachment_id': '<attachment>'}, foreign=_NO_SUCH),
        'os-reserve': Case(('<volume>',), {}),
        'os-unreserve': Case(('<attaching>',), {}),
        'os-begin_detaching': Case(('<attached>',), {}),
        'os-roll_detaching': Case(('<detaching>',), {}),
        'os-initialize_connection': Case(('<volume>',), {'connector': {'host': 'h'}}),
        'os-terminate_connection': Case(('<attaching>',), {'connector': {'host': 'h'}}),
        'os-force_detach': Case(('<detaching>',), {'attachment_id': '<leaving>', 'connector': None}),
        'os-update_readonly_flag': Case(('<volume>',), {'readonly': True}),
        'os-show_image_metadata': Case(('<volume>',), {}),
        'os-set_image_metadata': Case(('<volume>',), _KEPT),
        'os-unset_image_metadata': Case(('<volume>',), {'key': 'kept'}),
        'os-unmanage': Case(('<volume>',), {}),
    }
    return {f'POST /volumes/{{volume_id}}/action {name}': each for name, each in own.items()}


def _volumes():
    create = {'size': 1, 'name': 'x', 'description': 'y', 'volume_type': 'alpha',
              'availability_zone': 'nova', 'metadata': {'kept': 'no'}}
    one = '/volumes/{volume_id}'
    return {
        'GET /volumes': Case(), 'GET /volumes/detail': Case(), 'GET /volumes/summary': Case(),
        'POST /volumes': Case(body={'volume': create}),
        f'GET {one}': Case(('<volume>',)),
        f'PUT {one}': Case(('<volume>',), {'volume': {'name': 'x', 'description': 'y', **_KEPT}}),
        f'DELETE {one}': Case(('<volume>',)),
        f'GET {one}/encryption': Case(('<volume>',)),
        f'GET {one}/encryption/{{key}}': Case(('<volume>', 'encryption_key_id')),
        f'GET {one}/metadata': Case(('<volume>',)),
        f'POST {one}/metadata': Case(('<volume>',), _KEPT),
        f'PUT {one}/metadata': Case(('<volume>',), _KEPT),
        f'GET {one}/metadata/{{key}}': Case(('<volume>', 'kept')),
        f'PUT {one}/metadata/{{key}}': Case(('<volume>', 'kept'), {'meta': {'kept': 'no'}}),
        f'DELETE {one}/metadata/{{key}}': Case(('<volume>', 'kept')),
        **_migrations(), **_replications(),
    }


def _migrations():
    one = '/volume-migrations/{migration_id}'
    return {
        'GET /volume-migrations': Case(),
        'POST /volume-migrations': Case(body={'volume_migration': {
            'volume_id': '<volume>', 'destination_host': 'node@beta#beta', 'verify': 'full',
            'include_snapshots': False, 'lock_volume': True, 'yield_to_attach': False,
            'force_copy': True, 'bandwidth': 1048576, 'dry_run': False}}),
        f'GET {one}': Case(('<migration>',)),
        f'PUT {one}': Case(('<migration>',), {'volume_migration': {'bandwidth': 1048576}}),
        f'POST {one}/action cancel': Case(('<migration>',), {}),
        f'POST {one}/action pause': Case(('<paused_migration>',), {}),
        f'POST {one}/action resume': Case(('<paused_migration>',), {}),
        f'POST {one}/action retry': Case(('<failed_migration>',), {}),
        f'POST {one}/action retry-cleanup': Case(('<left_migration>',), {}),
        f'POST {one}/action acknowledge': Case(('<left_migration>',), {}),
    }


def _replications():
    one = '/replications/{replication_id}'
    how = {'force': False, 'dry_run': False, 'allow_attached': True, 'reattach': False,
           'consistency': 'best-effort'}
    return {
        'GET /replications': Case(),
        'POST /replications': Case(body={'replication': {
            'scope': 'group', 'id': '<replicable>', 'target': 'dr', 'mode': 'async',
            'rpo_seconds': 60, 'schedule': None, 'retention': 2}}),
        'POST /replications/failover': Case(body={'failover': {
            'scope': 'group', 'id': '<group_of_replication>', 'target': 'dr', 'point_id': UNKNOWN,
            **how}}),
        f'GET {one}': Case(('<replication>',)),
        f'DELETE {one}': Case(('<replication>',)),
        f'POST {one}/action failover': Case(('<replication>',), {'point_id': UNKNOWN, **how}),
        f'POST {one}/action failback': Case(('<away_replication>',), how),
        f'POST {one}/action reprotect': Case(('<away_replication>',), {}),
        f'POST {one}/action resync': Case(('<away_replication>',), {'discard': 'home'}),
        f'POST {one}/action pause': Case(('<replication>',), {}),
        f'POST {one}/action resume': Case(('<paused_replication>',), {}),
        f'POST {one}/action sync_now': Case(('<replication>',), {}),
        f'POST {one}/action test': Case(('<replication>',), {
            'point_id': UNKNOWN, 'expires_in_seconds': 60}),
        'POST /volumes/{volume_id}/export-replica': Case(('<volume>',), {'export-replica': {
            'clear_existing': False, 'target': 'dr'}}),
        'POST /volumes/import-replica': Case(body={'import-replica': {
            'backend': 'node@alpha', 'handle': UNKNOWN, 'promote': False, 'volume_types': {'a': 'b'}}}),
        'GET /replication-operations': Case(),
        'GET /replication-operations/{operation_id}': Case(('<operation>',)),
    }


def _snapshots():
    one = '/snapshots/{snapshot_id}'
    return {
        'GET /snapshots': Case(), 'GET /snapshots/detail': Case(),
        'POST /snapshots': Case(body={'snapshot': {
            'volume_id': '<volume>', 'name': 'x', 'description': 'y', **_KEPT}}),
        f'GET {one}': Case(('<snapshot>',)),
        f'PUT {one}': Case(('<snapshot>',), {'snapshot': {'name': 'x', 'description': 'y'}}),
        f'DELETE {one}': Case(('<snapshot>',)),
        f'POST {one}/action os-reset_status': Case(('<snapshot>',), {'status': 'error'}),
        f'POST {one}/action os-force_delete': Case(('<snapshot>',), {}),
        f'POST {one}/action os-update_snapshot_status': Case(
            ('<reported>',), {'status': 'creating', 'progress': '50%'}),
        f'POST {one}/action os-unmanage': Case(('<snapshot>',), {}),
        f'GET {one}/metadata': Case(('<snapshot>',)),
        f'POST {one}/metadata': Case(('<snapshot>',), _KEPT),
        f'PUT {one}/metadata': Case(('<snapshot>',), _KEPT),
        f'GET {one}/metadata/{{key}}': Case(('<snapshot>', 'kept')),
        f'PUT {one}/metadata/{{key}}': Case(('<snapshot>', 'kept'), {'meta': {'kept': 'no'}}),
        f'DELETE {one}/metadata/{{key}}': Case(('<snapshot>', 'kept')),
    }


def _types():
    one, cipher = '/types/{type_id}', {'provider': 'luks', 'control_location': 'front-end',
                                       'key_size': 256, 'cipher': 'aes'}
    default = {'default_type': {'volume_type': '<type_own>'}}
    return {
        'GET /types': Case(),
        'POST /types': Case(body={'volume_type': {'name': 'x', 'description': 'y',
                                                  'os-volume-type-access:is_public': True,
                                                  'extra_specs': {'spec': 'z'}}}),
        f'GET {one}': Case(('<type_own>',)),
        f'PUT {one}': Case(('<type_own>',), {'volume_type': {'name': 'x', 'description': 'y',
                                                             'is_public': False}}),
        f'DELETE {one}': Case(('<type_unused>',)),
        f'GET {one}/extra_specs': Case(('<type_own>',)),
        f'POST {one}/extra_specs': Case(('<type_own>',), {'extra_specs': {'spec': 'z'}}),
        f'GET {one}/extra_specs/{{key}}': Case(('<type_own>', 'multiattach')),
        f'PUT {one}/extra_specs/{{key}}': Case(('<type_own>', 'spec'), {'spec': 'z'}),
        f'DELETE {one}/extra_specs/{{key}}': Case(('<type_own>', 'spec')),
        f'POST {one}/action addProjectAccess': Case(('<type_own>',), {'project': 'x'}),
        f'POST {one}/action removeProjectAccess': Case(('<type_own>',), {'project': '<project>'}),
        f'GET {one}/os-volume-type-access': Case(('<type_own>',)),
        f'GET {one}/encryption': Case(('<type_secure>',)),
        f'POST {one}/encryption': Case(('<type_unused>',), {'encryption': cipher}),
        f'GET {one}/encryption/{{key}}': Case(('<type_secure>', 'cipher')),
        f'PUT {one}/encryption/{{key}}': Case(('<type_secure>', 'x'), {'encryption': cipher}),
        f'DELETE {one}/encryption/{{key}}': Case(('<type_secure>', 'x')),
        'GET /default-types': Case(),
        'GET /default-types/{id}': Case(('<project>',)),
        'PUT /default-types/{id}': Case(('<project>',), default),
        'DELETE /default-types/{id}': Case(('<project>',)),
        **_qos(),
    }


def _qos():
    one = '/qos-specs/{qos_id}'
    return {
        'GET /qos-specs': Case(),
        'POST /qos-specs': Case(body={'qos_specs': {'name': 'x', 'consumer': 'both', 'iops': '1'}}),
        f'GET {one}': Case(('<qos>',)),
        f'PUT {one}': Case(('<qos>',), {'qos_specs': {'consumer': 'both', 'iops': '1'}}),
        f'DELETE {one}': Case(('<qos>',), query='force=true'),
        f'PUT {one}/delete_keys': Case(('<qos>',), {'keys': ['iops']}),
        f'GET {one}/associations': Case(('<qos>',)),
        f'GET {one}/associate': Case(('<qos>',), query='vol_type_id=<type_alpha>'),
        f'GET {one}/disassociate': Case(('<qos>',), query='vol_type_id=<type_beta>'),
        f'GET {one}/disassociate_all': Case(('<qos>',)),
    }


def _attachments():
    one = '/attachments/{attachment_id}'
    return {
        'GET /attachments': Case(), 'GET /attachments/detail': Case(),
        'POST /attachments': Case(body={'attachment': {
            'volume_uuid': '<volume>', 'instance_uuid': UNKNOWN, 'mode': 'rw',
            'connector': {'host': 'h', 'mountpoint': '/dev/vdb'}}}),
        f'GET {one}': Case(('<attachment>',)),
        f'PUT {one}': Case(('<reservation>',), {'attachment': {
            'connector': {'host': 'h', 'mountpoint': '/dev/vdb', 'mode': 'rw'}}}),
        f'DELETE {one}': Case(('<attachment>',)),
        f'POST {one}/action os-complete': Case(('<reservation>',), {}),
    }


def _group_types():
    one = '/group_types/{group_type_id}'
    return {
        'GET /group_types': Case(),
        'POST /group_types': Case(body={'group_type': {
            'name': 'x', 'description': 'y', 'is_public': True, 'group_specs': {'spec': 'z'}}}),
        f'GET {one}': Case(('<group_type>',)),
        f'PUT {one}': Case(('<group_type>',), {'group_type': {'name': 'x', 'description': 'y'}}),
        f'DELETE {one}': Case(('<group_type_unused>',)),
        f'GET {one}/group_specs': Case(('<group_type>',)),
        f'POST {one}/group_specs': Case(('<group_type_unused>',), {'group_specs': {'spec': 'z'}}),
        f'GET {one}/group_specs/{{key}}': Case(('<group_type>', 'spec')),
        f'PUT {one}/group_specs/{{key}}': Case(('<group_type_unused>', 'spec'), {'spec': 'z'}),
        f'DELETE {one}/group_specs/{{key}}': Case(('<group_type_unused>', 'spec')),
    }


def _groups():
    one, snap, act = '/groups/{group_id}', '/group_snapshots/{group_snapshot_id}', 'POST {}/action {}'
    return {
        'GET /groups': Case(query='list_volume=true'),
        'GET /groups/detail': Case(query='list_volume=true'),
        'POST /groups': Case(body={'group': {
            'name': 'x', 'description': 'y', 'group_type': '<group_type>', 'volume_types': ['alpha'],
            'availability_zone': 'nova'}}),
        'POST /groups/action create-from-src': Case(body={
            'group_snapshot_id': '<group_snapshot>', 'name': 'x', 'description': 'y'}),
        f'GET {one}': Case(('<group>',), query='list_volume=true'),
        f'PUT {one}': Case(('<group>',), {'group': {
            'name': 'x', 'description': 'y', 'add_volumes': '<volume>'}}, foreign=_GROUPS_VOLUME),
        act.format(one, 'delete'): Case(('<empty_group>',), {'delete-volumes': False}),
        act.format(one, 'reset_status'): Case(('<group>',), {'status': 'error'}),
        act.format(one, 'enable_replication'): Case(('<group>',), {}, answer=400),
        act.format(one, 'disable_replication'): Case(('<group>',), {}, answer=400),
        act.format(one, 'failover_replication'): Case(
            ('<group>',), {'secondary_backend_id': 'x', 'allow_attached_volume': True}, answer=400),
        act.format(one, 'modify_body_for_action'): Case(('<group>',), {}, answer=400),
        act.format(one, 'list_replication_targets'): Case(('<group>',), {}, answer=400),
        'GET /group_snapshots': Case(), 'GET /group_snapshots/detail': Case(),
        'POST /group_snapshots': Case(body={'group_snapshot': {
            'group_id': '<group>', 'name': 'x', 'description': 'y'}}),
        f'GET {snap}': Case(('<group_snapshot>',)),
        f'DELETE {snap}': Case(('<group_snapshot>',)),
        act.format(snap, 'reset_status'): Case(('<group_snapshot>',), {'status': 'error'}),
        **_consistency_groups(),
    }


def _consistency_groups():
    one, snap = '/consistencygroups/{group_id}', '/cgsnapshots/{group_snapshot_id}'
    change = Case(('<cgroup>',), {'consistencygroup': {
        'name': 'x', 'description': 'y', 'add_volumes': '<volume>'}}, foreign=_GROUPS_VOLUME)
    return {
        'GET /consistencygroups': Case(), 'GET /consistencygroups/detail': Case(),
        'POST /consistencygroups': Case(body={'consistencygroup': {
            'name': 'x', 'description': 'y', 'volume_types': 'alpha', 'availability_zone': 'nova'}}),
        'POST /consistencygroups/create_from_src': Case(body={'consistencygroup-from-src': {
            'cgsnapshot_id': '<cgsnapshot>', 'name': 'x', 'description': 'y'}}),
        f'GET {one}': Case(('<cgroup>',)),
        f'PUT {one}': change, f'PUT {one}/update': change,
        f'POST {one}/delete': Case(('<empty_cgroup>',), {'consistencygroup': {'force': False}}),
        'GET /cgsnapshots': Case(), 'GET /cgsnapshots/detail': Case(),
        'POST /cgsnapshots': Case(body={'cgsnapshot': {
            'consistencygroup_id': '<cgroup>', 'name': 'x', 'description': 'y'}}),
        f'GET {snap}': Case(('<cgsnapshot>',)),
        f'DELETE {snap}': Case(('<cgsnapshot>',)),
    }


def _operators():
    service = {'host': 'node@alpha', 'binary': 'cinder-volume'}
    place, log = {'host': 'node@alpha'}, {'binary': 'cinder-volume', 'server': 'node@alpha',
                                          'prefix': 'nothing.of.this.name'}
    return {
        'GET /os-services': Case(),
        'PUT /os-services/enable': Case(body=service),
        'PUT /os-services/disable': Case(body=service),
        'PUT /os-services/disable-log-reason': Case(body={**service, 'disabled_reason': 'x'}),
        'PUT /os-services/freeze': Case(body=place),
        'PUT /os-services/thaw': Case(body=place, answer=400),
        'PUT /os-services/failover_host': Case(body={**place, 'backend_id': 'x'}, answer=400),
        'PUT /os-services/failover': Case(body={**place, 'backend_id': 'x'}, answer=400),
        'PUT /os-services/set-log': Case(body={**log, 'level': 'INFO'}),
        'PUT /os-services/get-log': Case(body=log),
        'GET /os-hosts': Case(), 'GET /os-hosts/{host_name}': Case(('node@alpha',)),
        'PUT /os-hosts/{host_name}': Case(('node@alpha',), {'status': 'enable'}, answer=501),
        'GET /clusters': Case(), 'GET /clusters/detail': Case(),
        'PUT /clusters/enable': Case(body={'name': 'x', 'binary': 'cinder-volume'}, answer=404),
        'PUT /clusters/disable': Case(body={'name': 'x', 'disabled_reason': 'y'}, answer=404),
        'GET /clusters/{cluster_id}': Case(('x',), answer=404),
        'POST /workers/cleanup': Case(body={'host': 'node@alpha', 'is_up': True,
                                            'binary': 'cinder-volume'}),
        'GET /capabilities/{host_name}': Case(('node@alpha',)),
        'GET /scheduler-stats/get_pools': Case(query='detail=true'),
        **_managing(),
    }


def _managing():
    found = {}
    volume = Case(body={'volume': {
        'host': 'node@alpha#alpha', 'ref': {'source-name': 'a'}, 'name': 'x', 'description': 'y',
        'volume_type': 'alpha', 'availability_zone': 'nova', 'bootable': True, **_KEPT}})
    snapshot = Case(body={'snapshot': {
        'volume_id': '<volume>', 'ref': {'source-name': 'a'}, 'name': 'x', 'description': 'y',
        **_KEPT}})
    for case, pages in ((volume, ('/manageable_volumes', '/os-volume-manage')),
                        (snapshot, ('/manageable_snapshots', '/os-snapshot-manage'))):
        for page in pages:
            found[f'POST {page}'] = case
            found[f'GET {page}'] = found[f'GET {page}/detail'] = Case(query='host=node@alpha')
    return found


def _projects():
    one, limits = '/os-quota-sets/{target_id}', {'volumes': 2000, 'snapshots': '-1'}
    return {
        'GET /messages': Case(),
        'GET /messages/{message_id}': Case(('<message>',)),
        'DELETE /messages/{message_id}': Case(('<message>',)),
        'GET /extensions': Case(), 'GET /extensions/{alias}': Case(('os-types-manage',)),
        'GET /os-availability-zone': Case(), 'GET /resource_filters': Case(),
        f'GET {one}': Case(('<project>',), query='usage=true', foreign=_ASKED),
        f'PUT {one}': Case(('<project>',), {'quota_set': limits}),
        f'DELETE {one}': Case(('<project>',)),
        f'GET {one}/defaults': Case(('<project>',), foreign=_ASKED),
        'GET /os-quota-class-sets/{class_name}': Case(('default',)),
        'PUT /os-quota-class-sets/{class_name}': Case(('default',), {'quota_class_set': limits}),
        'GET /limits': Case(),
        **_transfers('/volume-transfers', {'no_snapshots': True}),
        **_transfers('/os-volume-transfer', {}),
    }


def _transfers(page, more):
    return {
        f'GET {page}': Case(), f'GET {page}/detail': Case(),
        f'POST {page}': Case(body={'transfer': {'volume_id': '<volume>', 'name': 'x', **more}}),
        f'GET {page}/{{transfer_id}}': Case(('<transfer>',)),
        f'DELETE {page}/{{transfer_id}}': Case(('<transfer>',)),
        f'POST {page}/{{transfer_id}}/accept': Case(
            ('<transfer>',), {'accept': {'auth_key': '<key>'}}, foreign=_KEY),
    }


CASES = {
    'GET /': Case(), 'GET /v3': Case(), 'GET /v3/': Case(),
    **_volumes(), **_volume_actions(), **_snapshots(), **_types(), **_attachments(),
    **_group_types(), **_groups(), **_operators(), **_projects(),
}

MORE = {
    'POST /volume-migrations': (
        Case(body={'volume_migration': {'volume_id': '<volume>', 'destination_type': 'beta'}}),
        Case(body={'volume_migration': {'volume_id': '<volume>', 'destination_host': 'node@beta#beta',
                                        'dry_run': True}}, answer=200)),
    'POST /volumes': (
        Case(body={'volume': {'snapshot_id': '<snapshot>'}}),
        Case(body={'volume': {'source_volid': '<volume>'}}),
        Case(body={'volume': {'size': 1, 'volume_type': 'alpha', 'group_id': '<group>'}}),
        Case(body={'volume': {'size': 1, 'volume_type': 'alpha', 'consistencygroup_id': '<cgroup>'}}),
        Case(body={'volume': {'size': 1, 'volume_type': '<type_own>'}}),
        Case(body={'volume': {'size': 1}, 'OS-SCH-HNT:scheduler_hints': {
            'same_host': ['<volume>'], 'different_host': '<volume>'}}, foreign=_HINT)),
    'POST /volumes/{volume_id}/action os-retype': (Case(('<volume>',), {'new_type': '<type_own>'}),),
    'POST /groups': (Case(body={'group': {
        'group_type': '<group_type>', 'volume_types': ['<type_own>']}}),),
    'PUT /groups/{group_id}': (
        Case(('<group>',), {'group': {'remove_volumes': '<in_group>'}}, foreign=_GROUPS_VOLUME),),
    'POST /groups/action create-from-src': (Case(body={'source_group_id': '<group>'}),),
    'POST /consistencygroups': (Case(body={'consistencygroup': {'volume_types': '<type_own>'}}),),
    'PUT /consistencygroups/{group_id}': (
        Case(('<cgroup>',), {'consistencygroup': {'remove_volumes': '<in_cgroup>'}},
             foreign=_GROUPS_VOLUME),),
    'POST /consistencygroups/create_from_src': (
        Case(body={'consistencygroup-from-src': {'source_cgid': '<cgroup>'}}),),
}
"""Further good requests, for what one body cannot name at once."""


def every():
    """A Route for each operation of the table, and for each further case.

    :raises KeyError: an operation without a case
    """
    for method, page, action, operation in routes.operations():
        name = ' '.join(filter(None, (method, page, action)))
        for case in (CASES[name], *MORE.get(name, ())):
            yield Route(method, page, action, operation, case)
