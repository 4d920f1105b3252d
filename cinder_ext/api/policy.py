"""Policies: who may do what.  Rule names and defaults are upstream's.

The rules are declared in the resources; ``rules.py`` has the words for it.
"""
# SPDX-License-Identifier: Apache-2.0

from oslo_config import cfg
from oslo_policy import opts, policy

from cinder_ext.api import routes, rules
from cinder_ext.conf import options


class Enforcer:
    """The policies of one configuration.

    :param conf: parsed options; ``[oslo_policy] policy_file`` may override the defaults
    """

    def __init__(self, conf):
        opts.set_defaults(conf, policy_file='policy.yaml')
        self.oslo = policy.Enforcer(conf)
        self.oslo.register_defaults(list_rules())
        self.oslo.load_rules()

    def allows(self, context, rule, target):
        """Whether the caller may.

        :param target: dictionary with the owner's ``project_id`` and ``user_id``
        :raises oslo_policy.policy.PolicyNotRegistered: no such rule (a programming error)
        """
        credentials = {**context.to_policy_values(), 'is_admin': context.is_admin}
        return bool(self.oslo.authorize(rule, target, credentials))

    def is_admin(self, context):
        """Whether the roles of a caller make an administrator."""
        return self.allows(context, 'context_is_admin', {})


def list_rules():
    """Every rule with its default; entry point of oslopolicy-sample-generator."""
    return [*rules.BASE, *(rule for resource in routes.RESOURCES for rule in resource.POLICIES)]


def get_enforcer():
    """The enforcer of the configured service; entry point of oslopolicy-policy-generator."""
    options.register_all(cfg.CONF)
    cfg.CONF([], project='cinder_ext')
    return Enforcer(cfg.CONF).oslo
