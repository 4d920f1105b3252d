"""What a backend has that could become volumes; managing it; letting volumes go.

``/os-volume-manage`` is the older path of ``/manageable_volumes``.
"""
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import re

from cinder_ext import exceptions
from cinder_ext.api import microversion, pagination, rules, validation
from cinder_ext.api.operation import MIGRATING, Operation
from cinder_ext.api.resources import volume_view, volumes
from cinder_ext.db import default_types, managed, services, type_encryptions, volume_types

LIST_MANAGEABLE = 'volume_extension:list_manageable'
MANAGE = 'volume_extension:volume_manage'
UNMANAGE = 'volume_extension:volume_unmanage'

POLICIES = (
    rules.rule(LIST_MANAGEABLE, rules.ADMIN, 'List what could become volumes.',
               'GET /manageable_volumes', 'GET /manageable_volumes/detail',
               'GET /os-volume-manage', 'GET /os-volume-manage/detail'),
    rules.rule(MANAGE, rules.ADMIN, 'Manage what a backend has.', 'POST /manageable_volumes',
               'POST /os-volume-manage'),
    rules.rule(UNMANAGE, rules.ADMIN, 'Let a volume go.',
               'POST /volumes/{volume_id}/action (os-unmanage)'),
)

# SCHEMAS

REFERENCE = {'type': ['object', 'string']}
_MANAGE = {'name': validation.TEXT, 'description': validation.TEXT, 'ref': REFERENCE,
           'availability_zone': validation.TEXT, 'volume_type': validation.TEXT,
           'host': {**validation.HOST, 'type': ['string', 'null']},
           'bootable': {'oneOf': [{'type': 'null'}, validation.BOOLEAN]},
           'metadata': validation.OPTIONAL_METADATA}
MANAGE_BODY = validation.schemas({
    '3.0': validation.wrapped('volume', _MANAGE, required=('ref',)),
    '3.16': validation.wrapped('volume', {**_MANAGE, 'cluster': validation.TEXT},
                               required=('ref',)),
})
UNMANAGE_BODY = validation.schemas({'3.0': {}})
"""Clients send null or an empty object."""

CLUSTERED = microversion.ByVersion({'3.0': False, '3.16': True})
LIST_CLUSTERED = microversion.ByVersion({'3.0': False, '3.17': True})
"""Whether ``cluster`` may take the place of ``host``."""

_UUID = re.compile(r'[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}', re.IGNORECASE)

# view

BRIEF = ('reference', 'size', 'safe_to_manage')
DETAILS = (*BRIEF, 'reason_not_safe', 'cinder_id', 'extra_info')
SORTABLE = ('reference', 'size')
_DEFAULT_KEY = {'created_at': 'reference'}
"""What is sorted by when only a direction is named, in the place of what other lists have."""

# handlers


def index(call):
    """List what a backend has that could become volumes."""
    return _list(call, BRIEF)


def detail(call):
    """List it with details: why not, and whose it is."""
    return _list(call, DETAILS)


def _list(call, fields):
    return {'manageable-volumes': entries(call, call.rpc.volume.get_manageable_volumes, fields)}


def entries(call, remote, fields):
    """One page of what a backend has.

    :param remote: asks the backend, such as VolumeAPI.get_manageable_volumes
    :param fields: of each entry, that are shown
    :raises ServiceNotFound: there is no such backend
    :raises InvalidInput: it is off
    """
    host = place(call, call.query, call.at(LIST_CLUSTERED))
    service = _service(call, host)
    page = pagination.page(call, SORTABLE, default=(('reference', 'desc'),),
                           aliases=None if 'sort_key' in call.query else _DEFAULT_KEY)
    keys = [key for key in page.keys if key[0] in SORTABLE]
    try:
        found = call.ask(remote, service.host, keys=keys, marker=page.marker, limit=page.limit,
                         offset=page.offset)
    except exceptions.NotCapable as fault:
        raise exceptions.NotServed(what=f'Managing on {service.host}',
                                   instead='its driver has nothing for it') from fault
    return [{field: entry[field] for field in fields} for entry in found]


def place(call, words, is_clustered):
    """The host that a query or a body names.

    :raises InvalidInput: none, or one beside a cluster
    :raises ServiceNotFound: a cluster: this service has none
    """
    host, cluster = words.get('host'), words.get('cluster') if is_clustered else None
    if bool(host) == bool(cluster):
        raise exceptions.InvalidInput(
            reason='One and only one of cluster and host must be set.' if is_clustered
            else 'Host field is missing.')
    if cluster:
        raise exceptions.ServiceNotFound(binary=services.VOLUME_BINARY, host=cluster)
    return host


