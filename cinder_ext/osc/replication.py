"""Commands ``openstack volume replication list``, ``show``, ``enable``, ``disable``, ``operation``."""
# SPDX-License-Identifier: Apache-2.0

from osc_lib.command import command

SCOPES = ('volume', 'group', 'pool', 'backend')
_COLUMNS = ('ID', 'Scope', 'Protected', 'Target', 'State', 'Last Consistent At', 'Lag', 'RPO')
_LONG_COLUMNS = (*_COLUMNS, 'Mode', 'Role', 'Epoch', 'Bytes Pending', 'Breached At')
_OPERATION_COLUMNS = ('ID', 'Verb', 'Scope', 'Protected', 'Target', 'State', 'Dry Run',
                      'Created At', 'Finished At')
WHICH = ('ID of a replication, or what it protects: a group or volume (name or ID), host@backend#pool '
         'or host@backend')


def _row(record):
    return (record['id'], record['scope'], record['protected_id'], record['target'],
            record['state'], record['last_consistent_at'] or '', _known(record['lag_seconds']),
            _known(record['rpo_seconds']))


def _long_row(record):
    return (*_row(record), record['mode'], record['role'], record['epoch'],
            _known(record['bytes_pending']), record['breached_at'] or '')


def _known(value):
    return '' if value is None else value


def details(record):
    """A replication as two tuples: names and values."""
    shown = {key: value for key, value in record.items()
             if key not in ('conditions', 'split_brain', 'policy')}
    shown['conditions'] = ', '.join(word for word, facts in sorted(record['conditions'].items())
                                    if facts.get('status'))
    shown['policy'] = ', '.join(f'{key} {value}' for key, value in record['policy'].items()
                                if value is not None)
    shown['split_brain'] = _split_brain(record['split_brain'])
    return _columns(shown)


def _split_brain(facts):
    if facts is None:
        return ''
    return (f"{facts['local_side']} has epoch {facts['local_epoch']}, "
            f"{facts['remote_side']} has epoch {facts['remote_epoch']}")


def operation_details(record):
    """An operation as two tuples; a line for each member."""
    shown = {**record, 'members': '\n'.join(_member(each) for each in record['members'])}
    return _columns(shown)


def _member(member):
    words = [f"{member['volume_id']}: {member['result']}"]
    if member['loss_seconds'] is not None:
        words.append(f"loss {member['loss_seconds']} s")
    reason = member.get('error') or member['error_code']
    words += [reason] if reason else []
    words += [member['remedy']] if member['remedy'] else []
    words += [f'attachment {each}' for each in member['attachments']]
    return ', '.join(words)


def _columns(shown):
    names = sorted(shown)
    return names, [shown[name] for name in names]


def which(parser):
    """Arguments that name one replication."""
    parser.add_argument('replication', metavar='<replication>', help=WHICH)
    parser.add_argument('--scope', choices=SCOPES, help='What is named is this, and nothing else')
    parser.add_argument('--target', metavar='<target>',
                        help='The replication to this target, where there are several')


def paging(parser):
    """Arguments of lists."""
    parser.add_argument('--limit', type=int, metavar='<number>', help='At most so many')
    parser.add_argument('--marker', metavar='<id>', help='Only those after this one in the list')
    parser.add_argument('--sort', metavar='<key>[:<direction>]', help='How to sort the list')


class ListReplication(command.Lister):
    """List replications, newest first"""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        parser.add_argument('--scope', choices=SCOPES, help='Only of this scope')
        parser.add_argument('--state', metavar='<state>',
                            help='Only those in this state: enabled, failed-over, error ...')
        parser.add_argument('--mode', choices=('sync', 'async'), help='Only of this mode')
        parser.add_argument('--target', metavar='<target>', help='Only to this target')
        parser.add_argument('--host', metavar='<host>', help='Only of this backend (host@backend)')
        parser.add_argument('--project-id', metavar='<project>', help='Only of this project (ID)')
        behind = parser.add_mutually_exclusive_group()
        behind.add_argument('--over-objective', action='store_const', const='true',
                            help='Only those that are further behind than they may be')
        behind.add_argument('--within-objective', action='store_const', const='false',
                            dest='over_objective', help='Only the others')
        paging(parser)
        parser.add_argument('--long', action='store_true', help='More columns')
        return parser

    def take_action(self, parsed_args):
        names = ('scope', 'state', 'mode', 'target', 'host', 'project_id', 'over_objective', 'limit',
                 'marker', 'sort')
        records = self.app.client_manager.volume_replication.list(
            **{name: getattr(parsed_args, name) for name in names})
        if parsed_args.long:
            return _LONG_COLUMNS, [_long_row(record) for record in records]
        return _COLUMNS, [_row(record) for record in records]


