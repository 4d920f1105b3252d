"""The API for a WSGI server of your choice: ``cinder_ext.cmd.wsgi:application``.

Nothing is opened before the first request (or ``warm``) of a process, so the
server may import this before it forks.  The configuration is read from the
files that the environment variable ``CINDER_EXT_CONFIG_FILES`` names,
separated by ``:``, else from where oslo.config looks for ``cinder_ext.conf``.

noauth is refused unless ``[api] allow_noauth_beyond_loopback`` is set: which
address the server listens on is not known here.
"""
# SPDX-License-Identifier: Apache-2.0

import atexit
import os
import sys
import threading

from cinder_ext.api import app
from cinder_ext.cmd import process
from cinder_ext.cmd.api import clients
from cinder_ext.db import session
from cinder_ext.rpc import transport

CONFIG_FILES = 'CINDER_EXT_CONFIG_FILES'

_lock = threading.Lock()
_built = {}


def application(environ, start_response):
    """Answer one request; PEP 3333.  Several threads may call it at once.

    :raises Refused: the configuration is wrong
    """
    return warm()(environ, start_response)


def warm():
    """Open what the first request needs, for servers with a hook after the fork.  Idempotent."""
    with _lock:
        if 'application' not in _built:
            _built['application'] = _build()
        return _built['application']


def _build():
    argv = [word for path in os.environ.get(CONFIG_FILES, '').split(':') if path
            for word in ('--config-file', path)]
    conf = process.prepare(argv, 'cinder-ext-api')
    if conf.auth_strategy == 'noauth' and not conf.api.allow_noauth_beyond_loopback:
        sys.stderr.write('cinder_ext: auth_strategy is noauth\n')
        raise process.Refused(
            'auth_strategy is noauth: whoever reaches the server would be an administrator. Use '
            'keystone, or set [api] allow_noauth_beyond_loopback.')
    transport.init(conf)
    for observer in process.observers(conf):
        observer.start()
        atexit.register(observer.stop)
    atexit.register(_close)
    application_ = app.build(conf, clients(conf))
    process.settle()
    return application_


def _close():
    transport.cleanup()
    session.dispose()
