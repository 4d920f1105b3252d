"""The health check for load balancers: the database answers, and nobody has switched the API off.

The second part is oslo.middleware's: ``[healthcheck]`` names its backends.
``disable_by_file`` is on once ``disable_by_file_path`` is set.
"""
# SPDX-License-Identifier: Apache-2.0

import threading

import webob
from oslo_log import log
from oslo_utils import importutils

from cinder_ext.api import faults
from cinder_ext.db import session

LOG = log.getLogger(__name__)

_MIDDLEWARE = 'oslo_middleware.healthcheck'
_lock = threading.Lock()


class Health:
    """A WSGI application; for anybody, without a token.

    :param conf: options
    """

    def __init__(self, conf):
        self._conf = conf
        self._switch = None

    def __call__(self, environ, start_response):
        if not session.answers():
            LOG.error('the database does not answer')
            response = webob.Response('DATABASE DOES NOT ANSWER', status=503,
                                      content_type='text/plain', charset='UTF-8')
            return response(environ, start_response)
        with _lock:
            if self._switch is None:
                self._switch = self._load()
        return self._switch(environ, start_response)

    def _load(self):
        """Loaded when it is first asked for: its pages need a template engine."""
        kinds = importutils.import_module(f'{_MIDDLEWARE}.opts')
        self._conf.register_opts(kinds.HEALTHCHECK_OPTS, 'healthcheck')
        self._conf.register_opts(kinds.DISABLE_BY_FILE_OPTS, 'healthcheck')
        if self._conf.healthcheck.disable_by_file_path:
            self._conf.set_default('backends', ['disable_by_file'], 'healthcheck')
        if not self._conf.healthcheck.backends:
            return webob.Response('OK', content_type='text/plain', charset='UTF-8')
        return importutils.import_class(f'{_MIDDLEWARE}.Healthcheck')(_nobody, self._conf)


def _nobody(environ, start_response):
    """What a caller gets whom ``allowed_source_ranges`` leaves out."""
    return faults.no_such_path()(environ, start_response)
