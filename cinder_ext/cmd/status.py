"""cinder-ext-status: whether a deployment is ready for this version of the code.

::

    cinder-ext-status upgrade check [--json]

Exit codes: 0 all is well, 1 a warning, 2 a failure, 255 an error of the check.
"""
# SPDX-License-Identifier: Apache-2.0

import sys

from oslo_config import cfg
from oslo_policy import opts as policy_opts
from oslo_upgradecheck import upgradecheck
from oslo_utils import timeutils

from cinder_ext import context, exceptions
from cinder_ext.cmd import process
from cinder_ext.conf import backend as backend_conf
from cinder_ext.conf import options
from cinder_ext.db import replications, schema, services, session
from cinder_ext.drivers import capabilities, loader

POLICY_FILE = 'policy.yaml'
"""Where policies are read when nothing else is named."""


def _good(details=None):
    return upgradecheck.Result(upgradecheck.Code.SUCCESS, details)


def _odd(details):
    return upgradecheck.Result(upgradecheck.Code.WARNING, details)


def _bad(details):
    return upgradecheck.Result(upgradecheck.Code.FAILURE, details)


class Checks(upgradecheck.UpgradeCommands):
    """The checks; each changes nothing.

    :param conf: options; parsed before ``check()``
    """

    def __init__(self, conf):
        super().__init__()
        self._conf = conf

    def check(self):
        process.bind(self._conf)
        return super().check()

    def schema(self):
        """The database answers and has every revision that this code wants."""
        if not session.answers():
            return _bad('The database does not answer: see [database] connection.')
        current, wanted = schema.current(), schema.heads()
        if current == wanted:
            return _good()
        return _bad(f"The database is at {' '.join(current) or 'nothing'}, this code wants "
                    f"{' '.join(wanted)}: run cinder-ext-manage db sync.")

    def drivers(self):
        """Every enabled backend has a driver and options that it can read."""
        faults = []
        for section in self._conf.enabled_backends:
            backend_conf.register(self._conf, section)
            try:
                loader.load(self._conf, section)
            except exceptions.Misconfigured as fault:
                faults.append(fault.message)
        return _bad(' '.join(faults)) if faults else _good()

    def policy_file(self):
        """Policies are read where the operator thinks they are."""
        found = self._conf.find_file(self._conf.oslo_policy.policy_file)
        if self._conf.find_file('policy.json'):
            return _odd('There is a policy.json: it is not read. Convert it to policy.yaml.')
        is_named = self._conf.oslo_policy.policy_file != POLICY_FILE
        if is_named and found is None:
            return _odd(f'{self._conf.oslo_policy.policy_file} does not exist: the default '
                        'policies hold.')
        return _good()

    def authentication(self):
        """The API asks who a caller is."""
        if self._conf.auth_strategy == 'noauth':
            return _odd('auth_strategy is noauth: whoever reaches the API is an administrator.')
        return _good()

    def services(self):
        """No service is left that nobody starts any more."""
        if not session.answers() or not schema.is_current():
            return _odd('Not checked: the database is not up to date.')
        now = timeutils.utcnow()
        down = [f'{row.binary} on {row.host}' for row in services.list_all(context.admin_context())
                if not services.is_up(row, self._conf.service_down_time, now)]
        if down and len(down) < len(services.list_all(context.admin_context())):
            return _odd(f"Down: {', '.join(down)}. Remove what is gone for good with "
                        'cinder-ext-manage service remove.')
        return _good()

    def replications(self):
        """What is replicated from a backend here has its target in the options."""
        if not session.answers() or not schema.is_current():
            return _odd('Not checked: the database is not up to date.')
        lost = [fault for section in self._conf.enabled_backends for fault in self._lost(section)]
        return _bad(' '.join(lost)) if lost else _good()

    def _lost(self, section):
        home = f'{self._conf.host}@{section}'
        wanted = {row.target for row in replications.of_home(context.admin_context(), home)}
        try:
            driver = loader.load(self._conf, section) if wanted else None
        except exceptions.Misconfigured:
            # The check of the drivers says so.
            return
        known = {target.backend_id for target in driver.replication_targets()} if isinstance(
            driver, capabilities.Replication) else set()
        for target in sorted(wanted - known):
            yield (f'Backend {home} replicates to {target}, which its replication_device does not '
                   'name: name it again, or end those replications first.')

    _upgrade_checks = (
        ('Database schema', schema),
        ('Drivers of the enabled backends', drivers),
        ('Policy file', policy_file),
        ('Authentication', authentication),
        ('Services', services),
        ('Replication targets', replications),
    )


def main(argv=None):
    conf = cfg.CONF
    options.register_all(conf)
    policy_opts.set_defaults(conf, policy_file=POLICY_FILE)
    return process.run(upgradecheck.main, conf, 'cinder_ext', Checks(conf),
                       sys.argv[1:] if argv is None else argv)
