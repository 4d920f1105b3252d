"""Pages of what a backend has to be managed: sorted and cut here, not in a database."""
# SPDX-License-Identifier: Apache-2.0

import json

from cinder_ext import exceptions

GIB = 1024 ** 3


def gib(size_bytes):
    """A size in GiB, rounded up; a volume has at least one."""
    return max(1, -(-size_bytes // GIB))


def page(entries, keys, marker=None, limit=None, offset=0):
    """A part of a list.

    :param entries: dictionaries with ``reference`` (a dictionary) and ``size``
    :param keys: pairs of ``reference`` or ``size`` and ``asc`` or ``desc``
    :param marker: the reference of the last entry of the page before, as JSON
    :raises InvalidInput: the marker is no JSON, or nothing has that reference
    """
    found = list(entries)
    for name, direction in reversed(keys):
        found.sort(key=_SORTS[name], reverse=direction == 'desc')
    start = _start(found, marker) + (offset or 0)
    return found[start:] if limit is None else found[start:start + limit]


def _by_reference(entry):
    return str(sorted(entry['reference'].values())[0])


_SORTS = {'reference': _by_reference, 'size': lambda entry: entry['size']}


def _start(entries, marker):
    if not marker:
        return 0
    try:
        wanted = json.loads(marker)
    except ValueError:
        raise exceptions.InvalidInput(reason=f'marker {marker[:255]} is no JSON')
    for number, entry in enumerate(entries):
        if entry['reference'] == wanted:
            return number + 1
    raise exceptions.InvalidInput(reason=f'marker not found: {marker[:255]}')
