"""Pages of lists, from the query."""
# SPDX-License-Identifier: Apache-2.0

import types

import pytest
import webob

from cinder_ext import exceptions
from cinder_ext.api import pagination

CONF = types.SimpleNamespace(api=types.SimpleNamespace(max_limit=100, public_endpoint=None))


def _page(**query):
    call = types.SimpleNamespace(conf=CONF, query=query)
    return pagination.page(call, {'id', 'name', 'size', 'created_at'},
                           aliases={'title': 'name', 'heading': 'title'})


def test_the_newest_come_first():
    assert _page().keys == (('created_at', 'desc'), ('id', 'desc'))


@pytest.mark.parametrize(('query', 'keys'), [
    ({'sort': 'name'}, (('name', 'desc'), ('created_at', 'desc'), ('id', 'desc'))),
    ({'sort': 'name:asc,size:desc'},
     (('name', 'asc'), ('size', 'desc'), ('created_at', 'asc'), ('id', 'asc'))),
    ({'sort': 'title:asc'}, (('name', 'asc'), ('created_at', 'asc'), ('id', 'asc'))),
    ({'sort': 'heading:asc'}, (('title', 'asc'), ('created_at', 'asc'), ('id', 'asc'))),
    ({'sort': 'id:asc'}, (('id', 'asc'),)),
    ({'sort': 'name:asc,name:desc'},
     (('name', 'asc'), ('created_at', 'asc'), ('id', 'asc'))),
    ({'sort_key': 'size', 'sort_dir': 'asc'},
     (('size', 'asc'), ('created_at', 'asc'), ('id', 'asc'))),
    ({'sort_dir': 'asc'}, (('created_at', 'asc'), ('id', 'asc'))),
])
def test_sort_keys_end_with_the_unique_one(query, keys):
    assert _page(**query).keys == keys


@pytest.mark.parametrize('query', [
    {'sort': ''}, {'sort': 'secret'}, {'sort': 'name:'*3}, {'sort': 'name:up'}, {'sort_key': 'x'},
    {'sort': 'name', 'sort_dir': 'asc'}, {'limit': '-1'}, {'limit': ''}, {'limit': '1.0'},
    {'limit': '٣'}, {'offset': str(1 << 31)}, {'offset': '9' * 5000}])
def test_what_is_no_page(query):
    with pytest.raises(exceptions.InvalidPage):
        _page(**query)


@pytest.mark.parametrize(('limit', 'effective'), [(None, 100), ('0', 0), ('7', 7), ('1000', 100)])
def test_a_limit_is_bounded(limit, effective):
    assert _page(**({} if limit is None else {'limit': limit})).limit == effective


def _links(url, public=None):
    conf = types.SimpleNamespace(api=types.SimpleNamespace(public_endpoint=public))
    return pagination.Links(conf, webob.Request.blank(url), None)


def test_the_next_page_is_the_same_request_with_a_marker():
    links = _links('/v3/volumes?limit=2&marker=a&offset=4&name=x%20y')
    assert links.next('b') == 'http://localhost/v3/volumes?limit=2&name=x+y&marker=b'


def test_links_start_with_the_public_endpoint():
    assert _links('/v3/volumes', 'https://cloud/volume/').next('b') == (
        'https://cloud/volume/v3/volumes?marker=b')


@pytest.mark.parametrize(('word', 'expected'), [('1', True), ('True', True), ('on', True),
                                                ('0', False), ('no', False), (' f ', False)])
def test_booleans_on_the_wire(word, expected):
    assert pagination.truth('x', word) is expected


def test_what_is_no_boolean():
    with pytest.raises(exceptions.InvalidInput):
        pagination.truth('x', 'perhaps')
