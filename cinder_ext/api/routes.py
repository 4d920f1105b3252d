"""THE page: every path, its methods, and the operation behind each.

A path is found with and without a project id after ``/v3``, at every
microversion.  What counts as a project id: hexadecimal digits and dashes.  An
entry that is a dictionary holds actions: the only key of the body chooses.
"""
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import re

from cinder_ext.api.resources import (
    scheduler_stats,
    versions,
    volume_actions,
    volume_metadata,
    volume_migrations,
    volumes,
)

RESOURCES = (versions, volumes, volume_metadata, volume_actions, volume_migrations,
             scheduler_stats)

UNVERSIONED = {
    '/': {'GET': versions.CHOICES},
    '/v3': {'GET': versions.SHOW},
    '/v3/': {'GET': versions.SHOW},
    '/healthcheck': {'GET': versions.HEALTH},
}
OPEN = frozenset(UNVERSIONED) | {''}
"""Paths that need no token."""

ROUTES = {
    '/volumes': {'GET': volumes.LIST, 'POST': volumes.CREATE},
    '/volumes/detail': {'GET': volumes.LIST_DETAIL},
    '/volumes/summary': {'GET': volumes.SUMMARY},
    '/volumes/{volume_id}': {'GET': volumes.SHOW, 'PUT': volumes.UPDATE,
                             'DELETE': volumes.DELETE},
    '/volumes/{volume_id}/action': {'POST': volume_actions.ACTIONS},
    '/volumes/{volume_id}/metadata': {'GET': volume_metadata.LIST,
                                      'POST': volume_metadata.MERGE,
                                      'PUT': volume_metadata.REPLACE},
    '/volumes/{volume_id}/metadata/{key}': {'GET': volume_metadata.SHOW,
                                            'PUT': volume_metadata.SET,
                                            'DELETE': volume_metadata.DELETE},
    '/volume-migrations': {'GET': volume_migrations.LIST},
    '/volume-migrations/{migration_id}': {'GET': volume_migrations.SHOW},
    '/scheduler-stats/get_pools': {'GET': scheduler_stats.POOLS},
}

_PROJECT_ID = re.compile(r'[0-9a-f-]+')


@dataclasses.dataclass(frozen=True)
class Found:
    """A path that is served: its methods, its variables, the project id in it or None."""

    methods: dict
    path: dict
    project_id: str | None


def operations():
    """Every operation with its method and path: (method, path, action or None, operation)."""
    for path, methods in {**UNVERSIONED, **ROUTES}.items():
        for method, entry in methods.items():
            if isinstance(entry, dict):
                for action, operation in entry.items():
                    yield method, path, action, operation
            else:
                yield method, path, None, entry


def match(path):
    """What is served under a path; None when nothing is."""
    if (path or '/') in UNVERSIONED:
        return Found(UNVERSIONED[path or '/'], {}, None)
    words = path.split('/')
    if words[:2] != ['', 'v3']:
        return None
    words, project_id = words[2:], None
    # No resource has a name of hexadecimal digits only.
    if _PROJECT_ID.fullmatch(words[0]):
        project_id, words = words[0], words[1:]
    node, variables = _TREE, []
    for word in words:
        if word in node:
            node = node[word]
        elif word and None in node:
            node = node[None]
            variables.append(word)
        else:
            return None
    if '' not in node:
        return None
    methods, names = node['']
    return Found(methods, dict(zip(names, variables, strict=True)), project_id)


def _grow():
    """The routes as a tree of words; None stands for a variable, '' for the leaf."""
    tree = {}
    for path, methods in ROUTES.items():
        node, names = tree, []
        for word in path.split('/')[1:]:
            if word.startswith('{'):
                names.append(word[1:-1])
                word = None
            node = node.setdefault(word, {})
        node[''] = (methods, names)
    return tree


_TREE = _grow()
