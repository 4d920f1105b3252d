"""Transfers of volumes between projects: volume-transfers, and os-volume-transfer before it.

Both show the same transfers.  What only the newer one can (from 3.55): leave
the snapshots behind, and (from 3.70) transfer an encrypted volume.
"""
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import hashlib
import hmac
import secrets

from oslo_log import log

from cinder_ext import exceptions
from cinder_ext.api import filters, microversion, pagination, rules, validation
from cinder_ext.api.operation import Operation
from cinder_ext.api.resources.volume_view import moment
from cinder_ext.db import listing, project_models, transfers, volumes

LOG = log.getLogger(__name__)

POLICY_LIST = 'volume:get_all_transfers'
POLICY_CREATE = 'volume:create_transfer'
POLICY_GET = 'volume:get_transfer'
POLICY_ACCEPT = 'volume:accept_transfer'
POLICY_DELETE = 'volume:delete_transfer'


def _both(method, rest=''):
    return f'{method} /os-volume-transfer{rest}', f'{method} /volume-transfers{rest}'


POLICIES = (
    rules.rule(POLICY_LIST, rules.READER, 'List the transfers of volumes.', *_both('GET'),
               *_both('GET', '/detail')),
    rules.rule(POLICY_CREATE, rules.MEMBER, 'Offer a volume to another project.', *_both('POST')),
    rules.rule(POLICY_GET, rules.READER, 'Show a transfer.', *_both('GET', '/{transfer_id}')),
    rules.rule(POLICY_ACCEPT, rules.MEMBER, 'Accept a transfer.',
               *_both('POST', '/{transfer_id}/accept')),
    rules.rule(POLICY_DELETE, rules.MEMBER, 'Withdraw a transfer.',
               *_both('DELETE', '/{transfer_id}')),
)

ROUNDS = 50_000
"""Of PBKDF2, so that who reads the database does not try keys quickly."""

# SCHEMAS

_CREATE = {'volume_id': validation.UUID, 'name': {'oneOf': [{'type': 'null'}, validation.NAME]}}
_CREATE_355 = {**_CREATE, 'no_snapshots': validation.BOOLEAN}
_ACCEPT = {'auth_key': {'type': ['string', 'integer']}}

OLD_CREATE_BODY = validation.schemas({
    '3.0': validation.wrapped('transfer', _CREATE, required=('volume_id',))})
CREATE_BODY = validation.schemas({
    '3.55': validation.wrapped('transfer', _CREATE_355, required=('volume_id',))})
ACCEPT_BODY = validation.schemas({
    '3.0': validation.wrapped('accept', _ACCEPT, required=('auth_key',))})

OLD_ENCRYPTED = microversion.ByVersion({'3.0': False})
ENCRYPTED = microversion.ByVersion({'3.55': False, '3.70': True})
"""Whether an encrypted volume may be offered."""

# view

SORTABLE = ('id', 'name', 'volume_id', 'created_at', 'updated_at', 'source_project_id')
ALIASES = {'display_name': 'name'}
OLDEST_FIRST = (('created_at', 'asc'), ('id', 'asc'))

FILTERS = {
    'id': filters.text('id'),
    'name': filters.text('name'),
    'display_name': filters.text('name'),
    'volume_id': filters.text('volume_id'),
    'no_snapshots': filters.flag('no_snapshots', since='3.55'),
    'source_project_id': filters.text('source_project_id', since='3.57'),
    'destination_project_id': filters.text('destination_project_id', since='3.57'),
    'accepted': filters.flag('accepted', since='3.57'),
}

ADDITIONS = microversion.Additions({
    '3.0': lambda row: {'created_at': moment(row.created_at)},
    '3.55': lambda row: {'no_snapshots': bool(row.no_snapshots)},
    '3.57': lambda row: {'source_project_id': row.source_project_id,
                         'destination_project_id': row.destination_project_id,
                         'accepted': bool(row.accepted)},
})
"""What a version adds to the details of a transfer, from its row."""


def brief(call, row):
    """A transfer in the short list."""
    return {'id': row.id, 'name': row.name, 'volume_id': row.volume_id,
            'links': call.links.of(call.context, 'os-volume-transfer', row.id)}


def details(call, row):
    """A transfer in full; its key is shown once only, when it is made."""
    shown = brief(call, row)
    for addition in ADDITIONS.upto(call.version):
        shown.update(addition(row))
    return shown


