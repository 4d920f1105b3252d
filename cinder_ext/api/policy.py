"""Policies: who may do what.  Rule names and defaults are upstream's.

The rules are declared in the resources; ``rules.py`` has the words for it.
oslo.policy reads files and texts and knows every kind of check.  What it does
for each single answer, looking at its files and at the signature of each
check, is done here once for a set of rules: what was decided is never kept.
"""
# SPDX-License-Identifier: Apache-2.0

import inspect
import threading
import time

from oslo_config import cfg
from oslo_policy import opts, policy

from cinder_ext.api import auth, routes, rules
from cinder_ext.conf import options

LOOK_SECONDS = 1
"""A changed file of policies holds after so long at the latest."""


class Enforcer:
    """The policies of one configuration.

    :param conf: parsed options; ``[oslo_policy] policy_file`` may override the defaults
    :param clock: function without arguments: seconds that never go back
    """

    def __init__(self, conf, clock=time.monotonic):
        opts.set_defaults(conf, policy_file='policy.yaml')
        self.oslo = policy.Enforcer(conf)
        self.oslo.register_defaults(list_rules(conf.api.members_report_snapshots))
        self._conf = conf
        self._clock = clock
        self._lock = threading.Lock()
        self.oslo.load_rules()
        self._rules = _Rules(self.oslo)
        self._look_at = clock() + LOOK_SECONDS

    def allows(self, context, rule, target):
        """Whether the caller may.

        :param target: dictionary with the owner's ``project_id`` and ``user_id``
        :raises oslo_policy.policy.PolicyNotRegistered: no such rule (a programming error)
        """
        if rule not in self.oslo.registered_rules:
            raise policy.PolicyNotRegistered(rule)
        if self._clock() >= self._look_at:
            self._look()
        return bool(self._rules.answer(rule, target, self._credentials(context)))

    def is_admin(self, context):
        """Whether the roles of a caller make an administrator."""
        return self.allows(context, 'context_is_admin', {})

    def _credentials(self, context):
        """What checks compare: oslo.policy's words for a caller, and two of our own."""
        found = {**context.to_policy_values(), 'is_admin': context.is_admin,
                 'is_service': auth.is_service(self._conf, context)}
        if found.get('system_scope'):
            found['system'] = found['system_scope']
        return found

    def _look(self):
        """Take over what has changed in the files.

        Others go on with the rules as they were: while oslo.policy reads, it has not all of them.
        """
        if not self._lock.acquire(blocking=False):
            return
        try:
            self.oslo.load_rules()
            if not self._rules.are_of(self.oslo.rules):
                self._rules = _Rules(self.oslo)
            self._look_at = self._clock() + LOOK_SECONDS
        finally:
            self._lock.release()


class _Rules:
    """One set of rules as functions of (target, credentials, name of the rule that was asked).

    :param oslo: oslo_policy.policy.Enforcer with the rules loaded; its checks may want it
    """

    def __init__(self, oslo):
        self._oslo = oslo
        self._checks = dict(oslo.rules)
        self._functions = {name: self._function(check) for name, check in self._checks.items()}

    def are_of(self, checks):
        """Whether these were made of just the same checks."""
        return len(checks) == len(self._checks) and all(
            self._checks.get(name) is check for name, check in checks.items())

    def answer(self, rule, target, credentials):
        return self._functions[rule](target, credentials, rule)

    def _function(self, check):
        """Kinds that only combine others are taken apart; the rest answers for itself."""
        if type(check) is policy.AndCheck:
            return _all(*map(self._function, check.rules))
        if type(check) is policy.OrCheck:
            return _any(*map(self._function, check.rules))
        if type(check) is policy.NotCheck:
            return _not(self._function(check.rule))
        if type(check) is policy.RuleCheck and check.match in self._checks:
            return self._other(check.match)
        oslo = self._oslo
        if len(inspect.getfullargspec(check.__call__).args) > 4:
            return lambda target, credentials, name: check(target, credentials, oslo, name)
        return lambda target, credentials, name: check(target, credentials, oslo)

    def _other(self, rule):
        def ask(target, credentials, name):
            # Found when it is asked: rules name one another in any order, and in circles.
            try:
                return self._functions[rule](target, credentials, name)
            except KeyError:
                return False

        return ask


def _all(*functions):
    return lambda *asked: all(function(*asked) for function in functions)


def _any(*functions):
    return lambda *asked: any(function(*asked) for function in functions)


def _not(function):
    return lambda *asked: not function(*asked)


def list_rules(members_report_snapshots=False):
    """Every rule with its default; entry point of oslopolicy-sample-generator."""
    return [*rules.BASE, rules.legacy_reporters(members_report_snapshots),
            *(rule for resource in routes.RESOURCES for rule in resource.POLICIES)]


def get_enforcer():
    """The enforcer of the configured service; entry point of oslopolicy-policy-generator."""
    options.register_all(cfg.CONF)
    cfg.CONF([], project='cinder_ext')
    return Enforcer(cfg.CONF).oslo
