"""What a handler sees of a request."""
# SPDX-License-Identifier: Apache-2.0

import types

import oslo_messaging
import pytest

from cinder_ext import context, exceptions
from cinder_ext.api import operation, policy
from cinder_ext.conf import options


@pytest.fixture(scope='module')
def enforcer():
    conf = options.new()
    options.parse(conf, [])
    return policy.Enforcer(conf)


@pytest.fixture
def call(enforcer):
    caller = context.RequestContext(user_id='user', project_id='project',
                                    roles=['member', 'reader'], overwrite=False)
    declared = operation.Operation('volumes.show', policy='volume:get', handler=lambda call: None)
    return operation.Call(None, None, enforcer, caller, '3.0', declared)


def _fails(error):
    def remote(ctxt, *arguments, **keywords):
        raise error
    return remote


@pytest.mark.parametrize('error', [oslo_messaging.MessageDeliveryFailure('down'),
                                   oslo_messaging.MessagingTimeout('slow')])
def test_a_broker_that_is_away_does_not_fail_recorded_work(call, error):
    assert call.tell(_fails(error), 'volume') is None


def test_a_call_that_nobody_answers_is_unavailable(call):
    with pytest.raises(exceptions.ServiceUnavailable):
        call.ask(_fails(oslo_messaging.MessagingTimeout('slow')), detail=True)


def test_an_error_of_the_other_service_stays_what_it_was(call):
    with pytest.raises(exceptions.NoSpace):
        call.ask(_fails(exceptions.NoSpace(reason='full')))


def test_members_see_their_project_and_administrators_all(call):
    assert call.scope == 'project'
    call.context.is_admin = True
    assert call.scope is None


def test_a_policy_is_asked_about_the_owner_of_the_target(call):
    call.authorize('volume:get')
    call.authorize('volume:get', types.SimpleNamespace(project_id='project', user_id='other'))
    with pytest.raises(exceptions.PolicyNotAuthorized, match='volume:get'):
        call.authorize('volume:get', types.SimpleNamespace(project_id='other', user_id='other'))
