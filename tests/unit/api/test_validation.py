"""Bodies and their schemas."""
# SPDX-License-Identifier: Apache-2.0

import time

import pytest

from cinder_ext import exceptions
from cinder_ext.api import validation


@pytest.mark.parametrize('raw', [b'{', b'nonsense', b'\xff', b'{"a": NaN}', b'"\\ud800"',
                                 b'[' * 5000, b'{"a": "\\u0000"}', b'{"\\u0000": 1}',
                                 b'[["\\u0000"]]'])
def test_a_body_that_no_database_could_keep_is_refused(raw):
    with pytest.raises(exceptions.BadRequest):
        validation.parse(raw, 'application/json')


@pytest.mark.parametrize(('opening', 'closing'), [(b'[', b']'), (b'{"a":', b'}')])
def test_a_body_is_not_deeper_than_any_of_the_api(opening, closing):
    deepest = validation.MAX_DEPTH
    assert validation.parse(opening * deepest + b'0' + closing * deepest, 'application/json')
    for depth in (deepest + 1, 900):
        with pytest.raises(exceptions.BadRequest):
            validation.parse(opening * depth + b'0' + closing * depth, 'application/json')


def test_a_wide_body_is_not_deep():
    assert len(validation.parse(b'[' + b'[],' * 999 + b'[]]', 'application/json')) == 1000


@pytest.mark.parametrize(('value', 'is_good'), [
    ([], True), ([1, '1', [1], {'a': 1}, None], True), ([1, 1], False), ('aa', True),
    ([{'a': 1, 'b': 2}, {'b': 2, 'a': 1}], False), ([[], {}], True)])
def test_elements_that_must_differ(value, is_good):
    assert _accepts({'uniqueItems': True}, value) is is_good
    assert _accepts({'uniqueItems': False}, value)


def test_a_long_list_takes_no_long_time():
    began = time.monotonic()
    assert _accepts({'uniqueItems': True}, [[each] if each % 2 else {'a': each}
                                            for each in range(20_000)])
    assert time.monotonic() - began < 10


def test_a_backslash_before_u0000_is_text():
    assert validation.parse(b'"\\\\u0000"', 'application/json') == '\\u0000'


@pytest.mark.parametrize('media_type', ['application/json', 'application/json; charset=UTF-8', '',
                                        'application/vnd.openstack.volume+json', None])
def test_json_is_read_under_its_names(media_type):
    assert validation.parse(b'{"a": 1}', media_type) == {'a': 1}


@pytest.mark.parametrize('media_type', ['text/plain', 'application/xml', 'multipart/form-data'])
def test_other_media_types_are_refused(media_type):
    with pytest.raises(exceptions.BadRequest, match='Unsupported Content-Type'):
        validation.parse(b'{"a": 1}', media_type)


def test_no_body_is_none():
    assert validation.parse(b'', 'text/plain') is None


def _accepts(document, value):
    try:
        validation.Schema(document).check(value)
    except exceptions.InvalidInput:
        return False
    return True


@pytest.mark.parametrize('size', [1, '1', 1.0, '007', validation.MAX_INT])
def test_sizes(size):
    assert _accepts(validation.SIZE, size)


@pytest.mark.parametrize('size', [0, -1, '0', '000', '-1', 1.5, '1.5', True, None, '', ' 1', '٣',
                                  validation.MAX_INT + 1, 1e30, '9' * 12, [], {}, '1\n'])
def test_what_is_no_size(size):
    assert not _accepts(validation.SIZE, size)


@pytest.mark.parametrize('value', ['nothing', '', '5e6ab6a1-0a8b-4a7e-9a5e', 1, None])
def test_what_is_no_uuid(value):
    assert not _accepts(validation.UUID, value)


@pytest.mark.parametrize('value', ['', ' ', 'a' * 256, None, 1])
def test_what_is_no_name(value):
    assert not _accepts(validation.NAME, value)


@pytest.mark.parametrize('value', [{'': 'a'}, {'a' * 256: 'a'}, {'a\n': 'a'}, {'ä': 'a'},
                                   {'a': 'a' * 256}, {'a': 1},
                                   {'a': None}, [], 'a', None])
def test_what_is_no_metadata(value):
    assert not _accepts(validation.METADATA, value)


def test_an_error_names_the_place():
    schema = validation.Schema(validation.wrapped('volume', {'size': validation.SIZE}))
    with pytest.raises(exceptions.InvalidInput, match='volume/size'):
        schema.check({'volume': {'size': 'x'}})
