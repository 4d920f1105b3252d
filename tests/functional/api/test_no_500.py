"""Whatever is sent to whatever operation, the API answers 4xx at worst, and then nothing changed.

Each kind of hostility is made from every good request of ``api_cases.py``, so that it arrives where
a good request would; a random test goes beyond what these think of.  501 is for what needs a
service that is not there, as an image service.
"""
# SPDX-License-Identifier: Apache-2.0

import collections
import itertools
import os
import string
import time
import urllib.parse

import api_cases
import api_stage
import hostile
import hypothesis
import orjson
import pytest
import webob
from hypothesis import strategies as st

from cinder_ext.api import microversion, pagination, routes

EXAMPLES = int(os.environ.get('CINDER_EXT_TEST_EXAMPLES', '400'))
ROUTES = [each for each in api_cases.every() if each.page not in routes.UNVERSIONED]
OPERATIONS = {each.operation.name for each in ROUTES}
LISTS = [each for each in ROUTES if each.method == 'GET' and not each.case.path]
NOT_SERVED = {each.operation.name for each in ROUTES if each.status == 501}


@pytest.fixture(scope='module')
def stage():
    found = api_stage.Stage()
    found.start()
    yield found
    found.stop()


class Siege:
    """Sends requests as an administrator, and looks at what they did."""

    def __init__(self, stage):
        self.stage = stage
        self.reached = collections.Counter()
        self.faults = []

    def send(self, route, must_refuse=False, **request):
        began = time.monotonic()
        response = self.stage.send(**request, user='admin', project_id=api_stage.OTHER)
        taken = time.monotonic() - began
        self.reached[route.operation.name] += 1
        status = response.status_int
        wrong = [what for what, is_so in (
            ('a fault', status >= 500 and (status != 501 or route.operation.name not in NOT_SERVED)),
            ('not refused', status < 400 and must_refuse),
            ('slow', taken > hostile.SECONDS),
            ('no request id', not response.headers['x-openstack-request-id'].startswith('req-')),
            ('no shape', status >= 400 and request['method'] != 'HEAD' and not _is_fault(response)),
            *self._done(status)) if is_so]
        if wrong:
            self.faults.append((wrong, route.name, status, str(request)[:400], response.text[:200]))
        return response

    def _done(self, status):
        """What is wrong with what a request did to the database, which is put back."""
        if self.stage.read_digest() == self.stage.digest:
            return []
        found = [('changed', status >= 400), ('too long for its column', self.stage.too_long())]
        self.stage.restore()
        return found


def _is_fault(response):
    fault, = response.json.values()
    return fault['code'] == response.status_int and fault['message']


@pytest.fixture
def siege(stage):
    found = Siege(stage)
    yield found
    if stage.read_digest() != stage.digest:
        stage.restore()
    assert not found.faults, f'{len(found.faults)} wrong: {found.faults[:10]}'


@pytest.fixture
def some(is_long):
    """Some of many values in turn, another share for each place; all in the long variant."""
    def share(values, at, most):
        values = list(values)
        if is_long or len(values) <= most:
            return values
        return [values[(at * most + each) % len(values)] for each in range(most)]

    return share


def _good(stage, route):
    return route.request(stage.other)


@pytest.mark.parametrize('kind', hostile.BAD_BODIES)
def test_a_body_that_cannot_be_read_is_refused(stage, siege, kind):
    for route in ROUTES:
        good = _good(stage, route)
        for body, headers in hostile.BAD_BODIES[kind](good['body']):
            siege.send(route, must_refuse=True, **{**good, 'body': body}, headers=headers)
    assert set(siege.reached) == OPERATIONS


@pytest.mark.parametrize('kind', hostile.WRONG_DOCUMENTS)
def test_a_document_of_another_shape_is_refused(stage, siege, kind):
    for route in ROUTES:
        good = _good(stage, route)
        if good['body'] in (None, {}):
            continue
        for body in hostile.WRONG_DOCUMENTS[kind](good['body'], route.action):
            siege.send(route, must_refuse=kind in hostile.REFUSED_SHAPES, **{**good, 'body': body})
    assert set(siege.reached) == {each.operation.name for each in ROUTES
                                  if _good(stage, each)['body'] not in (None, {})}


@pytest.mark.parametrize('kind', hostile.VALUES)
def test_odd_values_in_the_place_of_each_good_one(stage, siege, some, kind):
    turn = itertools.count()
    for route in ROUTES:
        good = _good(stage, route)
        for place in hostile.places(good['body'], route.action):
            for value in some(hostile.VALUES[kind], next(turn), 1 + (kind in hostile.TYPED)):
                siege.send(route, **{**good, 'body': hostile.put(good['body'], place, value)})
    assert set(siege.reached) >= {each.operation.name for each in ROUTES
                                  if hostile.places(_good(stage, each)['body'], each.action)}


@pytest.mark.parametrize('kind', hostile.WORDS)
def test_odd_words_in_the_place_of_each_variable_of_a_path(stage, siege, some, kind):
    for turn, route in enumerate(ROUTES):
        for at in range(len(route.case.path)):
            words = list(api_cases.resolve(route.case.path, stage.other))
            for word in some(hostile.WORDS[kind], turn, 3):
                words[at] = word
                path = '/v3' + api_cases.filled(route.page, words)
                siege.send(route, **{**_good(stage, route), 'path': path})
    assert set(siege.reached) == {each.operation.name for each in ROUTES if each.case.path}


