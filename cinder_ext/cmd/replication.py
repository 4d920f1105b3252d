"""cinder-ext-manage replication: what the arrays know, and records that are made again of it."""
# SPDX-License-Identifier: Apache-2.0

import json

from cinder_ext import context, exceptions
from cinder_ext.cmd import process
from cinder_ext.db import services
from cinder_ext.drivers import capabilities, loader
from cinder_ext.drivers.replication import Replication
from cinder_ext.volume.replication import rebuild

LEFT = 2
"""Exit code: something needs an operator: it is in split brain, or could not be rebuilt."""
_LINE = '{:<36} {:<10} {:<7} {:<6} {:<7} {}'
_RESULT = '{:<36} {:<16} {:<24} {}'


def show(conf):
    """Show the replicated volumes that the arrays of a backend know; works without a database."""
    driver = _driver(conf, None)
    rows, silent = [], {}
    for side in (None, *(each.backend_id for each in driver.replication_targets())):
        try:
            found = driver.replicas(side)
        except exceptions.DriverError as fault:
            silent[side or 'home'] = fault.message
            continue
        rows += [{'name_id': name_id, 'side': side or 'home', 'role': known.role,
                  'epoch': known.epoch, 'points': [point.id for point in known.points],
                  'size_bytes': size_bytes, 'members': sorted(members), 'has_manifest': bool(raw)}
                 for name_id, (known, size_bytes, members, raw) in sorted(found.items())]
    if conf.command.json:
        print(json.dumps({'replicas': rows, 'silent': silent}, indent=2))
        return LEFT if silent else 0
    print(_LINE.format('Name id', 'Side', 'Role', 'Epoch', 'Points', 'Manifest'))
    for row in sorted(rows, key=lambda row: (row['name_id'], row['side'])):
        print(_LINE.format(row['name_id'], row['side'], row['role'] or '-', row['epoch'],
                           len(row['points']), 'yes' if row['has_manifest'] else 'no'))
    _show_silent(silent)
    return LEFT if silent else 0


def rebuild_records(conf):
    """Make the records of a backend's replicated volumes again, of what its arrays know.

    For a site whose database is gone: make the database, the volume types and group types first.
    """
    ctxt = context.admin_context()
    host = f'{conf.host}@{conf.command.backend}'
    work = rebuild.Rebuilding(conf, ctxt, host, _driver(conf, ctxt), conf.command.trust_home)
    found = work.look() if conf.command.dry_run else work.go()
    rows = [{'name_id': each.name_id,
             'volume_id': each.manifest and each.manifest['volume']['id'],
             'name': each.manifest and each.manifest['volume']['name'],
             'result': each.verdict, 'detail': each.detail} for each in found]
    silent = {side or 'home': reason for side, reason in work.silent.items()}
    if conf.command.json:
        print(json.dumps({'volumes': rows, 'silent': silent}, indent=2))
    else:
        print(_RESULT.format('Volume', 'Result', 'Name', 'Detail'))
        for row in rows:
            print(_RESULT.format(row['volume_id'] or row['name_id'], row['result'],
                                 row['name'] or '-', row['detail']))
        _show_silent(silent)
    return LEFT if any(row['result'] in (rebuild.BROKEN, rebuild.UNKNOWN) for row in rows) else 0


def _show_silent(silent):
    for side, reason in silent.items():
        print(f'{side} does not answer: {reason}')


def _driver(conf, ctxt):
    """The driver of the section that is named; it is not started.

    :param ctxt: None: the database is not asked which side is active
    """
    section = conf.command.backend
    if section not in conf.enabled_backends:
        raise process.Refused(f'enabled_backends has no backend of that name: {section}.')
    active = ctxt and services.active_backend(ctxt, f'{conf.host}@{section}')
    try:
        driver = loader.load(conf, section, active)
    except exceptions.Misconfigured as fault:
        raise process.Refused(fault.message) from fault
    if not capabilities.has(driver, Replication) or not driver.replication_targets():
        raise process.Refused(f'Backend {section} does not replicate.')
    return driver


_BACKEND = {'help': "the backend's section of the configuration"}
_JSON = {'action': 'store_true', 'help': 'as JSON'}

VERBS = {
    'list': (show, {'backend': _BACKEND, '--json': _JSON}),
    'rebuild': (rebuild_records, {
        'backend': _BACKEND, '--json': _JSON,
        '--dry-run': {'action': 'store_true', 'help': 'only say what would be done'},
        '--trust-home': {
            'action': 'store_true',
            'help': 'take what the array of the backend says for true where a target does not '
                    'answer: nobody has promoted it there'}}),
}
"""verb -> (function, arguments), as cmd/manage.py has them."""
