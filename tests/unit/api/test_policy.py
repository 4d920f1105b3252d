"""Who may do what by default."""
# SPDX-License-Identifier: Apache-2.0

import itertools

import pytest
from oslo_policy import opts
from oslo_policy import policy as oslo_policy

from cinder_ext import context
from cinder_ext.api import policy
from cinder_ext.conf import options

OWNED = {'project_id': 'project', 'user_id': 'user'}


@pytest.fixture(scope='module')
def enforcer():
    conf = options.new()
    options.parse(conf, [])
    return policy.Enforcer(conf)


def _caller(*roles, project_id='project'):
    return context.RequestContext(user_id='user', project_id=project_id, roles=list(roles),
                                  overwrite=False)


@pytest.mark.parametrize(('caller', 'may'), [
    (_caller('reader'), {'volume:get': True, 'volume:create': False}),
    (_caller('member', 'reader'), {'volume:get': True, 'volume:create': True,
                                   'volume_extension:volume_host_attribute': False,
                                   'volume_extension:volume_mig_status_attribute': False,
                                   'volume_extension:volume_migrations:get_all': False}),
    (_caller('member', 'reader', project_id='elsewhere'), {'volume:get': False,
                                                           'volume:update': False}),
    (_caller('admin', project_id='elsewhere'), {'volume:get': True, 'volume:create': True,
                                                'volume_extension:volume_migrations:get': True}),
    (_caller(), {'volume:get': False}),
])
def test_defaults(enforcer, caller, may):
    for rule, expected in may.items():
        assert enforcer.allows(caller, rule, OWNED) is expected, rule


def test_roles_make_an_administrator(enforcer):
    assert enforcer.is_admin(_caller('admin'))
    assert not enforcer.is_admin(_caller('member'))


def test_a_policy_file_overrides_a_default(tmp_path):
    path = tmp_path / 'policy.yaml'
    path.write_text('"volume:get": "!"\n')
    conf = options.new()
    options.parse(conf, [])
    policy.Enforcer(conf)
    conf.set_override('policy_file', str(path), 'oslo_policy')
    assert not policy.Enforcer(conf).allows(_caller('admin'), 'volume:get', OWNED)


RULES = {
    'combined': '(role:member and not user_id:%(user_id)s) or @ and project_id:other',
    'through': 'rule:combined or rule:reader',
    'reader': 'role:reader and project_id:%(project_id)s',
    'nowhere': 'rule:not_there',
    'missing_value': 'project_id:%(domain)s',
    'system': 'system:all',
    'no_reader': 'not rule:reader',
    'literal': "'project':%(project_id)s",
    'nobody': '!',
    'anybody': '',
}


@pytest.mark.parametrize('rule', RULES)
def test_answers_are_those_of_oslo_policy(tmp_path, rule):
    enforcer = _with_file(tmp_path, RULES)
    enforcer.oslo.register_defaults([oslo_policy.RuleDefault(name, '!') for name in RULES])
    callers = [_caller(*roles, project_id=project_id)
               for roles in ((), ('reader',), ('member',), ('admin', 'member'))
               for project_id in ('project', 'other')]
    system = _caller('reader')
    system.system_scope = 'all'
    for caller, owner in itertools.product([*callers, system], (
            OWNED, {'project_id': 'other', 'user_id': 'else'})):
        credentials = {**caller.to_policy_values(), 'is_admin': caller.is_admin}
        assert enforcer.allows(caller, rule, owner) == bool(
            enforcer.oslo.authorize(rule, owner, credentials)), (caller.to_dict(), owner)


def _with_file(directory, rules, **more):
    (directory / 'policy.yaml').write_text(
        ''.join(f'{name!r}: {check!r}\n' for name, check in rules.items()))
    conf = options.new()
    options.parse(conf, [])
    opts.set_defaults(conf)
    conf.set_override('policy_file', str(directory / 'policy.yaml'), 'oslo_policy')
    return policy.Enforcer(conf, **more)


def test_a_check_that_lacks_something_refuses(tmp_path):
    enforcer = _with_file(tmp_path, {'volume:get': 'rule:not_there'})
    assert not enforcer.allows(_caller('admin'), 'volume:get', OWNED)


def test_a_rule_that_nobody_declared_is_an_error(enforcer):
    with pytest.raises(oslo_policy.PolicyNotRegistered):
        enforcer.allows(_caller('admin'), 'volume:juggle', OWNED)


def test_no_rule_is_for_some_scopes_only():
    assert not [rule.name for rule in policy.list_rules() if rule.scope_types]


def test_a_changed_file_holds_after_a_second(tmp_path):
    now = [0.0]
    enforcer = _with_file(tmp_path, {'volume:get': '!'}, clock=lambda: now[0])
    caller = _caller('admin')
    assert not enforcer.allows(caller, 'volume:get', OWNED)
    (tmp_path / 'policy.yaml').write_text('"volume:get": ""\n"volume:update": "!"\n')
    now[0] = policy.LOOK_SECONDS
    assert enforcer.allows(caller, 'volume:get', OWNED)
    assert not enforcer.allows(caller, 'volume:update', OWNED)


def test_answers_differ_by_caller_and_owner(enforcer):
    asked = [(_caller('reader'), OWNED), (_caller('reader'), {**OWNED, 'project_id': 'other'}),
             (_caller('reader', project_id='other'), OWNED), (_caller('admin'), OWNED)]
    for _ in range(2):
        assert [enforcer.allows(caller, 'volume:get', owner)
                for caller, owner in asked] == [True, False, False, True]
