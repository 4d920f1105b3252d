"""Who may do what by default."""
# SPDX-License-Identifier: Apache-2.0

import pytest

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
