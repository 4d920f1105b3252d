"""Commands ``openstack volume migration list``, ``show`` and ``start``."""
# SPDX-License-Identifier: Apache-2.0

import time

from osc_lib import exceptions
from osc_lib.command import command

from cinder_ext.osc import watch

_COLUMNS = ('ID', 'Volume', 'Operation', 'Phase', 'Percent', 'Destination')
_LONG_COLUMNS = (*_COLUMNS, 'Source', 'Snapshots', 'Bytes Done', 'Bytes Total', 'Rate',
                 'Created At', 'Finished At')
RECORD_SECONDS = 20
"""How long ``start`` waits for the record, in seconds."""


def _row(record):
    return (record['id'], record['volume_id'], record['operation'], record['phase'],
            watch.percent_done(record), record['destination']['host'] or '')


def _long_row(record):
    return (*_row(record), record['source']['host'] or '', record['include_snapshots'],
            record['bytes']['done'], record['bytes']['total'],
            record['rate_bytes_per_second'] or '', record['created_at'],
            record['finished_at'] or '')


def _details(record):
    """A record as two tuples: names and values; nested documents are made flat."""
    shown = {key: value for key, value in record.items() if key not in ('links', 'checks', 'bytes')}
    for end in ('source', 'destination'):
        host, volume_type = record[end]['host'], record[end]['type']
        shown[end] = f'{host or "-"} (type {volume_type or "-"})'
    for name, value in record['bytes'].items():
        shown[f'bytes_{name}'] = value
    shown['checks'] = '\n'.join(_check(item) for item in record['checks'])
    shown['links'] = '\n'.join(_link(item) for item in record.get('links') or [])
    shown['leftovers'] = '\n'.join(str(item) for item in record['leftovers'])
    names = sorted(shown)
    return names, [shown[name] for name in names]


def _check(item):
    """One check of the preflight: its outcome, and the remedy where it failed."""
    if item['passed'] is not False:
        return f"{'passed' if item['passed'] else 'unknown'}: {item['name']}: {item['detail']}"
    return f"FAILED: {item['name']}: {item['detail']}. {item['remedy']}"


def _link(link):
    name = link['snapshot_id'] or 'volume'
    return (f"{link['number']}: {name}, {link['percent']} %, "
            f"{watch.size(link['bytes_written'])} written, digest {link['digest'] or '-'}")


class ListMigration(command.Lister):
    """List volume migrations, newest first"""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        parser.add_argument('--volume', metavar='<volume>', help='Only of this volume (name or ID)')
        parser.add_argument('--phase', metavar='<phase>',
                            help='Only those in this phase: copying, finished, failed ...')
        parser.add_argument('--long', action='store_true', help='More columns')
        return parser

    def take_action(self, parsed_args):
        client = self.app.client_manager.volume_migration
        volume_id = client.volume(parsed_args.volume).id if parsed_args.volume else None
        records = client.list(volume_id=volume_id, phase=parsed_args.phase)
        if parsed_args.long:
            return _LONG_COLUMNS, [_long_row(record) for record in records]
        return _COLUMNS, [_row(record) for record in records]


class ShowMigration(command.ShowOne):
    """Show a volume migration; with --watch a progress bar until it has ended"""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        parser.add_argument('migration', metavar='<migration>',
                            help='ID of a migration, or a volume (name or ID): its latest one')
        parser.add_argument('--watch', action='store_true',
                            help='Draw phase, bytes and rate until it has ended')
        return parser

    def take_action(self, parsed_args):
        client = self.app.client_manager.volume_migration
        record = client.find(parsed_args.migration)
        if parsed_args.watch:
            record = watch.watch(lambda: client.get(record['id']))
        return _details(record)


class StartMigration(command.ShowOne):
    """Move a volume to another backend, by a new type or to a host that is named"""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        parser.add_argument('volume', metavar='<volume>', help='Volume to move (name or ID)')
        where = parser.add_mutually_exclusive_group(required=True)
        where.add_argument('--type', metavar='<volume-type>',
                           help='New volume type; a backend is chosen that fits it')
        where.add_argument('--host', metavar='<host>',
                           help='Backend to move to, in the form host@backend#pool')
        parser.add_argument('--include-snapshots', action='store_true',
                            help='Take the snapshots of the volume along')
        parser.add_argument('--lock-volume', action='store_true',
                            help='Keep others from using the volume meanwhile (with --host)')
        parser.add_argument('--wait', action='store_true',
                            help='Watch it until it has ended; fail when it fails')
        return parser

    def take_action(self, parsed_args):
        if parsed_args.lock_volume and not parsed_args.host:
            raise exceptions.CommandError('--lock-volume goes with --host only.')
        client = self.app.client_manager.volume_migration
        volume = client.volume(parsed_args.volume)
        before = client.latest(volume.id)
        if parsed_args.type:
            client.retype(volume.id, parsed_args.type, parsed_args.include_snapshots)
        else:
            client.migrate(volume.id, parsed_args.host, parsed_args.include_snapshots,
                           parsed_args.lock_volume)
        record = _begun(client, volume.id, before)
        if parsed_args.wait:
            record = watch.watch(lambda: client.get(record['id']))
            if record['phase'] not in watch.SUCCEEDED:
                raise exceptions.CommandError(_failure(record))
        return _details(record)


def _begun(client, volume_id, before):
    """The record that a request has made; it is written before the request is answered."""
    deadline = time.monotonic() + RECORD_SECONDS
    while True:
        latest = client.latest(volume_id)
        if latest is not None and (before is None or latest['id'] != before['id']):
            return client.get(latest['id'])
        if time.monotonic() > deadline:
            raise exceptions.CommandError(
                f'The request was accepted and volume {volume_id} has no new migration.')
        time.sleep(0.5)


def _failure(record):
    words = [f"Migration {record['id']} is {record['phase']}:", record['error'] or 'no reason given.',
             record['remedy'] or '']
    return ' '.join(word for word in words if word)
