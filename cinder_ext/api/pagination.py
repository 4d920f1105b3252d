"""Pages of lists: limit, marker, offset and sorting from the query; links to what follows."""
# SPDX-License-Identifier: Apache-2.0

import urllib.parse

from cinder_ext import exceptions
from cinder_ext.api import validation
from cinder_ext.db import listing

PARAMETERS = frozenset({'limit', 'marker', 'offset', 'sort', 'sort_key', 'sort_dir',
                        'with_count', 'all_tenants'})
"""Query parameters that are no filters."""

_DIRECTIONS = ('asc', 'desc')


class Links:
    """URLs that an answer names.

    :param project_id: as the request's path has it, or None
    """

    def __init__(self, conf, request, project_id):
        self.base = (conf.api.public_endpoint or request.application_url).rstrip('/')
        self._path = request.path_info
        self._query = request.query_string
        self._project_id = project_id

    def of(self, context, collection, row_id):
        """``links`` of one resource, as upstream builds them."""
        project = self._project_id or context.project_id
        return [{'rel': 'self', 'href': f'{self.base}/v3/{project}/{collection}/{row_id}'},
                {'rel': 'bookmark', 'href': f'{self.base}/{project}/{collection}/{row_id}'}]

    def next(self, marker):
        """The same request for what follows ``marker``."""
        pairs = [(key, value) for key, value
                 in urllib.parse.parse_qsl(self._query, keep_blank_values=True)
                 if key not in ('marker', 'offset')]
        query = urllib.parse.urlencode([*pairs, ('marker', marker)])
        return f'{self.base}{urllib.parse.quote(self._path)}?{query}'


def page(call, sortable, default=(('created_at', 'desc'), ('id', 'desc')), aliases=None):
    """The part of a list that a query asks for.

    :param sortable: columns by which may be sorted
    :param aliases: sort key on the wire -> column; these are served whatever ``sortable`` says
    :returns: listing.Page
    :raises InvalidPage: a limit, offset or sort key that cannot be
    """
    most = call.conf.api.max_limit
    limit = _number(call.query, 'limit')
    return listing.Page(keys=_sort_keys(call.query, sortable, default, aliases or {}),
                        marker=call.query.get('marker'),
                        limit=most if limit is None else min(limit, most),
                        offset=_number(call.query, 'offset') or 0)


def body(call, name, entries, last_id, page_, links=None):
    """``{name: entries}`` with the link to the next page when there may be one.

    :param last_id: id of the last entry; None for an empty list
    :param links: word for the link, where it is not ``name`` and ``_links``
    """
    document = {name: entries}
    if entries and len(entries) >= page_.limit:
        document[links or f'{name}_links'] = [{'rel': 'next', 'href': call.links.next(last_id)}]
    return document


def wants_all_projects(call):
    """Whether an administrator asked for the rows of every project."""
    word = call.query.get('all_tenants', '')
    return call.context.is_admin and truth('all_tenants', word or '0')


def truth(name, word):
    """A boolean on the wire.

    :raises InvalidInput: the word means neither
    """
    low = word.strip().lower()
    if low in ('1', 'true', 'on', 'yes', 't', 'y'):
        return True
    if low in ('0', 'false', 'off', 'no', 'f', 'n'):
        return False
    raise exceptions.InvalidInput(reason=f'{name} is neither true nor false: {word[:255]!r}')


def _number(query, name):
    text = query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and int(text[:20]) <= validation.MAX_INT):
        raise exceptions.InvalidPage(
            reason=f'{name} must be an integer from 0 to {validation.MAX_INT}: {text[:255]!r}')
    return int(text)


def _sort_keys(query, sortable, default, aliases):
    if 'sort' in query and ('sort_key' in query or 'sort_dir' in query):
        raise exceptions.InvalidPage(reason='sort_key and sort_dir do not go with sort.')
    if 'sort' in query:
        pairs = [part.strip().partition(':')[::2] for part in query['sort'].split(',')]
    elif 'sort_key' in query or 'sort_dir' in query:
        pairs = [(query.get('sort_key', 'created_at').strip(), query.get('sort_dir', '').strip())]
    else:
        return tuple(default)
    keys = {}
    for name, direction in pairs:
        column = aliases.get(name, name)
        if column is None or (name not in aliases and column not in sortable):
            raise exceptions.InvalidPage(reason=f'sort key {name[:255]!r} is not served.')
        if (direction or 'desc') not in _DIRECTIONS:
            raise exceptions.InvalidPage(reason=f'sort direction {direction[:255]!r} is none.')
        keys.setdefault(column, direction or 'desc')
    first = next(iter(keys.values()))
    if 'id' not in keys:
        keys.setdefault('created_at', first)
    keys.setdefault('id', first)
    return tuple(keys.items())
