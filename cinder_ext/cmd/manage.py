"""cinder-ext-manage: the database, the services, and digests of devices."""
# SPDX-License-Identifier: Apache-2.0

import os
import sys

from oslo_config import cfg
from oslo_utils import timeutils

from cinder_ext import context, exceptions
from cinder_ext.cmd import process
from cinder_ext.db import schema, services
from cinder_ext.drivers.generic import verify
from cinder_ext.volume import engine


def _add_commands(subparsers):
    """The commands, two words each."""
    for noun, verbs in COMMANDS.items():
        parser = subparsers.add_parser(noun)
        of_noun = parser.add_subparsers(dest='verb', required=True)
        for verb, (function, arguments) in verbs.items():
            command = of_noun.add_parser(verb, help=function.__doc__)
            for name, settings in arguments.items():
                command.add_argument(name, **settings)
            command.set_defaults(function=function)


def db_sync(conf):
    """Bring the database up to date, and that of the flows where it is on a server."""
    schema.sync(conf.command.revision)
    if conf.flows.connection:
        flows = engine.Engine(conf)
        flows.prepare()
        flows.close()
    return db_version(conf)


def db_version(conf):
    """Show the database's revisions and those that this code wants; 1 when they differ."""
    current, wanted = schema.current(), schema.heads()
    print(f"database: {' '.join(current) or 'none'}")
    print(f"wanted:   {' '.join(wanted)}")
    return 0 if current == wanted else 1


def service_list(conf):
    """Show the services and whether they are alive."""
    line = '{:<18} {:<40} {:<10} {:<9} {:<6} {}'
    print(line.format('Binary', 'Host', 'Zone', 'Status', 'State', 'Updated at'))
    now = timeutils.utcnow()
    for row in services.list_all(context.admin_context()):
        is_up = services.is_up(row, conf.service_down_time, now)
        print(line.format(row.binary, row.host, row.availability_zone or '-',
                          'disabled' if row.disabled else 'enabled', 'up' if is_up else 'down',
                          row.updated_at))
    return 0


def volume_digest(conf):
    """Show the digest of a device or file, as the record of a migration has it."""
    path = conf.command.path
    try:
        size_bytes = conf.command.size_bytes or _size_bytes(path)
        print(verify.digest_of(path, size_bytes))
    except exceptions.DriverError as fault:
        raise process.Refused(fault.message) from fault
    except OSError as fault:
        raise process.Refused(f'{path}: {fault.strerror}') from fault
    return 0


def _size_bytes(path):
    with open(path, 'rb') as device:
        return device.seek(0, os.SEEK_END)


COMMANDS = {
    'db': {
        'sync': (db_sync, {'revision': {
            'nargs': '?', 'default': 'heads',
            'help': 'heads (default), expand@head or contract@head'}}),
        'version': (db_version, {}),
    },
    'service': {'list': (service_list, {})},
    'volume': {'digest': (volume_digest, {
        'path': {'help': 'a device, or a file'},
        '--size-bytes': {'type': int, 'help': 'digest only so much of it'}})},
}
"""noun -> verb -> (function, arguments)."""


def _run(argv):
    conf = process.prepare(argv, 'cinder-ext-manage', [
        cfg.SubCommandOpt('command', dest='command', title='commands', handler=_add_commands)],
        has_state=False)
    return conf.command.function(conf)


def main():
    return process.run(_run, sys.argv[1:])
