"""What a volume of another cloud becomes in this one: ids, types, project, zone, group."""
# SPDX-License-Identifier: Apache-2.0

import datetime

from oslo_utils import uuidutils

from cinder_ext import exceptions
from cinder_ext.db import (
    group_types,
    quotas,
    replica_handover,
    services,
    type_encryptions,
    volume_types,
)
from cinder_ext.drivers import values

_BINARY = 'cinder-volume'


class Records:
    """The rows of one import; made from its manifests, checked, and not written.

    :param request: as taking.Taking has it
    :param new: a list of taking.Found that are not here yet
    :ivar ids: name_id -> id of the volume here
    :ivar group: ``values`` and ``volume_type_ids``, or None
    :raises InvalidInput: a type or group type is missing here; names it
    :raises ReplicaRefused: an id is taken
    :raises OverLimit: the project may not have so much
    """

    def __init__(self, conf, context, host, driver, request, new):
        self.conf = conf
        self.context = context
        self.request = request
        self._pool = f'{host}#{driver.report()[0].name}'
        self._zone = (request.get('availability_zone')
                      or services.get(context, _BINARY, host).availability_zone)
        self._project = request.get('project_id') or context.project_id
        self._user = request.get('user_id') or context.user_id
        self._types = {name: self._type_id(name) for name in sorted(_type_names(new))}
        self.ids = {each.name_id: uuidutils.generate_uuid() if request.get('new_id')
                    else each.manifest['volume']['id'] for each in new}
        self._snapshot_ids = {
            one['id']: uuidutils.generate_uuid() if request.get('new_id') else one['id']
            for each in new for one in each.manifest['snapshots']}
        self.group = self._group(new)
        self._check(new)

    def _type_id(self, name):
        wanted = (self.request.get('volume_types') or {}).get(name, name)
        try:
            found = volume_types.get_by_name_or_id(self.context, wanted)
        except exceptions.VolumeTypeNotFound as fault:
            raise exceptions.InvalidInput(
                reason=f'there is no volume type {wanted} here; make it, or name another one for '
                       f'{name} in volume_types.') from fault
        if type_encryptions.get(self.context, found.id) is not None:
            raise exceptions.InvalidInput(
                reason=f'volume type {wanted} encrypts here, and what lies there is not encrypted.')
        return found.id

    def _group(self, new):
        described = next((each.manifest['group'] for each in new if each.manifest['group']), None)
        if described is None or not self.request.get('with_group'):
            return None
        wanted = self.request.get('group_type') or described['type']['name']
        try:
            type_id = group_types.get_by_name_or_id(self.context, wanted).id
        except exceptions.GroupTypeNotFound as fault:
            raise exceptions.InvalidInput(
                reason=f'there is no group type {wanted} here; make it, or name another one as '
                       'group_type.') from fault
        return {'values': {
            'id': uuidutils.generate_uuid() if self.request.get('new_id') else described['id'],
            'name': described['name'], 'description': described['description'],
            'project_id': self._project, 'user_id': self._user, 'host': self._pool,
            'availability_zone': self._zone, 'group_type_id': type_id},
            'volume_type_ids': sorted(set(self._types.values()))}

    def _check(self, new):
        """What adopting refuses too, before anything is promoted."""
        taken = replica_handover.taken(self.context, self.ids.values(), self._snapshot_ids.values())
        if taken:
            raise exceptions.ReplicaRefused(
                id=sorted(taken)[0], action='imported',
                reason='a volume or snapshot here has that id; ask for a new id')
        added = {'volumes': len(new), 'gigabytes': sum(_size_gib(each) for each in new),
                 'snapshots': len(self._snapshot_ids)}
        for refusal in quotas.lacking(self.context, self._project, added):
            raise refusal

    def adopted(self, new):
        """What replica_handover.adopt takes, once all are promoted."""
        return [self._volume(each) for each in new]

    def _volume(self, each):
        said = each.manifest['volume']
        volume_id = self.ids[each.name_id]
        kind = each.manifest['type']
        return {
            'values': {
                'id': volume_id, 'name_id': each.name_id if each.name_id != volume_id else None,
                'project_id': self._project, 'user_id': self._user,
                **{name: said[name] for name in ('name', 'description', 'bootable', 'multiattach')},
                'size': _size_gib(each), 'host': self._pool, 'availability_zone': self._zone,
                'volume_type_id': kind and self._types[kind['name']],
                'provider_location': each.promoted.location,
                'group_id': self.group and each.manifest['group']
                            and self.group['values']['id']},
            'metadata': said['metadata'], 'admin_metadata': said['admin_metadata'],
            'image_metadata': said['image_metadata'], 'created_at': moment(said['created_at']),
            'epoch': each.epoch,
            'snapshots': [self._snapshot(one, each.promoted) for one in each.manifest['snapshots']
                          if one['name_id'] in each.promoted.snapshots]}

    def _snapshot(self, one, promoted):
        snapshot_id = self._snapshot_ids[one['id']]
        return {'values': {
            'id': snapshot_id, 'name_id': one['name_id'] if one['name_id'] != snapshot_id else None,
            'name': one['name'], 'description': one['description'], 'size': one['size'],
            'provider_location': promoted.snapshots[one['name_id']]},
            'metadata': one['metadata'], 'created_at': moment(one['created_at'])}


def _type_names(new):
    """Of the types that are needed: those of the volumes, and those that their group names."""
    return {each.manifest['type']['name'] for each in new if each.manifest['type']}


def _size_gib(each):
    """As large as what lies there, should it have been extended after the manifest."""
    return max(each.manifest['volume']['size'], -(-each.size_bytes // values.GIB))


def moment(text):
    """A time of a manifest as a column has it: datetime, UTC without a zone.

    :raises ManifestRefused: it is none
    """
    form = '%Y-%m-%dT%H:%M:%S.%fZ' if '.' in text else '%Y-%m-%dT%H:%M:%SZ'
    try:
        return datetime.datetime.strptime(text, form)
    except ValueError as fault:
        raise exceptions.ManifestRefused(reason=f'{text} is no time') from fault