class ShowReplication(command.ShowOne):
    """Show a replication: where it is, and how far behind the other side is"""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        which(parser)
        return parser

    def take_action(self, parsed_args):
        client = self.app.client_manager.volume_replication
        return details(client.find(parsed_args.replication, parsed_args.scope, parsed_args.target))


class EnableReplication(command.ShowOne):
    """Have a group, pool, backend or volume replicated"""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        parser.add_argument('thing', metavar='<thing>',
                            help='Group or volume (name or ID), host@backend#pool or host@backend')
        parser.add_argument('--scope', choices=SCOPES, help='What is named is this')
        parser.add_argument('--target', metavar='<target>', help='Where to (backend_id)')
        parser.add_argument('--mode', choices=('sync', 'async'))
        objective = parser.add_mutually_exclusive_group()
        objective.add_argument('--rpo', type=int, metavar='<seconds>', dest='rpo_seconds',
                               help='The most that may be lost')
        objective.add_argument('--schedule', metavar='<schedule>',
                               help='How often a point is made: "every 10 minutes"')
        parser.add_argument('--retention', type=int, metavar='<number>', help='Points that are kept')
        return parser

    def take_action(self, parsed_args):
        client = self.app.client_manager.volume_replication
        scope, thing = client.thing(parsed_args.thing, parsed_args.scope)
        names = ('target', 'mode', 'rpo_seconds', 'schedule', 'retention')
        return details(client.enable(
            scope, thing, **{name: getattr(parsed_args, name) for name in names}))


class DisableReplication(command.Command):
    """End a replication; what the target holds of it is removed"""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        which(parser)
        return parser

    def take_action(self, parsed_args):
        client = self.app.client_manager.volume_replication
        found = client.find(parsed_args.replication, parsed_args.scope, parsed_args.target)
        client.disable(found['id'])


class ListOperation(command.Lister):
    """List what was done with replications, newest first"""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        # The client takes --verb for its own --verbose.
        parser.add_argument('--action', metavar='<verb>', dest='verb',
                            help='Only failover, failback, test ...')
        parser.add_argument('--state', metavar='<state>',
                            help='Only queued, running, succeeded, partial or failed ones')
        parser.add_argument('--replication', metavar='<replication>', dest='replication_id',
                            help='Only of this replication (ID)')
        parser.add_argument('--volume', metavar='<volume>', help='Only with this volume (name or ID)')
        paging(parser)
        return parser

    def take_action(self, parsed_args):
        client = self.app.client_manager.volume_replication
        volume_id = client.volume(parsed_args.volume).id if parsed_args.volume else None
        names = ('verb', 'state', 'replication_id', 'limit', 'marker', 'sort')
        records = client.operations(volume_id=volume_id,
                                    **{name: getattr(parsed_args, name) for name in names})
        keys = ('id', 'verb', 'scope', 'protected_id', 'target', 'state', 'dry_run', 'created_at',
                'finished_at')
        return _OPERATION_COLUMNS, [tuple(_known(record[key]) for key in keys)
                                    for record in records]


class ShowOperation(command.ShowOne):
    """Show what an operation did for each volume, and what is still to be done"""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        parser.add_argument('operation', metavar='<operation>', help='ID of an operation')
        return parser

    def take_action(self, parsed_args):
        return operation_details(
            self.app.client_manager.volume_replication.operation(parsed_args.operation))
