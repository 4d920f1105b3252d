"""Commands ``openstack volume migration list``, ``show`` and ``create``."""
# SPDX-License-Identifier: Apache-2.0

import argparse
import re

from osc_lib import exceptions
from osc_lib.command import command

from cinder_ext.osc import watch

_COLUMNS = ('ID', 'Volume', 'Operation', 'Phase', 'Percent', 'Destination')
_LONG_COLUMNS = (*_COLUMNS, 'Source', 'Snapshots', 'Bytes Done', 'Bytes Total', 'Rate',
                 'Created At', 'Finished At')
_UNITS = {'': 0, 'K': 1, 'M': 2, 'G': 3, 'T': 4}


def rate(text):
    """Bytes per second from ``1048576``, ``1024K`` or ``1M``; for the parser of arguments."""
    found = re.fullmatch(r'([0-9]{1,15})([KMGT]?)(?:iB|B)?', text, re.ASCII)
    if found is None:
        raise argparse.ArgumentTypeError(f'{text!r} is no number of bytes such as 500K, 10M or 1G')
    return int(found[1]) * 1024 ** _UNITS[found[2]]


def _row(record):
    return (record['id'], record['volume_id'], record['operation'], record['phase'],
            watch.percent_done(record), _end(record, 'destination')['host'] or '')


def _long_row(record):
    return (*_row(record), _end(record, 'source')['host'] or '', record['include_snapshots'],
            record['bytes']['done'], record['bytes']['total'],
            record['rate_bytes_per_second'] or '', record['created_at'],
            record['finished_at'] or '')


def _end(record, name):
    """Host and type of one end; those who may not see backends are not told of either."""
    return record.get(name) or {'host': None, 'type': None}


def details(record):
    """A record as two tuples: names and values; nested documents are made flat."""
    shown = {key: value for key, value in record.items() if key not in ('links', 'checks', 'bytes')}
    for name in ('source', 'destination'):
        host, volume_type = _end(record, name)['host'], _end(record, name)['type']
        shown[name] = f'{host or "-"} (type {volume_type or "-"})'
    for name, value in record['bytes'].items():
        shown[f'bytes_{name}'] = value
    shown['checks'] = _checks(record)
    shown['links'] = '\n'.join(_link(item) for item in record.get('links') or [])
    shown['leftovers'] = '\n'.join(_leftover(item) for item in record.get('leftovers') or [])
    return _columns(shown)


def _columns(shown):
    names = sorted(shown)
    return names, [shown[name] for name in names]


def _checks(record):
    return '\n'.join(_check(item) for item in record.get('checks') or [])


def _check(item):
    """One check of the preflight: its outcome, and the remedy where it did not pass."""
    if item['passed']:
        return f"passed: {item['name']}: {item['detail']}"
    outcome = 'NOT LOOKED AT' if item['passed'] is None else 'FAILED'
    return f"{outcome}: {item['name']}: {item['detail']}. {item['remedy']}"


def _leftover(item):
    """Something at a backend that could not be removed."""
    text = f"{item['kind']} {item['name_id']} at {item['host']}: {item.get('reason') or '-'}"
    return f'{text} (acknowledged)' if item['acknowledged'] else text


def _link(link):
    name = link['snapshot_id'] or 'volume'
    rate_now = link['rate_bytes_per_second']
    return (f"{link['number']}: {name}, {link['percent']} %, "
            f"{watch.size(link['bytes_read'])} read, {watch.size(link['bytes_written'])} written, "
            f"{watch.size(rate_now) + '/s' if rate_now else '-'}, {link['retries']} retries, "
            f"digest {link['digest'] or '-'}")


class ListMigration(command.Lister):
    """List volume migrations, newest first"""

    def get_parser(self, prog_name):
        parser = super().get_parser(prog_name)
        parser.add_argument('--volume', metavar='<volume>', help='Only of this volume (name or ID)')
        parser.add_argument('--phase', metavar='<phase>',
                            help='Only those in this phase: copying, finished, failed ...')
        parser.add_argument('--status', choices=('active', 'ended'),
                            help='Only those on which there is something to do, or the others')
        parser.add_argument('--source-host', metavar='<host>',
                            help='Only from this backend (host@backend#pool)')
        parser.add_argument('--destination-host', metavar='<host>',
                            help='Only to this backend (host@backend#pool)')
        parser.add_argument('--limit', type=int, metavar='<number>', help='At most so many')
        parser.add_argument('--marker', metavar='<migration>',
                            help='Only those after this one (ID) in the list')
        parser.add_argument('--sort', metavar='<key>[:<direction>]', help='How to sort the list')
        parser.add_argument('--long', action='store_true', help='More columns')
        return parser

    def take_action(self, parsed_args):
        client = self.app.client_manager.volume_migration
        volume_id = client.volume(parsed_args.volume).id if parsed_args.volume else None
        names = ('phase', 'status', 'source_host', 'destination_host', 'limit', 'marker', 'sort')
        records = client.list(volume_id=volume_id,
                              **{name: getattr(parsed_args, name) for name in names})
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
        return details(record)


class CreateMigration(command.ShowOne):
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
        while_it_runs = parser.add_mutually_exclusive_group()
        while_it_runs.add_argument('--lock-volume', action='store_true',
                                   help='Keep others from using the volume meanwhile (with --host)')
        while_it_runs.add_argument('--yield-to-attach', action='store_true',
                                   help='Give up when the volume is to be attached (with --host)')
        parser.add_argument('--force-copy', action='store_true',
                            help='Copy even where the backends could move the data themselves')
        # The client has a global option --verify.
        parser.add_argument('--verification', choices=('written', 'full', 'off'),
                            help='What is read back from the destination before the volume is there')
        parser.add_argument('--bandwidth', metavar='<bytes-per-second>', type=rate,
                            help='Copy at most so fast: 500K, 10M, 1G; 0 for no limit')
        parser.add_argument('--dry-run', action='store_true',
                            help='Make the checks alone and show them; nothing is begun')
        parser.add_argument('--wait', action='store_true',
                            help='Watch it until it has ended; fail when it fails')
        return parser

    def take_action(self, parsed_args):
        client = self.app.client_manager.volume_migration
        volume = client.volume(parsed_args.volume)
        options = _options(parsed_args)
        if parsed_args.dry_run:
            found = client.preview(volume.id, **options)
            return _columns({**found, 'checks': _checks(found)})
        record = client.create(volume.id, **options)
        return details(waited(client, record) if parsed_args.wait else record)


def _options(parsed_args):
    """The options of a request; what was not said is left out."""
    flags = ('include_snapshots', 'lock_volume', 'yield_to_attach', 'force_copy')
    return {'destination_type': parsed_args.type, 'destination_host': parsed_args.host,
            'verify': parsed_args.verification, 'bandwidth': parsed_args.bandwidth,
            **{name: True for name in flags if getattr(parsed_args, name)}}


def waited(client, record):
    """Watch a migration until it is settled; returns its record.

    :raises CommandError: the volume did not get what was asked for
    """
    record = watch.watch(lambda: client.get(record['id']))
    if record['phase'] not in watch.SUCCEEDED:
        raise exceptions.CommandError(_failure(record))
    return record


def _failure(record):
    words = [f"Migration {record['id']} is {record['phase']}:",
             record.get('error') or 'no reason given.', record.get('remedy') or '']
    return ' '.join(word for word in words if word)
