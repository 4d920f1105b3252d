"""What hostile clients send, by kind."""
# SPDX-License-Identifier: Apache-2.0

import sys

import orjson

from cinder_ext.api import microversion, pagination

TYPED = frozenset({'other types', 'numbers'})
"""Kinds of values that more depends on than on others: more of them are sent."""
SECONDS = 10
"""No request may take longer, on a machine that does other things too."""
DEPTH = 10_000
LARGE = 1 << 20

# Bodies as bytes: function(good body) -> (bytes, headers) ...

_JSON = {'Content-Type': 'application/json'}


def _dumped(body):
    return orjson.dumps(body if body is not None else {'a': 'b'})


def _nested(opening, closing):
    return lambda _body: [(opening * depth + b'0' + closing * depth, _JSON)
                          for depth in (1000, DEPTH)]


def _with(text):
    """The text as the whole body, as a value and in the place of the first good text."""
    def made(body):
        dumped = _dumped(body)
        head, mark, tail = dumped.partition(b':')
        return [(text, _JSON), (head + mark + text + b',' + b'"z":' + tail, _JSON)]
    return made


BAD_BODIES = {
    'objects in objects': _nested(b'{"a":', b'}'),
    'lists in lists': _nested(b'[', b']'),
    'not ended': lambda body: [(_dumped(body)[:-1], _JSON), (b'{"a":' * DEPTH, _JSON)],
    'more than one document': lambda body: [(_dumped(body) * 2, _JSON)],
    'not UTF-8': lambda body: [(b'{"\xff\xfe": 1}', _JSON), (b'\x00\xd8{}', _JSON),
                               (_dumped(body).replace(b'"', b'"\xc0\x80', 1), _JSON)],
    'UTF-16': lambda body: [(_dumped(body).decode().encode('utf-16'), _JSON)],
    'lone surrogate': _with(b'{"a": "\\ud800"}'),
    'NUL': _with(b'{"a\\u0000": "b\\u0000"}'),
    'no number': _with(b'NaN'),
    'infinite': _with(b'1e400'),
    'megabyte': lambda body: [(b'{"name": "' + b'x' * LARGE + b'"}', _JSON),
                              (_dumped(body) + b' ' * LARGE, _JSON)],
    'other content types': lambda body: [(_dumped(body), {'Content-Type': each}) for each in (
        'text/plain', 'application/xml', 'multipart/form-data; boundary=x', 'x' * 5000,
        'application/x-www-form-urlencoded', '\xe9/\xff')],
    'no JSON': lambda _body: [(b'<volume/>', _JSON), (b'\x80\x04K\x01.', _JSON), (b'&a=b', _JSON)],
}

# Documents of another shape: function(good body, action or None) -> bodies


def _within(action, inner):
    return inner if action is None else {action: inner}


def _repeated(body, action):
    """The same key twice, with a wrong value last."""
    dumped = orjson.dumps(body)
    key = orjson.dumps(next(iter(body)))
    return [dumped[:-1] + b',' + key + b':' + wrong + b'}' for wrong in (b'[]', b'-1', b'[{}]')]


WRONG_DOCUMENTS = {
    'list': lambda body, action: [b'[]', orjson.dumps([body]), _within(action, [1])],
    'scalar': lambda body, action: [b'1', b'-0', b'"x"', b'true', b'1.5'],
    'nothing': lambda _body, action: [b'null', b'', _within(action, 7), _within(action, None)],
    'empty': lambda _body, action: [b'{}'] if action is None else [b'{}', b'{"": {}}'],
    'repeated key': _repeated,
    'more keys': lambda body, action: [
        {**body, 'x' * 300: 1}, {**body, '__class__': {}, 'constructor': {'prototype': {}}},
        {str(number): number for number in range(5000)}],
}
REFUSED_SHAPES = frozenset({'scalar'})


# Values

_SQL = ["' OR 1=1--", "'; DROP TABLE volumes; --", '" OR ""="', '%', '_', '\\', "x' UNION SELECT 1--"]
_PATHS = ['../../etc/passwd', '/etc/passwd', '..\\..\\boot.ini', 'file:///etc/passwd', '.', '..', '/',
          '${jndi:ldap://x}', '{0.__class__}', '%(message)s', '%s%n', '$(id)', '`id`', 'a\nb',
          'a\r\nX: y']
_ODD = ['\u202e', '\u2028', '\U0001f4a9', '\ufeff', '\uffff', '٣', 'İ', 'ß', ' ', '\t', '\x1b[31m',
        '<script>alert(1)</script>']

