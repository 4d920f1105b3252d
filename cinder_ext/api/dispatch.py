"""From a request to an answer, in one order and in one place.

match, version, target, policy, schema, handler.  A resource's code begins
where this one ends: a handler gets a Call and returns plain data.
"""
# SPDX-License-Identifier: Apache-2.0

import time
import urllib.parse

import orjson
import oslo_messaging
import webob
import webob.dec
import webob.exc
from oslo_log import log

from cinder_ext import compute, exceptions, metrics
from cinder_ext.api import (
    auth,
    faults,
    microversion,
    operation,
    pagination,
    routes,
    validation,
)
from cinder_ext.db import away, session

LOG = log.getLogger(__name__)

MAX_URL = 16384
"""Characters of path and query.  Databases refuse long patterns, SQLite those of 50,000 bytes."""
_MESSAGES_AWAY = (oslo_messaging.MessageDeliveryFailure, oslo_messaging.MessagingTimeout)
_ROUTE = 'cinder_ext.route'
"""Where the environment of a request says which page of routes.py it is about."""
_METHODS = frozenset({'GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'})
"""What a figure may be named after: a caller must not be able to make up more and more."""


class Dispatcher:
    """The innermost layer of the application."""

    def __init__(self, conf, rpc, enforcer):
        self.conf = conf
        self.rpc = rpc
        self.enforcer = enforcer
        self.compute = compute.Compute(conf)

    @webob.dec.wsgify
    def __call__(self, request):
        began = time.monotonic()
        response = self._versioned(request)
        route = request.environ.get(_ROUTE, 'unknown')
        method = request.method if request.method in _METHODS else 'unknown'
        metrics.REQUESTS.labels(method, route, response.status_int).inc()
        metrics.REQUEST_SECONDS.labels(method, route).observe(time.monotonic() - began)
        return response

    def _versioned(self, request):
        try:
            version = microversion.negotiate(request.headers.get(microversion.HEADER))
        except exceptions.CinderExtError as error:
            return faults.of(error)
        response = self._guarded(request, version)
        response.headers[microversion.HEADER] = f'{microversion.SERVICE_TYPES[0]} {version}'
        response.headers['Vary'] = microversion.HEADER
        return response

    def _guarded(self, request, version):
        try:
            return self._answer(request, version)
        except exceptions.CinderExtError as error:
            if error.http_status >= 500 and not isinstance(error, exceptions.NotServed):
                LOG.exception('%s %s failed', request.method, request.environ.get('PATH_INFO'))
            return faults.of(error)
        except webob.exc.HTTPException as error:
            return faults.of_http(error)
        except Exception as fault:
            response = _of_what_is_away(request, fault)
            if response is None:
                LOG.exception('%s %s failed', request.method, request.environ.get('PATH_INFO'))
                return faults.unexpected()
            return response

    def _answer(self, request, version):
        if _url_length(request) > MAX_URL:
            return faults.too_long_url()
        found = routes.match(_path(request))
        if found is None:
            return faults.no_such_path()
        request.environ[_ROUTE] = found.page
        method = 'GET' if request.method == 'HEAD' else request.method
        if method not in found.methods:
            return faults.wrong_method(found.methods)
        call = operation.Call(
            self.conf, self.rpc, self.enforcer, request.environ.get(auth.ENVIRON_KEY), version,
            compute=self.compute, path=found.path, query=_query(request),
            links=pagination.Links(self.conf, request, found.project_id),
            if_match=_etags(request))
        _check_project(call, found.project_id)
        body = validation.parse(_body(request), request.content_type)
        call.operation, call.body = _choose(found.methods[method], body)
        return _carry_out(call)


def _of_what_is_away(request, fault):
    """The answer to a fault that passes by itself, with a line in the log; None: it is no such one.

    The request is not repeated: whether what it wrote was committed may not be known.
    """
    asked = request.method, request.environ.get('PATH_INFO')
    if away.is_away(fault):
        LOG.error('%s %s is answered with 503: the database does not answer: %s', *asked,
                  away.describe(fault))
        return faults.database_away()
    if isinstance(fault, _MESSAGES_AWAY):
        LOG.error('%s %s is answered with 503: a message was not answered: %s', *asked, fault)
        return faults.messages_away()
    return None


def _carry_out(call):
    chosen = call.operation
    if not microversion.reached(call.version, chosen.since):
        return faults.no_such_path()
    if chosen.reads:
        return _read(call.context, call, chosen)
    return _handled(call, chosen)


@session.reader
def _read(_context, call, chosen):
    """In one transaction, which is repeated like any that reads."""
    return _handled(call, chosen)


def _handled(call, chosen):
    if chosen.target is not None:
        call.target = chosen.target(call)
    if chosen.policy is not None:
        call.authorize(chosen.policy, call.target)
    schema = chosen.body and chosen.body.at(call.version)
    if schema:
        schema.check(call.body)
    try:
        document = chosen.handler(call)
    except exceptions.MigrationActive as refusal:
        if chosen.migrating is None:
            raise
        raise call.at(chosen.migrating)(refusal)
    return _response(chosen.success, document, call.headers)


def _choose(entry, body):
    """The operation of a path and method; of several actions the one that the body names."""
    if isinstance(entry, operation.Operation):
        return entry, body
    if not isinstance(body, dict) or len(body) != 1:
        raise exceptions.BadRequest('Malformed request body: it must name one action')
    action = next(iter(body))
    if action not in entry:
        raise exceptions.BadRequest(f'There is no such action: {action[:255]}')
    return entry[action], body[action]


def _response(status, document, headers):
    if isinstance(document, webob.Response):
        return document
    response = webob.Response(status=status, content_type='application/json', charset='UTF-8')
    if document is None:
        response.headers.pop('Content-Type', None)
        response.body = b''
    else:
        response.body = orjson.dumps(document)
    response.headers.update(headers)
    return response


def _check_project(call, project_id):
    if project_id is not None and call.context.project_id != project_id:
        raise exceptions.BadRequest('Malformed request url')


def _url_length(request):
    return sum(len(request.environ.get(part, '')) for part in ('PATH_INFO', 'QUERY_STRING'))


def _path(request):
    """The decoded path.

    :raises BadRequest: not UTF-8, or with a NUL
    """
    try:
        path = request.path_info
    except UnicodeError:
        raise exceptions.BadRequest('Malformed request url: not UTF-8')
    if '\0' in path:
        raise exceptions.BadRequest('Malformed request url')
    return path


def _body(request):
    """
    :raises BadRequest: it was not sent whole, or its chunks cannot be read
    """
    try:
        return request.body
    except (OSError, ValueError):
        raise exceptions.BadRequest('Malformed request: its body cannot be read')


def _etags(request):
    """Etags of If-Match, with or without quotes; none for ``*``."""
    named = [etag.strip().strip('"') for etag in request.headers.get('If-Match', '').split(',')]
    return () if '*' in named else tuple(filter(None, named))


def _query(request):
    try:
        pairs = urllib.parse.parse_qsl(request.query_string, keep_blank_values=True,
                                       errors='strict', max_num_fields=200)
    except ValueError:
        raise exceptions.BadRequest('Malformed request url: the query cannot be read')
    if any('\0' in text for pair in pairs for text in pair):
        raise exceptions.BadRequest('Malformed request url')
    return dict(pairs)
