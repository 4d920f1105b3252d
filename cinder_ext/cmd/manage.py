"""cinder-ext-manage: database, services, volumes, attachments, replication, digests of devices."""
# SPDX-License-Identifier: Apache-2.0

import os
import sys
import time

from oslo_config import cfg
from oslo_utils import timeutils

from cinder_ext import context, exceptions
from cinder_ext.cmd import attachments, process, replication
from cinder_ext.db import hosts, online, purge, schema, services, volume_requests
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


def db_purge(conf):
    """Remove what was deleted so many days ago, and user messages that have expired."""
    days = conf.command.age_in_days
    if days < 0:
        raise process.Refused('Must supply a positive value for age')
    if days >= time.time() / 86400:
        raise process.Refused('Maximal age is count of days since epoch.')
    for table, count in sorted(purge.purge(context.admin_context(), days).items()):
        print(f'{table}: {count}')
    return 0


def db_online_data_migrations(conf):
    """Move data to where new code wants it, while services run; 1 when some is left, 2 on errors."""
    most = conf.command.max_count
    if most is not None and most < 1:
        raise process.Refused('Must supply a positive value for max_count.')
    results, code = online.run(context.admin_context(), online.MIGRATIONS, most)
    line = '{:<40} {:>12} {:>12}'
    print(line.format('Migration', 'Total Needed', 'Completed'))
    for name, needed, done in results:
        print(line.format(name, needed, done))
    return code


def service_remove(conf):
    """Forget a service that is gone for good."""
    try:
        services.remove(context.admin_context(), conf.command.binary, conf.command.host_name)
    except exceptions.ServiceNotFound as fault:
        raise process.Refused(fault.message) from fault
    print(f'Service {conf.command.binary} on host {conf.command.host_name} removed.')
    return 0


def volume_update_host(conf):
    """Say that the volumes of a pool are at another one now; nothing is moved."""
    ctxt, current, new = context.admin_context(), conf.command.currenthost, conf.command.newhost
    if '#' not in current or '#' not in new:
        raise process.Refused('Both hosts must be named whole: host@backend#pool.')
    active = hosts.migrating(ctxt, current)
    if active:
        raise process.Refused(f'Migration {active[0]} works at {current}; wait until it has ended.')
    print(f'{hosts.rename(ctxt, current, new)} volumes are at {new} now.')
    return 0


def volume_delete(conf):
    """Delete a volume whatever its status, unless it is attached or being migrated.

    Its volume service removes it with its next sweep.
    """
    volume_id = conf.command.volume_id
    try:
        volume_requests.begin_delete(context.admin_context(), volume_id, force=True)
    except (exceptions.BadRequest, exceptions.NotFound, exceptions.Conflict) as fault:
        raise process.Refused(fault.message) from fault
    print(f'Volume {volume_id} is going to be deleted.')
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
    'attachments': attachments.VERBS,
    'db': {
        'sync': (db_sync, {'revision': {
            'nargs': '?', 'default': 'heads',
            'help': 'heads (default), expand@head or contract@head'}}),
        'version': (db_version, {}),
        'purge': (db_purge, {'age_in_days': {
            'type': int, 'help': 'purge what was deleted at least so many days ago'}}),
        'online_data_migrations': (db_online_data_migrations, {'--max_count': {
            'type': int, 'metavar': '<number>', 'help': 'at most so many objects'}}),
    },
    'replication': replication.VERBS,
    'service': {
        'list': (service_list, {}),
        'remove': (service_remove, {
            'binary': {'help': 'such as cinder-volume'},
            'host_name': {'help': 'as service list shows it'}}),
    },
    'volume': {
        'delete': (volume_delete, {'volume_id': {'help': 'id of the volume'}}),
        'update_host': (volume_update_host, {
            '--currenthost': {'required': True, 'help': 'host@backend#pool, as it was'},
            '--newhost': {'required': True, 'help': 'host@backend#pool, as it is'}}),
        'digest': (volume_digest, {
            'path': {'help': 'a device, or a file'},
            '--size-bytes': {'type': int, 'help': 'digest only so much of it'}}),
    },
}
"""noun -> verb -> (function, arguments)."""


def _run(argv):
    conf = process.prepare(argv, 'cinder-ext-manage', [
        cfg.SubCommandOpt('command', dest='command', title='commands', handler=_add_commands)],
        has_state=False)
    return conf.command.function(conf)


def main():
    return process.run(_run, sys.argv[1:])
