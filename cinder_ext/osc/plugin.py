"""Plugin of the ``openstack`` command: makes the client that our commands use.

Loaded by the entry point group ``openstack.cli.extension``; the commands come
from ``openstack.volume.v3``.
"""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext.osc import client

API_NAME = 'volume_migration'
API_VERSION_OPTION = 'os_volume_migration_api_version'
DEFAULT_API_VERSION = '3'
API_VERSIONS = ('3',)


def make_client(instance):
    """The client of one run of the command; ``app.client_manager.volume_migration``."""
    return client.Migrations(instance.sdk_connection.block_storage)


def build_option_parser(parser):
    """No global options of ours."""
    return parser