@pytest.mark.parametrize('kind', hostile.QUERIES)
def test_odd_queries(stage, siege, some, kind):
    for at, route in enumerate(ROUTES):
        for query in some(hostile.QUERIES[kind], at, 4 if route in LISTS else 1):
            siege.send(route, must_refuse=kind == 'malformed', **{**_good(stage, route),
                                                                  'query': query})
    assert set(siege.reached) == OPERATIONS


def test_every_word_of_a_query_with_odd_values(stage, siege, some):
    turn = itertools.count()
    for route in LISTS:
        for name in hostile.words_of(route.operation):
            for value in some(hostile.QUERY_VALUES, next(turn), 2):
                siege.send(route, **{**_good(stage, route),
                                     'query': urllib.parse.urlencode({name: value})})
    assert set(siege.reached) == {each.operation.name for each in LISTS}


@pytest.mark.parametrize('kind', hostile.HEADERS)
def test_odd_headers(stage, siege, some, kind):
    for at, route in enumerate(ROUTES):
        for headers in some(hostile.HEADERS[kind], at, 2):
            siege.send(route, must_refuse=kind == 'refused', **_good(stage, route), headers=headers)
    assert set(siege.reached) == OPERATIONS


def test_methods_that_a_path_does_not_have(stage, siege):
    for route in ROUTES:
        allowed = {*routes.ROUTES[route.page], 'HEAD'}
        for method in ('GET', 'PUT', 'POST', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'BREW', 'get'):
            if method not in allowed:
                response = siege.send(route, must_refuse=True,
                                      **{**_good(stage, route), 'method': method})
                assert response.status_int == 405
    assert set(siege.reached) == OPERATIONS


def test_versions_below_an_operations_first(stage, siege, some):
    for at, route in enumerate(ROUTES):
        for version in ('3.0', *some(microversion.VERSIONS, at, 1)):
            siege.send(route, must_refuse=not microversion.reached(version, route.operation.since),
                       **_good(stage, route), version=version)
    assert set(siege.reached) == OPERATIONS


def test_a_body_in_chunks_is_limited_too(stage):
    request = webob.Request.blank('/v3/volumes', method='POST', content_type='application/json')
    request.environ['wsgi.input'] = _Endless()
    request.environ['wsgi.input_terminated'] = True
    request.environ.pop('CONTENT_LENGTH', None)
    response = request.get_response(stage.application)
    assert response.status_int == 413
    assert response.json['overLimit']['code'] == 413


class _Endless:
    """A body without an end."""

    def read(self, size=-1):
        return b' ' * (size if size and size > 0 else 8192)


# At random

texts = st.one_of(st.text(max_size=300), st.sampled_from(hostile.QUERY_VALUES))
numbers = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False),
                    st.sampled_from([0, -1, 1 << 31, 1 << 63, 10 ** 30, 1e308]))
plain = st.recursive(st.one_of(st.none(), st.booleans(), numbers, texts),
                     lambda inner: st.one_of(st.lists(inner, max_size=3),
                                             st.dictionaries(texts, inner, max_size=3)),
                     max_leaves=6)
header_texts = st.text(alphabet=string.printable.strip() + ' \xe9', max_size=80)
odd_headers = st.fixed_dictionaries({}, optional={
    **{name: header_texts for name in ('X-Auth-Token', 'Content-Type', 'X-OpenStack-Request-ID',
                                       'If-Match', 'Accept')},
    microversion.HEADER: header_texts})


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


def bodies(route, known):
    """Bodies for an operation at the versions that its schema has."""
    tables = list(route.operation.body.entries.values()) if route.operation.body else []
    fitting = [like(schema.document, known) for schema in tables] or [st.just({})]
    if route.action is not None:
        fitting = [st.fixed_dictionaries({route.action: inner}) for inner in fitting]
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
def random_requests(draw, names):
    """(route, request): two of three are wrong in their body or query only."""
    known = sorted(names.values())
    route = draw(st.sampled_from(ROUTES))
    wanted = route.request(names)
    words = sorted({*pagination.PARAMETERS, *hostile.words_of(route.operation)})
    query = urllib.parse.urlencode(draw(st.lists(
        st.tuples(st.sampled_from(words), st.sampled_from(hostile.QUERY_VALUES)), max_size=2)))
    headers = {microversion.HEADER: 'volume ' + draw(
        st.one_of(st.just('latest'), st.sampled_from(microversion.VERSIONS)))}
    if draw(st.sampled_from([False, False, True])):
        ids = [draw(st.one_of(st.sampled_from(known), texts)) for _word in route.case.path]
        wanted['path'] = '/v3' + api_cases.filled(
            route.page, [each.encode('utf-8', 'replace').decode('latin-1') for each in ids])
        wanted['method'] = draw(st.sampled_from([route.method] * 2 + ['GET', 'POST', 'PATCH', 'HEAD']))
        query = draw(st.one_of(st.just(query), st.binary(max_size=30).map(
            lambda each: each.decode('latin-1'))))
        headers.update(draw(odd_headers))
    return route, {**wanted, 'query': query, 'headers': headers, 'body': draw(bodies(route, known))}


def test_no_random_request_is_answered_by_500(stage, siege, is_long):
    seen = set()

    @hypothesis.settings(max_examples=EXAMPLES * (10 if is_long else 1), deadline=None, database=None,
                         suppress_health_check=list(hypothesis.HealthCheck), derandomize=True)
    @hypothesis.given(found=random_requests(stage.other))
    def attack(found):
        route, wanted = found
        seen.add(siege.send(route, **wanted).status_int)

    attack()
    assert {200, 202, 400, 404, 405} <= seen