def _first_ones(call):
    """Below 3.59 there are neither markers nor sorting."""
    return dataclasses.replace(_asked_for(call), keys=OLDEST_FIRST, marker=None)


def _asked_for(call):
    return pagination.page(call, SORTABLE, aliases=ALIASES)


PAGES = microversion.ByVersion({'3.0': _first_ones, '3.59': _asked_for})

# handlers


def load(call):
    """The transfer of the path, if the caller may know of it."""
    return transfers.get(call.context, call.path['transfer_id'], call.scope)


def index(call):
    """List the open transfers of the project's volumes."""
    return _list(call, brief)


def detail(call):
    """List the open transfers of the project's volumes with details."""
    return _list(call, details)


def _list(call, shape):
    page = call.variant(call)
    wanted = filters.conditions(call, FILTERS)
    if not pagination.wants_all_projects(call):
        wanted.append(listing.Condition('source_project_id', 'eq', call.context.project_id))
    rows = listing.rows(call.context, project_models.Transfer, page, wanted,
                        missing=exceptions.TransferNotFound)
    return pagination.body(call, 'transfers', [shape(call, row) for row in rows],
                           rows[-1].id if rows else None, page)


def show(call):
    """Show a transfer."""
    return {'transfer': details(call, call.target)}


def create(call):
    """Offer a volume; the answer has the key, which is shown here only."""
    wanted = call.body['transfer']
    volume = volumes.get(call.context, wanted['volume_id'], call.scope)
    key = _random(call.conf.volume_transfer_key_length)
    salt = _random(call.conf.volume_transfer_salt_length)
    name = wanted.get('name')
    row = transfers.create(call.context, volume.id, {
        'name': name.strip() if name else None,
        'no_snapshots': pagination.truth('no_snapshots', str(wanted.get('no_snapshots', False))),
        'salt': salt, 'key_hash': _hash(salt, key)}, allow_encrypted=call.variant)
    return {'transfer': {**details(call, row), 'auth_key': key}}


def accept(call):
    """Take a volume that was offered; the key is needed."""
    transfer = transfers.get(call.context, call.path['transfer_id'])
    shown = _hash(transfer.salt, str(call.body['accept']['auth_key']))
    if not hmac.compare_digest(shown, transfer.key_hash):
        LOG.warning('transfer %s: project %s tried a wrong key', transfer.id,
                    call.context.project_id)
        raise exceptions.InvalidAuthKey(id=transfer.id)
    return {'transfer': brief(call, transfers.accept(call.context, transfer.id))}


def delete(call):
    """Withdraw a transfer; its volume is available again."""
    transfers.delete(call.context, call.target.id)


def _random(length):
    """Hexadecimal digits: everybody can type them."""
    return secrets.token_hex(length)[:length]


def _hash(salt, key):
    return hashlib.pbkdf2_hmac('sha256', key.encode(), salt.encode(), ROUNDS).hex()


# OPERATIONS


def _operations(resource, since, create_body, encrypted):
    def one(verb, **more):
        return Operation(f'{resource}.{verb}', since=since, **more)

    return {
        'list': one('list', policy=POLICY_LIST, variant=PAGES, handler=index),
        'detail': one('list_detail', policy=POLICY_LIST, variant=PAGES, handler=detail),
        'show': one('show', target=load, policy=POLICY_GET, handler=show),
        'create': one('create', policy=POLICY_CREATE, body=create_body, variant=encrypted,
                      handler=create, success=202),
        'accept': one('accept', policy=POLICY_ACCEPT, body=ACCEPT_BODY, handler=accept,
                      success=202),
        'delete': one('delete', target=load, policy=POLICY_DELETE, handler=delete, success=202),
    }


OPERATIONS = _operations('volume_transfers', '3.55', CREATE_BODY, ENCRYPTED)
OLD_OPERATIONS = _operations('os_volume_transfer', '3.0', OLD_CREATE_BODY, OLD_ENCRYPTED)


def pages(operations, path):
    """What stands under a path: the page's part for one of both resources."""
    return {
        path: {'GET': operations['list'], 'POST': operations['create']},
        f'{path}/detail': {'GET': operations['detail']},
        f'{path}/{{transfer_id}}': {'GET': operations['show'], 'DELETE': operations['delete']},
        f'{path}/{{transfer_id}}/accept': {'POST': operations['accept']},
    }