VALUES = {
    'other types': [None, True, False, [], {}, [[]], {'a': {}}, '', 'x', 0, -1, 1.5, ['x'], [None]],
    'numbers': [2 ** 31, 2 ** 63, 2 ** 64 - 1, -2 ** 63, b'1e308', b'-1e308', b'-0', b'-0.0', b'1e30',
                b'1' + b'0' * 400, '9' * 400, '-0', '1e400', '0x10', '1_000', '٣', b'5e-324'],
    'long texts': ['x' * 256, 'x' * 65536, '\U0001f4a9' * 20000, 'x ' * 40000, 'é' * 255],
    'deep': [_deep for _deep in (b'[' * 900 + b']' * 900, b'{"a":' * 900 + b'1' + b'}' * 900,
                                 b'[' * 60 + b']' * 60)],
    'long lists': [orjson.dumps(each) for each in (
        [[], {}, 'x', 1, None, 1.5] * 4000, list(range(15000)), ['x'] * 20000,
        [[each] if each % 2 else {'a': each} for each in range(9000)])],
    'SQL': _SQL,
    'paths': _PATHS,
    'odd characters': _ODD,
}


def places(body, action):
    """Where a good body has values: tuples of keys; of an action below its name."""
    return [each for each in _places(body) if action is None or len(each) > 1]


def _places(body, above=()):
    if isinstance(body, dict):
        for key, value in body.items():
            yield (*above, key)
            yield from _places(value, (*above, key))
    elif isinstance(body, list):
        for number, value in enumerate(body):
            yield (*above, number)
            yield from _places(value, (*above, number))


def put(body, place, value):
    """The good body as JSON with a value in a place; bytes stand for themselves."""
    copy = orjson.loads(orjson.dumps(body))
    inner = copy
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = orjson.Fragment(value) if isinstance(value, bytes) else value
    return orjson.dumps(copy)


# Words of a path, as WSGI has them: decoded once, in Latin-1

WORDS = {
    'SQL': _SQL,
    'paths': ['../../etc/passwd', '..', '.', '%2e%2e', '..;', '', '/'],
    'unreadable': ['\x00', 'a\x00b', '\xff', '\xed\xa0\x80', '\xc0\x80', '\n', 'x\n'],
    'long': ['x' * 300, 'x' * 16000, 'x' * LARGE],
    'numbers': ['0', '-1', str(2 ** 63), '1e400', '9' * 5000],
    'odd characters': [each.encode().decode('latin-1') for each in _ODD],
}

# Queries

QUERY_VALUES = ['', '0', '1', '-1', 'true', 'none', 'all', 'active', 'name:asc', 'created_at',
                'id:desc,id', 'gt:2026-01-01', 'lt:,gt:', 'eq:0001-01-01T00:00:00+14:00',
                "{'a': 'b'}", '{1: 2}', '[' * 200, '9' * 30, '\u2028', '٣', '%', "'; --", '\uffff',
                '9' * 5000, '2147483648', 'x' * 5000, '-' * 500 + '1', '{' * 900, 'True and ' * 500]
QUERIES = {
    'malformed': ['limit=%ff', '%00=1', 'a=%00', 'x=%ed%a0%80',
                  '&'.join(f'a{n}=1' for n in range(300))],
    'overlong': ['name=' + 'x' * LARGE, 'name~=' + '%25' * 5000, 'x' * 100_000 + '=1'],
    'paging': [f'limit={each}&offset={each}' for each in (
        '-1', '9' * 30, '1e400', '0x1', 'NaN', '', '2147483647', '-0', '٣')],
    'sorting': ['sort=' + 'id,' * 5000, 'sort=password:asc', 'sort_key=id;drop&sort_dir=up', 'sort=,',
                'sort=:', 'sort_dir=', 'sort=__class__'],
    'repeated': ['limit=1&limit=x', 'all_tenants=1&all_tenants=maybe'],
}


def words_of(operation):
    """Words of the query that an operation may know."""
    module = sys.modules[operation.handler.__module__]
    found = getattr(module, 'FILTERS', ())
    found = found if isinstance(found, dict) else ()
    return sorted({*pagination.PARAMETERS, *found, *(f'{name}~' for name in found), 'force', 'cascade',
                   'usage', 'detail', 'host', 'vol_type_id', 'list_volume', 'is_public', 'zone',
                   'resource', 'binary', 'project_id', 'is_up'})


# Headers

HEADERS = {
    'refused': [{microversion.HEADER: each} for each in (
        'volume', 'volume 3', 'volume 3.999', 'volume 2.0', 'volume 4.0', 'volume -3.1', 'volume 3.1.1',
        'volume ' + '9' * 5000, 'volume 3.' + '0' * 5000, 'volume ٣.٠', 'volume 3.0\x00')],
    'odd': [{microversion.HEADER: 'x' * LARGE}, {microversion.HEADER: ','},
            {microversion.HEADER: 'compute 2.1, ' * 5000},
            {'If-Match': '"' * 10000}, {'Accept': '*/*;q=x'}, {'Accept': '\xff' * 500},
            {'X-OpenStack-Request-ID': 'x' * 100_000}, {'X-OpenStack-Request-ID': 'req-\xff'},
            {'Host': 'a b/../c'}, {'Host': ''},
            {'X-Forwarded-Proto': 'javascript', 'Forwarded': ';;=,'},
            {'Content-Encoding': 'gzip'}, {'Expect': '100-continue'}, {'Range': 'bytes=0-'},
            {'Cookie': 'a=' + 'b' * 10000}, {'Content-Length': '0'}],
}
