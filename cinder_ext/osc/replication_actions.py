"""Commands ``openstack volume replication failover``, ``failback``, ``resync``, ``pause`` ..."""
# SPDX-License-Identifier: Apache-2.0

import time

from osc_lib import exceptions
from osc_lib.command import command

from cinder_ext.osc import replication

_POLL_SECONDS = 0.5


def waited(client, record, pause_seconds=_POLL_SECONDS):
    """Ask for an operation until it has ended; returns its record.

    :param pause_seconds: between two questions; the first ones come sooner
    :raises CommandError: not all of its members succeeded
    """
    pause = pause_seconds / 8
    while record['state'] in ('queued', 'running'):
        time.sleep(pause)
        record = client.operation(record['id'])
        pause = min(2 * pause, pause_seconds)
    if record['state'] != 'succeeded':
        raise exceptions.CommandError(
            f"Operation {record['id']} is {record['state']}: "
            f"{record.get('error') or record['error_code'] or 'see its members'}")
    return record


def _waiting(parser):
    parser.add_argument('--wait', action='store_true',
                        help='Wait until it has ended; fail unless all succeeded')


def _how(parser):
    parser.add_argument('--force', action='store_true', default=None,
                        help='Go on without the other side; what was not shipped is lost')
    parser.add_argument('--dry-run', action='store_true', default=None,
                        help='Change nothing; say of each volume what would be done')
    parser.add_argument('--allow-attached', action='store_true', default=None,
                        help='Volumes that are attached too: each gets a new connection')
    parser.add_argument('--reattach', action='store_true', default=None,
                        help='Wish that the compute service attaches them anew: recorded, not served')
    parser.add_argument('--consistency', choices=('strict', 'best-effort'),
                        help='Whether volumes may end at different moments')


_HOW = ('force', 'dry_run', 'allow_attached', 'reattach', 'consistency')


class _Operation(command.ShowOne):
    """Asks an action that becomes an operation, and shows that."""

    action = None
    options = ()

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        replication.which(parser)
        _waiting(parser)
        return parser

    def take_action(self, parsed_args):
        client = self.app.client_manager.volume_replication
        found = client.find(parsed_args.replication, parsed_args.scope, parsed_args.target)
        record = client.act(found['id'], self.action,
                            **{name: getattr(parsed_args, name) for name in self.options})
        return replication.operation_details(
            waited(client, record) if parsed_args.wait else record)


class FailoverReplication(command.ShowOne):
    """Fail over a group, pool, backend or volume, or the volumes that options choose"""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        parser.add_argument('thing', metavar='<thing>', nargs='?', help=replication.WHICH)
        parser.add_argument('--scope', choices=replication.SCOPES, help='What is named is this')
        parser.add_argument('--target', metavar='<target>', help='Where to (backend_id)')
        parser.add_argument('--point', metavar='<point>', dest='point_id',
                            help='To this point (ID) instead of the newest one')
        parser.add_argument('--volume', metavar='<volume>', action='append',
                            help='Instead of <thing>: this volume (name or ID); may be repeated')
        parser.add_argument('--project-id', metavar='<project>',
                            help='Instead of <thing>: the volumes of this project (ID)')
        parser.add_argument('--type', metavar='<volume-type>',
                            help='Instead of <thing>: the volumes of this type')
        parser.add_argument('--host', metavar='<host>',
                            help='Instead of <thing>: the volumes of this backend or pool')
        _how(parser)
        _waiting(parser)
        return parser

    def take_action(self, parsed_args):
        client = self.app.client_manager.volume_replication
        how = {name: getattr(parsed_args, name) for name in (*_HOW, 'target', 'point_id')}
        selector = _selector(client, parsed_args)
        if bool(selector) == bool(parsed_args.thing):
            raise exceptions.CommandError('Name either what is to fail over, or how to choose it.')
        if selector:
            record = client.failover(scope='volume', selector=selector, **how)
        else:
            record = _named(client, parsed_args, how)
        return replication.operation_details(
            waited(client, record) if parsed_args.wait else record)


def _selector(client, parsed_args):
    wanted = {'volume_ids': [client.volume(each).id for each in parsed_args.volume or ()],
              'project_id': parsed_args.project_id, 'volume_type': parsed_args.type,
              'host': parsed_args.host}
    return {key: value for key, value in wanted.items() if value}


def _named(client, parsed_args, how):
    found = client.by_id(parsed_args.thing) if parsed_args.scope is None else None
    if found is not None:
        return client.act(found['id'], 'failover',
                          **{key: value for key, value in how.items() if key != 'target'})
    scope, thing = client.thing(parsed_args.thing, parsed_args.scope)
    return client.failover(scope=scope, id=thing, **how)


class FailbackReplication(_Operation):
    """Fail back to the backend itself"""

    action = 'failback'
    options = _HOW

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        _how(parser)
        return parser


class ReprotectReplication(_Operation):
    """Have what was failed over replicated the other way"""

    action = 'reprotect'


class ResyncReplication(_Operation):
    """Give up what one side has in favour of the other one"""

    action = 'resync'
    options = ('discard',)

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        parser.add_argument('--discard', metavar='<side>', required=True,
                            help='The side that loses: home, or the name of the target')
        return parser


class SyncReplication(_Operation):
    """Have a point made at once"""

    action = 'sync_now'


class TestReplication(_Operation):
    """Have volumes made of a point, to be looked at; they are removed by themselves"""

    action = 'test'
    options = ('point_id', 'expires_in_seconds')

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        parser.add_argument('--point', metavar='<point>', dest='point_id',
                            help='Of this point (ID) instead of the newest one')
        parser.add_argument('--expire', metavar='<seconds>', type=int, dest='expires_in_seconds',
                            help='When they are removed')
        return parser


class _Change(command.ShowOne):
    """Asks an action that changes the replication at once, and shows that."""

    action = None

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        replication.which(parser)
        return parser

    def take_action(self, parsed_args):
        client = self.app.client_manager.volume_replication
        found = client.find(parsed_args.replication, parsed_args.scope, parsed_args.target)
        return replication.details(client.act(found['id'], self.action))


class PauseReplication(_Change):
    """Have a replication stand still; its points stay"""

    action = 'pause'


class ResumeReplication(_Change):
    """Have a paused replication go on"""

    action = 'resume'
