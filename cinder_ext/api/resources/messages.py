"""User messages: what went wrong after a request had been accepted."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext import exceptions
from cinder_ext.api import filters, microversion, pagination, rules
from cinder_ext.api.operation import Operation
from cinder_ext.api.resources.volume_view import moment
from cinder_ext.db import listing, messages, models
from cinder_ext.states import messages as catalogue

POLICY_LIST = 'message:get_all'
POLICY_GET = 'message:get'
POLICY_DELETE = 'message:delete'

POLICIES = (
    rules.rule(POLICY_LIST, rules.READER, 'List the messages.', 'GET /messages'),
    rules.rule(POLICY_GET, rules.READER, 'Show a message.', 'GET /messages/{message_id}'),
    rules.rule(POLICY_DELETE, rules.MEMBER, 'Remove a message.', 'DELETE /messages/{message_id}'),
)

# view

SORTABLE = ('id', 'event_id', 'message_level', 'request_id', 'resource_type', 'resource_uuid',
            'created_at', 'expires_at')
ALIASES = {'guaranteed_until': 'expires_at'}

FILTERS = {name: filters.text(name, since='3.5') for name in (
    'message_level', 'event_id', 'resource_uuid', 'resource_type', 'request_id')}


def view(call, row):
    """A message; its text is made of the numbers of action and detail."""
    about = {name: getattr(row, name) for name in ('resource_type', 'resource_uuid')
             if getattr(row, name)}
    return {'id': row.id, 'event_id': row.event_id, 'message_level': row.message_level,
            'user_message': catalogue.shown(row.action_id, row.detail_id, row.user_message),
            'created_at': moment(row.created_at), 'guaranteed_until': moment(row.expires_at),
            'request_id': row.request_id, **about,
            'links': call.links.of(call.context, 'messages', row.id)}


def _everything(call):
    """Below 3.5 there are neither pages nor filters."""
    return listing.Page(limit=call.conf.api.max_limit)


def _asked_for(call):
    return pagination.page(call, SORTABLE, aliases=ALIASES)


PAGES = microversion.ByVersion({'3.3': _everything, '3.5': _asked_for})

# handlers


def load(call):
    """The message of the path, if the caller may know of it."""
    return messages.get(call.context, call.path['message_id'], call.scope)


def index(call):
    """List the messages of the project; from 3.5 on with pages and filters."""
    page = call.variant(call)
    project_id = None if pagination.wants_all_projects(call) else call.context.project_id
    wanted = filters.conditions(call, FILTERS, 'message')
    rows = listing.rows(call.context, models.Message, page, wanted, project_id,
                        missing=exceptions.MessageNotFound)
    return pagination.body(call, 'messages', [view(call, row) for row in rows],
                           rows[-1].id if rows else None, page)


def show(call):
    """Show a message."""
    return {'message': view(call, call.target)}


def delete(call):
    """Remove a message."""
    messages.delete(call.context, call.target.id)


# OPERATIONS

LIST = Operation('messages.list', policy=POLICY_LIST, variant=PAGES, handler=index, since='3.3')
SHOW = Operation('messages.show', target=load, policy=POLICY_GET, handler=show, since='3.3')
DELETE = Operation('messages.delete', target=load, policy=POLICY_DELETE, handler=delete,
                   success=204, since='3.3')
