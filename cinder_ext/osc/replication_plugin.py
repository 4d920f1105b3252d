"""Plugin of the ``openstack`` command: makes the client of the commands of replication.

As ``plugin.py``: the command makes one client for each plugin.
"""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext.osc import replication_client

API_NAME = 'volume_replication'
API_VERSION_OPTION = 'os_volume_replication_api_version'
DEFAULT_API_VERSION = '3'
API_VERSIONS = ('3',)


def make_client(instance):
    """The client of one run of the command; ``app.client_manager.volume_replication``."""
    return replication_client.Replications(instance.sdk_connection.block_storage)


def build_option_parser(parser):
    """No global options of ours."""
    return parser
