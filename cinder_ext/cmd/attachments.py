"""cinder-ext-manage attachments: what nobody stands behind any more is shown, and removed on demand."""
# SPDX-License-Identifier: Apache-2.0

import json

from oslo_log import log

from cinder_ext import compute, context, exceptions
from cinder_ext.cmd import process
from cinder_ext.drivers import capabilities, loader
from cinder_ext.volume.attachments import reconciler

LOG = log.getLogger(__name__)

FOUND = 2
"""Exit code: something was found, or is left."""
_RETRIES = 2
_LINE = '{:<28} {:<36} {:<36} {:<6} {}'


def check(conf):
    """Show attachments, exports and statuses that nobody stands behind; 2 when there are any."""
    looker = _reconciler(conf)
    findings = looker.check(context.admin_context())
    _show(conf, looker, [(each, None) for each in findings])
    return FOUND if findings or looker.silent else 0


def repair(conf):
    """Put right what is proven: with --id, or --all; else only say what would be done."""
    looker, ctxt = _reconciler(conf), context.admin_context()
    findings = looker.check(ctxt)
    wanted = conf.command.id or []
    unknown = set(wanted) - {each.id for each in findings}
    if unknown:
        raise process.Refused(f'Nothing is found under {", ".join(sorted(unknown))}.')
    if wanted:
        findings = [each for each in findings if each.id in wanted]
    is_dry = not (wanted or conf.command.all)
    results = [(each, _result(looker, ctxt, each, is_dry)) for each in findings]
    _show(conf, looker, [(each, what) for each, (_, what) in results])
    return FOUND if looker.silent or any(not done for _, (done, _what) in results) else 0


def _reconciler(conf):
    drivers = {}
    for section in conf.enabled_backends:
        if conf.command.backend not in (None, f'{conf.host}@{section}'):
            continue
        try:
            drivers[section] = loader.load(conf, section)
        except exceptions.Misconfigured as fault:
            LOG.warning('the exports of backend %s are not looked at: %s', section, fault.message)
    return reconciler.Reconciler(
        conf, compute.Compute(conf, _RETRIES),
        {name: driver for name, driver in drivers.items()
         if isinstance(driver, capabilities.Exports)}, conf.command.backend)


def _result(looker, ctxt, finding, is_dry):
    """(whether it is put right, what to say)."""
    if is_dry:
        return False, 'would be repaired' if finding.is_repairable else 'not proven: stays'
    try:
        return True, looker.repair(ctxt, finding)
    except reconciler.NotRepaired as refusal:
        return False, str(refusal)
    except (exceptions.DriverError, exceptions.ServiceUnavailable) as fault:
        return False, fault.message


def _show(conf, looker, results):
    if conf.command.json:
        print(json.dumps({
            'findings': [{**each.as_document(), **({} if what is None else {'result': what})}
                         for each, what in results],
            'silent_backends': looker.silent}, indent=2))
        return
    print(_LINE.format('Kind', 'Id', 'Volume', 'Repair', 'Detail'))
    for each, what in results:
        detail = each.detail + (f', host {each.host}' if each.host else '')
        print(_LINE.format(each.kind, each.id, each.volume_id or '-',
                           'yes' if each.is_repairable else 'no',
                           detail if what is None else f'{what}: {detail}'))
    for backend, reason in looker.silent.items():
        print(f'The exports of backend {backend} cannot be looked at: {reason}')


_COMMON = {
    '--backend': {'metavar': '<host@backend>', 'help': 'only volumes of this backend'},
    '--json': {'action': 'store_true', 'help': 'as JSON'},
}

VERBS = {
    'check': (check, _COMMON),
    'repair': (repair, {
        **_COMMON,
        '--id': {'action': 'append', 'metavar': '<id>', 'help': 'what check shows; repeatable'},
        '--all': {'action': 'store_true', 'help': 'everything that is proven'}}),
}
"""verb -> (function, arguments), as cmd/manage.py has them."""
