"""Filters of lists, from the query."""
# SPDX-License-Identifier: Apache-2.0

import datetime
import json
import types

import pytest
from oslo_config import cfg

from cinder_ext import context, exceptions
from cinder_ext.api import filter_names, filters, operation
from cinder_ext.db.listing import Condition

TABLE = {
    'name': filters.text('name'),
    'word': filters.nullable('word'),
    'flag': filters.flag('flag'),
    'size': filters.number('size'),
    'host': filters.text('host', admin=True),
    'at': filters.time('at', since='3.60'),
    'metadata': filters.pairs(),
    'lax': filters.lax_flag('lax', until='3.2'),
    'alias': filters.text('name', word='name'),
    'zone': filters.text('zone', via=('volume_id', 'model')),
}
CONF = types.SimpleNamespace(resource_query_filters_file=None)


def _read(query, version='3.74', is_admin=False, resource=None, conf=CONF):
    caller = context.RequestContext(is_admin=is_admin, overwrite=False)
    call = operation.Call(conf, None, None, caller, version, query=query)
    return filters.conditions(call, TABLE, resource)


@pytest.mark.parametrize(('query', 'expected'), [
    ({'name': 'a'}, Condition('name', 'eq', 'a')),
    ({'name~': 'a'}, Condition('name', 'like', 'a')),
    ({'word': 'None'}, Condition('word', 'eq', None)),
    ({'word': 'a'}, Condition('word', 'eq', 'a')),
    ({'flag': 'on'}, Condition('flag', 'eq', True)),
    ({'size': '7'}, Condition('size', 'eq', 7)),
    ({'at': '2026-01-02'}, Condition('at', 'eq', datetime.datetime(2026, 1, 2))),
    ({'at': 'lte:2026-01-02T03:00:00+03:00'},
     Condition('at', 'lte', datetime.datetime(2026, 1, 2))),
    ({'metadata': "{'a': 'b'}"}, Condition('metadata', 'has', ('a', 'b'))),
])
def test_a_filter_becomes_a_condition(query, expected):
    assert _read(query) == [expected]


def test_two_times_are_two_conditions():
    assert [found.comparison for found in _read({'at': 'gt:2026-01-01,lt:2026-01-02'})] == [
        'gt', 'lt']


@pytest.mark.parametrize('query', [
    {'flag': 'perhaps'}, {'size': '-1'}, {'size': '1e3'}, {'size': '9' * 30}, {'at': 'now'},
    {'at': 'gt:'}, {'at': ''}, {'at': 'eq:0001-01-01T00:00:00+14:00'}, {'metadata': '[]'},
    {'metadata': '{1: 2}'}, {'metadata': '(' * 5000}, {'metadata': '__import__("os")'},
    {'metadata': "{['a']: 'b'}"}])
def test_values_that_cannot_be_are_refused(query):
    with pytest.raises(exceptions.InvalidInput):
        _read(query)


@pytest.mark.parametrize('query', [{'colour': 'red'}, {'host': 'h'}, {'flag~': 'on'}, {'~': 'a'}])
def test_unknown_filters_are_refused_from_3_31_and_ignored_before(query):
    assert _read(query, '3.30') == []
    with pytest.raises(exceptions.InvalidInput):
        _read(query, '3.31')


def test_parts_are_matched_from_3_34():
    assert _read({'name~': 'a'}, '3.30') == []
    with pytest.raises(exceptions.InvalidInput):
        _read({'name~': 'a'}, '3.33')


def test_a_filter_is_unknown_below_its_version():
    assert _read({'at': '2026-01-01'}, '3.30') == []


def test_administrators_have_more():
    assert _read({'host': 'h'}, is_admin=True) == [Condition('host', 'eq', 'h')]


def test_parameters_of_pages_are_no_filters():
    assert _read({'limit': '1', 'marker': 'x', 'sort': 'name', 'all_tenants': '1'}) == []


@pytest.mark.parametrize(('version', 'word', 'expected'), [
    ('3.1', 'perhaps', True), ('3.1', 'False', False), ('3.2', 'no', False)])
def test_below_its_version_every_word_but_false_was_true(version, word, expected):
    assert _read({'lax': word}, version) == [Condition('lax', 'eq', expected)]


def test_a_filter_may_be_about_another_table():
    assert _read({'zone': 'a'}) == [Condition('zone', 'eq', 'a', via=('volume_id', 'model'))]


@pytest.mark.parametrize('query', [{'name': 'a'}, {'alias': 'a'}])
def test_projects_have_the_filters_of_the_page(query):
    assert _read(query, resource='group') == [Condition('name', 'eq', 'a')]


@pytest.mark.parametrize('query', [{'word': 'a'}, {'name~': 'a'}, {'alias~': 'a'}])
def test_projects_have_no_others(query):
    with pytest.raises(exceptions.InvalidInput):
        _read(query, resource='group')
    assert _read(query, '3.30', resource='group') == []
    assert _read(query, is_admin=True, resource='group') != []


def test_an_operator_chooses_the_filters_of_projects(tmp_path):
    file = tmp_path / 'filters.json'
    file.write_text(json.dumps({'group': ['name~', 'word']}))
    conf = types.SimpleNamespace(resource_query_filters_file=str(file))
    assert _read({'name~': 'a', 'name': 'b', 'word': 'c'}, resource='group', conf=conf) == [
        Condition('name', 'like', 'a'), Condition('name', 'eq', 'b'), Condition('word', 'eq', 'c')]
    with pytest.raises(exceptions.InvalidInput):
        _read({'name': 'a'}, resource='volume', conf=conf)


@pytest.mark.parametrize('content', ['', '[]', '{"group": "name"}', '{"group": [1]}'])
def test_a_file_of_filters_that_is_none_is_refused(tmp_path, content):
    file = tmp_path / 'filters.json'
    file.write_text(content)
    conf = types.SimpleNamespace(resource_query_filters_file=str(file))
    with pytest.raises(cfg.ConfigFileValueError):
        filter_names.configured(conf)
