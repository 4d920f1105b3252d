"""Version discovery: for anybody, without a token."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext.api import microversion
from cinder_ext.api.operation import Operation

POLICIES = ()

# view


def view(call):
    """The one version document."""
    return {
        'id': 'v3.0', 'status': 'CURRENT', 'version': microversion.MAX,
        'min_version': microversion.MIN, 'updated': '2026-01-01T00:00:00Z',
        'links': [{'rel': 'describedby', 'type': 'text/html', 'href': 'https://docs.openstack.org/'},
                  {'rel': 'self', 'href': f'{call.links.base}/v3/'}],
        'media-types': [{'base': 'application/json',
                         'type': 'application/vnd.openstack.volume+json;version=3'}],
    }


# handlers


def choices(call):
    """Show the versions to choose from: v3 with its lowest and highest microversion."""
    return {'versions': [view(call)]}


def show(call):
    """Show what v3 is: its lowest and highest microversion."""
    return {'versions': [view(call)]}


# OPERATIONS

CHOICES = Operation('versions.choices', policy=None, handler=choices, success=300)
SHOW = Operation('versions.show', policy=None, handler=show)
