"""Commands ``openstack volume replica export`` and ``import``: volumes go from one cloud to another."""
# SPDX-License-Identifier: Apache-2.0

import json
import pathlib

from osc_lib import exceptions
from osc_lib.cli import parseractions
from osc_lib.command import command


class ExportReplica(command.ShowOne):
    """Hand a volume to another cloud: a signed manifest of it"""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        parser.add_argument('volume', metavar='<volume>', help='Name or ID of the volume')
        parser.add_argument('--target', metavar='<backend-id>',
                            help='Target of the other cloud, where there are several')
        parser.add_argument('--clear-existing', action='store_true', default=None,
                            help='Release the record here: the volume is used over there now')
        parser.add_argument('--output', metavar='<file>',
                            help='Write the manifest to this file, and show the rest only')
        return parser

    def take_action(self, parsed_args):
        client = self.app.client_manager.volume_replication
        answer = client.export_replica(
            client.volume(parsed_args.volume).id, target=parsed_args.target,
            clear_existing=parsed_args.clear_existing)
        said = answer['manifest']
        shown = {'volume_id': said['volume']['id'], 'name': said['volume']['name'],
                 'role': answer['role'], 'released': answer['released'],
                 'epoch': said['epoch'], 'handle': said['handle']['name_id'],
                 'to_cloud': said['to_cloud'], 'point': said['point']['id']}
        text = json.dumps(said, indent=2)
        if parsed_args.output:
            pathlib.Path(parsed_args.output).write_text(text + '\n', encoding='utf-8')
        else:
            shown['manifest'] = text
        return tuple(shown), tuple(shown.values())


class ImportReplica(command.Lister):
    """Take a volume from another cloud, with all that share its points"""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        parser.add_argument('backend', metavar='<host@backend>',
                            help='Backend on whose array the replica lies')
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument('--manifest', metavar='<file>', help='What the other cloud has exported')
        which.add_argument('--handle', metavar='<id>',
                           help='What it is called on the array: the manifest that lies there is used')
        for name, text in (
                ('--promote', 'Make it primary here: the other cloud is lost'),
                ('--force', 'Also where the array of the other cloud answers that it is in use there'),
                ('--new-id', 'With ids of their own, where theirs are taken'),
                ('--dry-run', 'Change nothing; say what would be done')):
            parser.add_argument(name, action='store_true', default=None, help=text)
        parser.add_argument('--alone', dest='group', action='store_false', default=None,
                            help='Without the other volumes that share its points')
        parser.add_argument('--project-id', metavar='<id>', help='Project that gets it')
        parser.add_argument('--user-id', metavar='<id>', help='User that gets it')
        parser.add_argument('--type', dest='volume_types', action=parseractions.KeyValueAction,
                            metavar='<there=here>', help='Volume type here for one there; repeatable')
        parser.add_argument('--group-type', metavar='<name>', help='Group type of its group here')
        parser.add_argument('--availability-zone', metavar='<name>', help='Zone of the volumes here')
        return parser

    def take_action(self, parsed_args):
        names = ('backend', 'handle', 'promote', 'force', 'new_id', 'dry_run', 'group', 'project_id',
                 'user_id', 'volume_types', 'group_type', 'availability_zone')
        answer = self.app.client_manager.volume_replication.import_replica(
            manifest=_read(parsed_args.manifest),
            **{name: getattr(parsed_args, name) for name in names})
        point = answer['point']
        if point is not None:
            self.app.LOG.warning('They stand at point %s of %s, %s seconds ago.', point['id'],
                                 point['taken_at'], point['age_seconds'])
        columns = ('id', 'result', 'role', 'epoch', 'other_sides', 'missing_snapshots')
        return columns, [[each[name] for name in columns] for each in answer['volumes']]


def _read(path):
    """The manifest in a file; None when there is no file."""
    if path is None:
        return None
    try:
        return json.loads(pathlib.Path(path).read_text(encoding='utf-8'))
    except (OSError, ValueError) as fault:
        raise exceptions.CommandError(f'{path} holds no manifest: {fault}') from fault


