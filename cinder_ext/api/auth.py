"""Who asks: keystonemiddleware's word, or the caller's own with ``noauth``.

noauth: a request without a token, or with one that has no colon, comes from
the administrator of ``[api] noauth_project_id``.  ``X-Auth-Token:
user:project`` comes from that user of that project, who is an administrator
only when called ``admin``.
"""
# SPDX-License-Identifier: Apache-2.0

import re

import webob
import webob.dec
from oslo_utils import importutils

from cinder_ext import context
from cinder_ext.api import faults

ENVIRON_KEY = 'cinder_ext.context'
_KEYSTONE = 'keystonemiddleware.auth_token.AuthProtocol'
_TOKEN = re.compile(r'([!-9;-~]{1,64}):([!-~]{1,255})')


def wrap(conf, application, enforcer):
    """The application behind the configured ``auth_strategy``."""
    if conf.auth_strategy == 'noauth':
        return _NoAuth(conf, application)
    # Loaded only when it is wanted: it takes a third of the start of an embedded service.
    protocol = importutils.import_class(_KEYSTONE)
    return protocol(_Keystone(application, enforcer), {'oslo_config_config': conf})


def is_service(conf, caller):
    """Whether a request came with a service token, which keystonemiddleware has checked, whose
    user has a service role.
    """
    if not caller.service_roles or conf.auth_strategy == 'noauth':
        return False
    return bool(set(conf.keystone_authtoken.service_token_roles) & set(caller.service_roles))


class _Keystone:
    """Turns the headers that keystonemiddleware has checked into a context."""

    def __init__(self, application, enforcer):
        self.application = application
        self.enforcer = enforcer

    @webob.dec.wsgify
    def __call__(self, request):
        caller = context.RequestContext.from_environ(request.environ, overwrite=False)
        if caller.user_id is None:
            return faults.answer(401, 'The token names no user.')
        if caller.project_id is None:
            return faults.answer(403, 'A token of a project is needed: all that is here belongs to '
                                      'a project.')
        caller.is_admin = self.enforcer.is_admin(caller)
        caller.service_catalog = request.environ.get('HTTP_X_SERVICE_CATALOG')
        request.environ[ENVIRON_KEY] = caller
        return request.get_response(self.application)


class _NoAuth:
    """Believes what the caller says."""

    def __init__(self, conf, application):
        self.application = application
        self.default_project_id = conf.api.noauth_project_id

    @webob.dec.wsgify
    def __call__(self, request):
        token = request.headers.get('X-Auth-Token', '')
        user_id, project_id = 'admin', self.default_project_id
        if ':' in token:
            matched = _TOKEN.fullmatch(token)
            if matched is None:
                return faults.answer(401, 'The token must be user:project.')
            user_id, project_id = matched.groups()
        request.environ[ENVIRON_KEY] = _context(request, user_id, project_id)
        return request.get_response(self.application)


def _context(request, user_id, project_id):
    is_admin = user_id == 'admin'
    roles = ['admin', 'member', 'reader'] if is_admin else ['member', 'reader']
    return context.RequestContext(
        user_id=user_id, project_id=project_id, roles=roles, is_admin=is_admin, overwrite=False,
        request_id=request.environ.get('openstack.request_id'),
        global_request_id=request.environ.get('openstack.global_request_id'))
