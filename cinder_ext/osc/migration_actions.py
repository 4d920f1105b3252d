"""Commands ``openstack volume migration cancel``, ``pause``, ``resume``, ``retry``, ``set`` ..."""
# SPDX-License-Identifier: Apache-2.0

from osc_lib import exceptions
from osc_lib.command import command

from cinder_ext.osc import migration, watch

_WHICH = 'ID of a migration, or a volume (name or ID): its latest one'


class _Action(command.Command):
    """Asks one action of each of some migrations; goes on when one refuses, and fails at the end."""

    action = None

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        parser.add_argument('migrations', metavar='<migration>', nargs='+', help=_WHICH)
        return parser

    def take_action(self, parsed_args):
        client = self.app.client_manager.volume_migration
        refused = 0
        for name in parsed_args.migrations:
            try:
                self.done(client, client.act(client.find(name)['id'], self.action), parsed_args)
            except (exceptions.CommandError, exceptions.NotFound) as fault:
                refused += 1
                self.app.LOG.error('%s: %s', name, fault)
        if refused:
            raise exceptions.CommandError(
                f'{refused} of {len(parsed_args.migrations)} migrations: {self.action} failed.')

    def done(self, client, record, parsed_args):
        """What follows when the action was accepted."""


class CancelMigration(_Action):
    """End volume migrations before their commit; the volumes stay where they are"""

    action = 'cancel'

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        parser.add_argument('--wait', action='store_true',
                            help='Wait until the destination is removed')
        return parser

    def done(self, client, record, parsed_args):
        if not parsed_args.wait:
            return
        record = watch.watch(lambda: client.get(record['id']))
        if record['phase'] != 'cancelled':
            raise exceptions.CommandError(f"Migration {record['id']} is {record['phase']}.")


class PauseMigration(_Action):
    """Have volume migrations stand still; what was copied stays"""

    action = 'pause'


class ResumeMigration(_Action):
    """Let paused volume migrations go on"""

    action = 'resume'


class RetryCleanup(_Action):
    """Try again to remove what volume migrations left at a backend"""

    action = 'retry-cleanup'


class AcknowledgeMigration(_Action):
    """Take what volume migrations left at a backend as it is: it is not tried again"""

    action = 'acknowledge'


class RetryMigration(command.ShowOne):
    """Begin a volume migration again that failed, was refused or cancelled"""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        parser.add_argument('migration', metavar='<migration>', help=_WHICH)
        parser.add_argument('--wait', action='store_true',
                            help='Watch it until it has ended; fail when it fails')
        return parser

    def take_action(self, parsed_args):
        client = self.app.client_manager.volume_migration
        record = client.act(client.find(parsed_args.migration)['id'], 'retry')
        return migration.details(
            migration.waited(client, record) if parsed_args.wait else record)


class SetMigration(command.Command):
    """Change how fast a volume migration may copy, also while it runs"""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        parser.add_argument('migration', metavar='<migration>', help=_WHICH)
        limit = parser.add_mutually_exclusive_group(required=True)
        limit.add_argument('--bandwidth', metavar='<bytes-per-second>', type=migration.rate,
                           help='Copy at most so fast: 500K, 10M, 1G')
        limit.add_argument('--no-bandwidth', action='store_const', const=0, dest='bandwidth',
                           help='Only what the backends limit')
        return parser

    def take_action(self, parsed_args):
        client = self.app.client_manager.volume_migration
        client.limit(client.find(parsed_args.migration)['id'], parsed_args.bandwidth)
