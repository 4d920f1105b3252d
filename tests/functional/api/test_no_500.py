"""No body, query or header makes the API answer 500: random requests on every route."""
# SPDX-License-Identifier: Apache-2.0

import os
import string
import urllib.parse

import hypothesis
import orjson
import pytest
import webob
from hypothesis import strategies as st

from cinder_ext.api import microversion, pagination, routes
from cinder_ext.api.resources import snapshots, volume_migrations, volume_types, volumes

EXAMPLES = int(os.environ.get('CINDER_EXT_TEST_EXAMPLES', '1000'))
OPERATIONS = [entry for entry in routes.operations() if entry[1] in routes.ROUTES]
WORDS = sorted({*pagination.PARAMETERS, *volumes.FILTERS, *volume_migrations.FILTERS,
                *volume_types.FILTERS, *snapshots.FILTERS, 'force', 'cascade', 'detail', 'name~',
                'metadata~', 'resource_id', 'resource', 'vol_type_id'})
VALUES = ['', '0', '1', '-1', 'true', 'none', 'all', 'active', 'name:asc', 'created_at', 'id:desc,id',
          'gt:2026-01-01', 'lt:,gt:', 'eq:0001-01-01T00:00:00+14:00', "{'a': 'b'}", '{1: 2}',
          '[' * 200, '9' * 30, '\x00', '\u2028', '٣', '%', "'; --"]

texts = st.one_of(st.text(max_size=300), st.sampled_from(VALUES))
numbers = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False),
                    st.sampled_from([0, -1, 1 << 31, 1 << 63, 10 ** 30, 1e308]))
plain = st.recursive(st.one_of(st.none(), st.booleans(), numbers, texts),
                     lambda inner: st.one_of(st.lists(inner, max_size=3),
                                             st.dictionaries(texts, inner, max_size=3)),
                     max_leaves=6)
header_texts = st.text(alphabet=string.printable.strip() + ' \xe9', max_size=80)


