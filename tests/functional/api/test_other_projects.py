"""Nobody reaches another project's rows, by any operation of the route table.

Every request of ``api_cases.py`` is sent by a member of one project with another project's id in
place of one of its own, and once more with an id that nobody has: both are told the same.
"""
# SPDX-License-Identifier: Apache-2.0

import re
import sys
import urllib.parse

import api_cases
import api_stage
import pytest

from cinder_ext.api import routes

NOBODYS = api_cases.UNKNOWN
ROUTES = list(api_cases.every())
SHARED = frozenset({'type_alpha', 'type_beta', 'type_unused', 'type_secure',
                    'group_type', 'group_type_unused'})
"""What belongs to no project, and everybody may see."""
SPOKEN = frozenset({'key'})
"""What is no id: only together with a transfer's id it means something."""
FOREIGN = [(each, name) for each in ROUTES
           for name in sorted(each.case.names() - SHARED - SPOKEN)]
READS = [each for each in ROUTES if each.method == 'GET' and not each.writes
         and each.page not in routes.UNVERSIONED]


def _filters(route):
    """Words of the query that a list knows, and some that all lists know."""
    found = getattr(sys.modules[route.operation.handler.__module__], 'FILTERS', None)
    return sorted({'marker', 'project_id', 'tenant_id', *(found if isinstance(found, dict) else ())})


LISTS = [each for each in READS if not each.case.path]


def _label(found):
    route, name = found
    return f'{route.name} {name}'.replace(':', '')


@pytest.fixture(scope='module')
def stage():
    found = api_stage.Stage()
    found.start()
    yield found
    found.stop()


@pytest.fixture(autouse=True)
def _as_before(stage):
    yield
    if stage.read_digest() != stage.digest:
        stage.restore()


def _told(response, spoken):
    """Status and words of an answer, without what every answer has of its own."""
    text = response.text
    for each in spoken:
        text = text.replace(each, '(id)')
    return response.status_int, re.sub(r'\d{4}-\d\d-\d\dT[\d:.]+', '(time)', text)


def test_every_operation_has_a_case():
    assert {each.operation.name for each in ROUTES} == {
        operation.name for *_where, operation in routes.operations()}
    assert set(api_cases.CASES) | set(api_cases.MORE) == {each.name for each in ROUTES}


def test_every_variable_of_a_path_is_tried_or_belongs_to_nobody():
    tried = {(each.name, name) for each, name in FOREIGN}
    for each in ROUTES:
        for variable, word in zip(re.findall(r'\{(\w+)\}', each.page), each.case.path, strict=True):
            about = api_cases._NAME.findall(word)
            if about and about[0] not in SHARED:
                assert (each.name, about[0]) in tried
            else:
                assert variable in ('key', 'alias', 'type_id', 'group_type_id',
                                    'class_name', 'host_name', 'cluster_id')


def test_every_id_in_a_body_is_tried():
    tried = {name for each, name in FOREIGN if each.case.body is not None}
    words = {'volume', 'snapshot', 'group', 'cgroup', 'group_snapshot', 'cgsnapshot', 'attachment',
             'leaving', 'type_own', 'project', 'in_group'}
    assert words <= tried


@pytest.mark.parametrize('route', [pytest.param(each, id=f'{at} {each.name}'.replace(':', ''))
                                   for at, each in enumerate(ROUTES)])
def test_the_request_is_a_good_one_with_own_ids(stage, route):
    user = 'admin' if route.is_for_administrators else 'member'
    response = stage.send(**route.request(stage.other), user=user)
    assert response.status_int == route.status, response.text
    assert stage.too_long() == []


@pytest.mark.parametrize(('route', 'name'), [
    pytest.param(*each, id=f'{at} {_label(each)}') for at, each in enumerate(FOREIGN)])
def test_another_projects_id_is_as_one_that_nobody_has(stage, route, name):
    foreign = stage.first[name]
    spoken = {foreign, stage.other['key']}
    answers = [stage.send(**route.request({**stage.other, name: each}))
               for each in (foreign, NOBODYS)]
    assert answers[0].status_int in _expected(route, name), answers[0].text
    if answers[0].status_int < 300:
        assert answers[0].status_int == answers[1].status_int
    else:
        assert stage.read_digest() == stage.digest
        if name != 'transfer':
            assert _told(answers[0], {foreign}) == _told(answers[1], {NOBODYS})
    assert not stage.leaks(answers[0].text, spoken)


def _expected(route, name):
    if name in route.case.foreign:
        return (route.case.foreign[name][0],)
    return (403, 404) if route.is_for_administrators else (404,)


@pytest.mark.parametrize('version', ['3.0', '3.29', '3.33', 'latest'])
def test_nothing_of_another_project_is_in_a_list(stage, version):
    for route in READS:
        wanted = route.request(stage.other)
        for query in ('', 'all_tenants=1', 'all_tenants=true&with_count=1&limit=1000',
                      f'project_id={api_stage.FIRST}&all_tenants=1',
                      f'tenant_id={api_stage.FIRST}&usage=1'):
            response = stage.send(**{**wanted, 'query': query}, version=version)
            assert response.status_int < 500
            assert not stage.leaks(response.text, {api_stage.FIRST}), (route.name, query)


@pytest.mark.parametrize('route', LISTS, ids=lambda each: each.page)
def test_no_filter_finds_what_another_project_has(stage, route):
    for word in _filters(route):
        for value in _values(stage, word):
            query = urllib.parse.urlencode({word: value, 'all_tenants': '1'})
            response = stage.send('GET', f'/v3{route.page}', query=query)
            assert response.status_int < 500
            text = response.text.replace(value, '(value)')
            assert not stage.leaks(text, {value}), (word, value)
    assert stage.read_digest() == stage.digest


def _values(stage, word):
    if 'id' in word or word == 'marker':
        return sorted(stage.secrets)
    name = f'{api_stage.MARK} volume'
    return [name, api_stage.MARK, 'node@alpha#alpha', 'available', 'true', '1', repr({'kept': 'yes'}),
            'gt:2020-01-01']


def test_sums_and_quotas_are_the_projects_own(stage):
    before = [stage.send('GET', path).json for path in _SUMS]
    response = stage.send('POST', '/v3/volumes', project_id=api_stage.FIRST, body={
        'volume': {'size': 77, 'metadata': {'only': 'there'}}})
    assert response.status_int == 202
    assert [stage.send('GET', path).json for path in _SUMS] == before


_SUMS = ('/v3/volumes/summary', '/v3/limits', f'/v3/os-quota-sets/{api_stage.OTHER}')