def _service(call, host):
    """The row of the volume service of ``host@backend`` or ``host@backend#pool``.

    :raises ServiceNotFound: there is none
    :raises InvalidInput: it is disabled or down; 400, as upstream
    """
    service = services.get(call.context, services.VOLUME_BINARY, host.partition('#')[0])
    if service.disabled or not services.is_up(service, call.conf.service_down_time):
        raise exceptions.InvalidInput(
            reason=f'volume service {service.host} is disabled or down.')
    return service


def service_of_volume(call, volume):
    """As for a host that is named, for the backend of a volume."""
    if volume.host is None:
        raise exceptions.InvalidInput(reason=f'volume {volume.id} is on no backend.')
    return _service(call, volume.host)


def create(call):
    """Manage what a backend has: it becomes a volume.

    ``ref`` is the driver's, and the driver checks it: what cannot be managed ends as
    ``error_managing`` with a user message, and stays what and where it was.
    """
    body = call.body['volume']
    refuse_managed(call, body['ref'])
    host, service = _destination(call, body)
    values = {
        'project_id': call.context.project_id, 'user_id': call.context.user_id,
        'name': (body.get('name') or '').strip() or None,
        'description': (body.get('description') or '').strip() or None,
        'availability_zone': body.get('availability_zone') or service.availability_zone,
        'bootable': pagination.truth('bootable', str(body.get('bootable') or False)),
        **_type(call, body.get('volume_type')),
    }
    volume = managed.create_volume(call.context, values, body.get('metadata'), host, body['ref'])
    call.tell(call.rpc.scheduler.manage_volume, volume.id)
    # Upstream's answer has no field that a microversion has added; clients check it so.
    plain = dataclasses.replace(call, version=microversion.MIN)
    return {'volume': volume_view.details(plain, [volume])[0]}


def _destination(call, body):
    """The host that a body names, and its service.

    :raises InvalidInput: there is no such service, or it is off; 400, as upstream
    """
    try:
        host = place(call, body, call.at(CLUSTERED))
        service = _service(call, host)
    except exceptions.ServiceNotFound as fault:
        raise exceptions.InvalidInput(reason=fault.message) from fault
    return (host if '#' in host else service.host), service


def refuse_managed(call, reference):
    """Refuse a reference with the name of a volume or snapshot that there is, as upstream.

    The driver's own names are not known here: whatever looks like a UUID in it is asked for.

    :raises InvalidState: it is managed already
    """
    name = reference.get('source-name') if isinstance(reference, dict) else None
    found = _UUID.search(name) if isinstance(name, str) else None
    if found and managed.managed_id(call.context, found[0].lower()):
        raise exceptions.InvalidState(
            kind='volume', reason=f'{name[:255]} is already managed.')


def _type(call, name):
    """The columns that follow from the volume type.

    :raises InvalidInput: no such type, or one that encrypts
    """
    try:
        found = (volume_types.get_by_name_or_id(call.context, name) if name
                 else default_types.effective(call.context, call.context.project_id,
                                              call.conf.default_volume_type))
    except exceptions.VolumeTypeNotFound as fault:
        raise exceptions.InvalidInput(reason=fault.message) from fault
    if found is None:
        return {'volume_type_id': None}
    if type_encryptions.get(call.context, found.id) is not None:
        raise exceptions.InvalidInput(
            reason='Managing to an encrypted volume type is not supported.')
    specs = volume_types.extra_specs(call.context, found.id)
    return {'volume_type_id': found.id, 'multiattach': specs.get('multiattach') == '<is> True'}


def unmanage(call):
    """Let a volume go: its record is removed, its content stays on the backend."""
    managed.begin_unmanage(call.context, call.target.id)
    if call.target.host is not None:
        call.tell(call.rpc.volume.unmanage_volume, call.target.host, call.target.id)


# OPERATIONS

LIST = Operation('manageable_volumes.list', policy=LIST_MANAGEABLE, handler=index, since='3.8')
LIST_DETAIL = Operation('manageable_volumes.list_detail', policy=LIST_MANAGEABLE, handler=detail,
                        since='3.8')
CREATE = Operation('manageable_volumes.create', policy=MANAGE, body=MANAGE_BODY, handler=create,
                   success=202, since='3.8')
OLD_LIST = Operation('os-volume-manage.list', policy=LIST_MANAGEABLE, handler=index)
OLD_LIST_DETAIL = Operation('os-volume-manage.list_detail', policy=LIST_MANAGEABLE, handler=detail)
OLD_CREATE = Operation('os-volume-manage.create', policy=MANAGE, body=MANAGE_BODY, handler=create,
                       success=202)
ACTIONS = {
    'os-unmanage': Operation('manageable_volumes.unmanage', target=volumes.load, policy=UNMANAGE,
                             body=UNMANAGE_BODY, handler=unmanage, success=202,
                             migrating=MIGRATING),
}
