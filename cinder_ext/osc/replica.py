"""Commands ``openstack volume replica export`` and ``import``: volumes go from cloud to cloud."""
# SPDX-License-Identifier: Apache-2.0

import argparse
import json

from osc_lib import exceptions
from osc_lib.cli import parseractions
from osc_lib.command import command


def manifest(path):
    """The document in a file; for the parser of arguments."""
    try:
        with open(path, encoding='utf-8') as stream:
            found = json.load(stream)
    except (OSError, ValueError) as fault:
        raise argparse.ArgumentTypeError(f'{path}: {fault}')
    if not isinstance(found, dict):
        raise argparse.ArgumentTypeError(f'{path}: it is no manifest')
    return found


class ExportReplica(command.ShowOne):
    """Hand a volume to another cloud: show or write a signed manifest of it"""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        parser.add_argument('volume', metavar='<volume>', help='Volume (name or ID)')
        parser.add_argument('--target', metavar='<target>',
                            help='The target (backend_id) of the other cloud, where there are several')
        parser.add_argument('--clear-existing', action='store_true', default=None,
                            help='Release the record here; the volume must be used there already')
        parser.add_argument('--file', metavar='<path>', help='Write the manifest to this file')
        return parser

    def take_action(self, parsed_args):
        client = self.app.client_manager.volume_replication
        volume = client.volume(parsed_args.volume)
        found = client.export(volume.id, target=parsed_args.target,
                              clear_existing=parsed_args.clear_existing)
        if parsed_args.file:
            _write(parsed_args.file, found.pop('manifest'))
            found['file'] = parsed_args.file
        else:
            found['manifest'] = json.dumps(found['manifest'])
        names = sorted(found)
        return names, [found[name] for name in names]


def _write(path, document):
    try:
        with open(path, 'w', encoding='utf-8') as stream:
            json.dump(document, stream, indent=1)
    except OSError as fault:
        raise exceptions.CommandError(f'The manifest was not written: {fault}') from fault


class ImportReplica(command.ShowOne):
    """Take a volume, with all that share its points, from another cloud"""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        parser.add_argument('--backend', metavar='<host>', required=True,
                            help='Backend (host@backend) on whose array the replica lies')
        named = parser.add_mutually_exclusive_group(required=True)
        named.add_argument('--manifest', metavar='<path>', type=manifest,
                           help='File with a manifest of the other cloud')
        named.add_argument('--handle', metavar='<uuid>',
                           help='What it is called on the array: the manifest that lies there is used')
        for option, words in (('--promote', 'Make it primary here, if it is not'),
                              ('--force', 'Promote also without asking the other side'),
                              ('--new-id', 'Take another ID where its own is in use'),
                              ('--dry-run', 'Change nothing; say what would be done')):
            parser.add_argument(option, action='store_true', default=None, help=words)
        parser.add_argument('--alone', action='store_const', const=False, dest='group',
                            help='Without the others that share its points')
        parser.add_argument('--project-id', metavar='<project>', help='Project that gets it (ID)')
        parser.add_argument('--user-id', metavar='<user>', help='User that gets it (ID)')
        parser.add_argument('--type', metavar='<theirs>=<ours>', dest='volume_types',
                            action=parseractions.KeyValueAction,
                            help='What one of their volume types is called here; may be repeated')
        parser.add_argument('--group-type', metavar='<group-type>',
                            help='Of the group, if there is one')
        parser.add_argument('--availability-zone', metavar='<zone>')
        return parser

    def take_action(self, parsed_args):
        names = ('backend', 'manifest', 'handle', 'promote', 'force', 'new_id', 'dry_run', 'group',
                 'project_id', 'user_id', 'volume_types', 'group_type', 'availability_zone')
        found = self.app.client_manager.volume_replication.take(
            **{name: getattr(parsed_args, name) for name in names})
        shown = {**found, 'volumes': '\n'.join(line(each) for each in found['volumes'])}
        columns = sorted(shown)
        return columns, [shown[name] for name in columns]


def line(each):
    """One line of what was taken."""
    words = f"{each['id']}: {each['result']}, {each['role']} with epoch {each['epoch']}"
    missing = each.get('missing_snapshots')
    return f'{words}, without snapshots {missing}' if missing else words
