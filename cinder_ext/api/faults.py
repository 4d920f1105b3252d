"""Errors as answers: upstream's shape, and what only this service says.

::

    {"badRequest": {"code": 400, "message": "...", "error_code": "cinder_ext.invalid_input",
                    "remedy": "..."}}

``error_code`` never changes and is meant for comparing; ``remedy`` is there
when there is one.  The stock clients read ``code`` and ``message`` and pass
over the rest.
"""
# SPDX-License-Identifier: Apache-2.0

import orjson
import webob
import webob.dec
import webob.exc

from cinder_ext import exceptions

NAMES = {400: 'badRequest', 401: 'unauthorized', 403: 'forbidden', 404: 'itemNotFound',
         405: 'badMethod', 409: 'conflictingRequest', 412: 'preconditionFailed',
         413: 'overLimit', 414: 'requestUriTooLong', 415: 'badMediaType',
         429: 'overLimit', 501: 'notImplemented', 503: 'serviceUnavailable'}
AWAY_SECONDS = '5'
"""When to ask again what a database or a broker that is away kept from being answered."""
UNEXPECTED = ('The server has either erred or is incapable of performing the requested '
              'operation.')
_PASSING = frozenset({exceptions.ServiceUnavailable.code, 'cinder_ext.database_away'})
_WAIT = 'Wait, look at what there is, and ask again.'


def answer(status, message, code=None, remedy=None, retry_after=None):
    """An error as a response.

    :param retry_after: seconds as text, for a header and, as upstream, for the body
    """
    fault = {'code': status, 'message': message}
    if retry_after is not None:
        fault['retryAfter'] = retry_after
    if code:
        fault['error_code'] = code
    if remedy:
        fault['remedy'] = remedy
    response = webob.Response(orjson.dumps({NAMES.get(status, 'computeFault'): fault}),
                              status=status, content_type='application/json', charset='UTF-8')
    if retry_after is not None:
        response.headers['Retry-After'] = retry_after
    return response


def of(error):
    """The answer to an error of ours; what a 500 was about stays in the log."""
    status = error.http_status
    if status == 500:
        return unexpected()
    # An error that came over RPC carries the remote traceback in str(); its args do not.
    message = getattr(error, 'message', None) or str(error)
    passes = AWAY_SECONDS if error.code in _PASSING else None
    return answer(status, message, error.code, error.remedy,
                  retry_after=getattr(error, 'retry_after', passes))


def of_http(error):
    """The answer to an error of WebOb's, raised while a body was read."""
    return answer(error.status_int, error.explanation or error.title)


def unexpected():
    return answer(500, UNEXPECTED, 'cinder_ext.fault')


def database_away():
    """The database cannot be reached, or somebody else has locked it."""
    return answer(503, 'The database does not answer now: the request was not carried out, or not '
                       'to its end.', 'cinder_ext.database_away', _WAIT, AWAY_SECONDS)


def messages_away():
    """The broker cannot be reached, or the other service does not answer."""
    return answer(503, 'Another service does not answer now: the request was not carried out, or '
                       'not to its end.', 'cinder_ext.messages_away', _WAIT, AWAY_SECONDS)


def no_such_path():
    return answer(404, 'The resource could not be found.', 'cinder_ext.no_such_path')


def too_long_url():
    return answer(414, 'The URL is too long.', 'cinder_ext.url_too_long')


def wrong_method(allowed):
    response = answer(405, 'The method is not allowed for this resource.',
                      'cinder_ext.wrong_method')
    response.headers['Allow'] = ', '.join(sorted(allowed))
    return response


class Shape:
    """Middleware: errors of the layers below that are not JSON get upstream's shape."""

    def __init__(self, application):
        self.application = application

    @webob.dec.wsgify
    def __call__(self, request):
        response = request.get_response(self.application)
        if response.status_int < 400 or response.content_type == 'application/json':
            return response
        shaped = answer(response.status_int, _sentence(response.status_int))
        if 'WWW-Authenticate' in response.headers:
            shaped.headers['WWW-Authenticate'] = response.headers['WWW-Authenticate']
        return shaped


def _sentence(status):
    known = webob.exc.status_map.get(status, webob.exc.HTTPInternalServerError)
    return ' '.join(known.explanation.split()) or known.title