def like(schema, known):
    """Values that fit a schema, and some that nearly do."""
    if 'enum' in schema:
        return st.sampled_from(schema['enum'])
    for word in ('oneOf', 'anyOf'):
        if word in schema and 'properties' not in schema:
            return st.one_of(*(like(each, known) for each in schema[word]))
    kinds = schema.get('type', [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if 'object' in kinds:
        return _object_like(schema, known)
    leaves = {'integer': st.integers(1, 5), 'string': st.one_of(st.sampled_from(known), texts),
              'boolean': st.booleans(), 'null': st.none()}
    return st.one_of(*(leaves[kind] for kind in kinds if kind in leaves), plain)


def _object_like(schema, known):
    named = {name: like(inner, known) for name, inner in schema.get('properties', {}).items()}
    needed = {name: named.pop(name) for name in schema.get('required', ()) if name in named}
    if not needed and not named:
        return st.dictionaries(texts, texts, max_size=3)
    # Few words at once, or one wrong one spoils nearly every body.
    some = st.lists(st.sampled_from(sorted(named)), max_size=2) if named else st.just([])
    return some.flatmap(lambda names: st.fixed_dictionaries(
        {**needed, **{name: named[name] for name in names}}))


def bodies(action, operation, known):
    """Bodies for an operation at the versions that its schema has."""
    tables = list(operation.body.entries.values()) if operation.body else []
    fitting = [like(schema.document, known) for schema in tables] or [st.just({})]
    if action is not None:
        fitting = [st.fixed_dictionaries({action: inner}) for inner in fitting]
    other = st.one_of(plain.map(orjson_or_text), st.binary(max_size=60))
    return st.sampled_from([True] * 4 + [False]).flatmap(
        lambda fits: st.one_of(*fitting).map(orjson_or_text) if fits else other)


def orjson_or_text(value):
    """JSON, also of what orjson does not write: large integers."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return repr(value).replace("'", '"').encode('utf-8', 'replace')


@st.composite
def requests(draw, known):
    """Any request to any route; two of three are wrong in their body or query only."""
    method, path, action, operation = draw(st.sampled_from(OPERATIONS))
    is_wild = draw(st.sampled_from([False, False, True]))
    ids = st.one_of(st.sampled_from(known), texts) if is_wild else st.sampled_from(known[:3])
    words = [urllib.parse.quote(draw(ids), safe='') if word.startswith('{') else word
             for word in path.split('/')]
    query = urllib.parse.urlencode(draw(st.lists(
        st.tuples(st.sampled_from(WORDS), st.sampled_from(VALUES)), max_size=2))).encode()
    headers = {microversion.HEADER: 'volume ' + draw(
        st.one_of(st.just('latest'), st.sampled_from(microversion.VERSIONS)))}
    if is_wild:
        method = draw(st.sampled_from([method, method, 'GET', 'POST', 'PATCH', 'HEAD']))
        query = draw(st.one_of(st.just(query), st.binary(max_size=30)))
        headers.update(draw(odd_headers))
    return {'method': method, 'path': '/v3' + '/'.join(words), 'headers': headers, 'query': query,
            'body': draw(bodies(action, operation, known))}


odd_headers = st.fixed_dictionaries({}, optional={
    **{name: header_texts for name in ('X-Auth-Token', 'Content-Type', 'X-OpenStack-Request-ID',
                                       'If-Match', 'Accept')},
    microversion.HEADER: st.one_of(
        header_texts, st.sampled_from(['volume 3.999', 'volume 2.0', 'volume', ',', 'volume 3.']))})


def send(application, wanted):
    environ = {'REQUEST_METHOD': wanted['method'],
               'PATH_INFO': urllib.parse.unquote_to_bytes(wanted['path']).decode('latin-1'),
               'QUERY_STRING': wanted['query'].decode('latin-1')}
    request = webob.Request.blank('/', environ)
    request.environ.update(environ)
    request.body = wanted['body']
    for name, value in wanted['headers'].items():
        request.headers[name] = value
    return request.get_response(application)


def test_no_request_is_answered_by_500(known, application):
    seen = set()

    @hypothesis.settings(max_examples=EXAMPLES, deadline=None, database=None,
                         suppress_health_check=list(hypothesis.HealthCheck), derandomize=True)
    @hypothesis.given(wanted=requests(known))
    def attack(wanted):
        response = send(application, wanted)
        seen.add(response.status_int)
        # 501: what needs a service that is not there, as an image service.
        assert response.status_int < 500 or response.status_int == 501, response.body
        assert response.headers['x-openstack-request-id'].startswith('req-')
        if response.status_int >= 400 and wanted['method'] != 'HEAD':
            fault, = response.json.values()
            assert fault['code'] == response.status_int
            assert fault['message']

    attack()
    assert {200, 202, 400, 404, 405, 406} <= seen


@pytest.mark.parametrize('path', ['/v3/volumes/detail', '/v3/volume-migrations', '/v3/types',
                                  '/v3/snapshots/detail', '/v3/qos-specs', '/v3/messages',
                                  '/v3/attachments', '/v3/resource_filters',
                                  '/v3/scheduler-stats/get_pools'])
def test_no_query_parameter_with_an_odd_value_is_answered_by_500(known, application, path):
    for name in WORDS:
        for value in VALUES:
            response = send(application, {
                'method': 'GET', 'path': path, 'headers': {microversion.HEADER: 'volume latest'},
                'query': urllib.parse.urlencode({name: value}).encode(), 'body': b''})
            assert response.status_int < 500, (name, value)


def test_a_body_in_chunks_is_limited_too(cloud):
    request = webob.Request.blank('/v3/volumes', method='POST', content_type='application/json')
    request.environ['wsgi.input'] = _Endless()
    request.environ['wsgi.input_terminated'] = True
    request.environ.pop('CONTENT_LENGTH', None)
    response = request.get_response(cloud.application)
    assert response.status_int == 413
    assert response.json['overLimit']['code'] == 413


class _Endless:
    """A body without an end."""

    def read(self, size=-1):
        return b' ' * (size if size and size > 0 else 8192)
