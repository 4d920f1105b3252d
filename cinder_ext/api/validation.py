"""Bodies and their schemas: parsed once, validated by validators that are built once.

Formats that upstream's schemas use are checked too: ``uuid``, ``name`` (some
text that is not only spaces).
"""
# SPDX-License-Identifier: Apache-2.0

import functools

import jsonschema
import orjson
from oslo_utils import timeutils, uuidutils

from cinder_ext import exceptions
from cinder_ext.api import microversion

MEDIA_TYPES = ('application/json', 'application/vnd.openstack.volume+json')
MAX_INT = 0x7FFFFFFF
MAX_DEPTH = 32
"""Objects and lists in one another; no body of the API has more than ten, and recursion ends."""

_formats = jsonschema.FormatChecker(formats=())


@_formats.checks('uuid')
def _is_uuid(value):
    return not isinstance(value, str) or uuidutils.is_uuid_like(value)


@_formats.checks('name')
def _is_name(value):
    return not isinstance(value, str) or bool(value.strip())


@_formats.checks('date-time', raises=ValueError)
def _is_time(value):
    return not isinstance(value, str) or bool(timeutils.parse_isotime(value))


def _unique(_validator, wanted, value, _schema):
    """``uniqueItems`` in linear time: jsonschema compares each with each, minutes for a long list."""
    if wanted and isinstance(value, list):
        seen = {orjson.dumps(each, option=orjson.OPT_SORT_KEYS) for each in value}
        if len(seen) < len(value):
            yield jsonschema.ValidationError('it has elements that are equal')


_Validator = jsonschema.validators.extend(jsonschema.Draft202012Validator, {'uniqueItems': _unique})

TEXT = {'type': ['string', 'null'], 'maxLength': 255}
UUID = {'type': 'string', 'format': 'uuid'}
OPTIONAL_UUID = {'oneOf': [{'type': 'null'}, UUID]}
NAME = {'type': 'string', 'format': 'name', 'minLength': 1, 'maxLength': 255}
HOST = {'type': 'string', 'pattern': r'^[a-zA-Z0-9\-_.@:#/+\[\]]+\Z', 'minLength': 1,
        'maxLength': 255}
BOOLEAN = {'enum': [True, 'True', 'TRUE', 'true', '1', 'ON', 'On', 'on', 'YES', 'Yes', 'yes',
                    'y', 't', False, 'False', 'FALSE', 'false', '0', 'OFF', 'Off', 'off', 'NO',
                    'No', 'no', 'n', 'f', 1, 0]}
SIZE = {'oneOf': [{'type': 'integer', 'minimum': 1, 'maximum': MAX_INT},
                  {'type': 'string', 'pattern': r'^0*[1-9][0-9]{0,8}\Z', 'maxLength': 20}]}
METADATA = {'type': 'object', 'additionalProperties': False,
            'patternProperties': {
                r'^[a-zA-Z0-9\-_:. /]{1,255}\Z': {'type': 'string', 'maxLength': 255}}}
OPTIONAL_METADATA = {'oneOf': [{'type': 'null'}, METADATA]}


def words(allowed):
    """The schema of one of some words, written small, large or with a capital."""
    return {'enum': sorted({form for word in allowed
                            for form in (word, word.upper(), word.capitalize())})}


class Schema:
    """One JSON schema; its validator is built at the first use and kept."""

    def __init__(self, document):
        self.document = document

    @functools.cached_property
    def _validator(self):
        return _Validator(self.document, format_checker=_formats)

    def check(self, value):
        """
        :raises InvalidInput: names the place and the reason
        """
        error = jsonschema.exceptions.best_match(self._validator.iter_errors(value))
        if error is not None:
            where = '/'.join(str(step) for step in error.absolute_path) or 'the body'
            raise exceptions.InvalidInput(reason=f'for {where[:255]}: {error.message[:1000]}')


def schemas(entries):
    """A table of schemas by the version that introduced them.

    :param entries: version -> JSON schema of the whole body
    """
    return microversion.ByVersion({since: Schema(document) for since, document in entries.items()})


def wrapped(key, properties, required=(), others=False, beside=None, least=0):
    """The schema of a body ``{key: {...}}``.

    :param least: how many properties there must be
    :param others: whether words that are not named are let through
    :param beside: further properties of the outer object
    """
    inner = {'type': 'object', 'properties': properties, 'required': list(required),
             'additionalProperties': others, 'minProperties': least}
    return {'type': 'object', 'properties': {key: inner, **(beside or {})}, 'required': [key],
            'additionalProperties': False}


def parse(raw, content_type):
    """The body of a request as plain data; None when there is none.

    :raises BadRequest: not JSON, not UTF-8, nested deeper than MAX_DEPTH, or text with a NUL,
        which no database keeps
    """
    if not raw:
        return None
    if content_type and content_type.partition(';')[0].strip().lower() not in MEDIA_TYPES:
        raise exceptions.BadRequest('Unsupported Content-Type')
    try:
        parsed = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise exceptions.BadRequest('Malformed request body: cannot understand JSON')
    if raw.count(b'[') + raw.count(b'{') > MAX_DEPTH and _is_deep(parsed):
        raise exceptions.BadRequest(
            f'Malformed request body: more than {MAX_DEPTH} objects and lists in one another')
    if b'\\u0000' in raw and _has_nul(parsed):
        raise exceptions.BadRequest('Malformed request body: text with a NUL character')
    return parsed


def _is_deep(value):
    level = [value]
    for _depth in range(MAX_DEPTH):
        level = [inner for each in level if isinstance(each, dict | list)
                 for inner in (each.values() if isinstance(each, dict) else each)]
    return any(isinstance(each, dict | list) for each in level)


def _has_nul(value):
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str) and '\0' in value:
            return True
        if isinstance(value, dict):
            waiting.extend((*value.keys(), *value.values()))
        elif isinstance(value, list):
            waiting.extend(value)
    return False
