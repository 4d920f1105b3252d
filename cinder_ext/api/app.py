"""The API as a WSGI application: its layers, outermost first.

1. a request id for every request, and in every answer
2. the health check, which is for anybody and answers in words of its own
3. errors in upstream's shape, whoever answers
4. the size of bodies
5. the URL as a proxy saw it
6. who asks; version discovery is for anybody
7. dispatch
"""
# SPDX-License-Identifier: Apache-2.0

from oslo_config import cfg
from oslo_middleware import http_proxy_to_wsgi, request_id, sizelimit

from cinder_ext.api import auth, dispatch, faults, filter_names, health, policy, routes


class _RequestId(request_id.RequestId):
    compat_headers = ['x-compute-request-id']


def build(conf, rpc):
    """The application.

    :param conf: parsed options
    :param rpc: an object with ``scheduler`` (rpc.scheduler.SchedulerAPI), ``volume``
        (rpc.volume.VolumeAPI) and ``control`` (rpc.control.ControlAPI)
    :returns: a WSGI callable; several threads may call it at once
    :raises oslo_config.cfg.ConfigFileValueError: the file of filters cannot be read
    """
    filter_names.configured(conf)
    enforcer = policy.Enforcer(conf)
    dispatcher = dispatch.Dispatcher(conf, rpc, enforcer)
    layer = _open_to_anybody(dispatcher, auth.wrap(conf, dispatcher, enforcer))
    layer = http_proxy_to_wsgi.HTTPProxyToWSGI(layer, conf)
    layer = _limited(layer, conf.api.max_request_body_bytes)
    layer = faults.Shape(layer)
    return _RequestId(_beside(health.Health(conf), layer))


def _limited(layer, most_bytes):
    """A layer behind a limit of the size of bodies.

    The limiter has options of its own: one given by value it would set anew in the process-wide
    ones with each request, and so make them forget every value that they have looked up.
    """
    own = cfg.ConfigOpts()
    own([], default_config_files=[], default_config_dirs=[])
    limiter = sizelimit.RequestBodySizeLimiter(layer, own)
    own.set_override('max_request_body_size', most_bytes, 'oslo_middleware')
    return limiter


def _open_to_anybody(dispatcher, guarded):
    def switch(environ, start_response):
        is_open = environ.get('PATH_INFO', '') in routes.OPEN
        return (dispatcher if is_open else guarded)(environ, start_response)

    return switch


def _beside(health_check, others):
    def switch(environ, start_response):
        is_check = environ.get('PATH_INFO') == routes.HEALTH
        return (health_check if is_check else others)(environ, start_response)

    return switch
