"""Guards of the declarations: what every operation and every table must have."""
# SPDX-License-Identifier: Apache-2.0

import pathlib
import re

import jsonschema
import pytest

from cinder_ext.api import microversion, policy, routes
from cinder_ext.api.validation import Schema

GABBITS = pathlib.Path(__file__).parents[2] / 'functional' / 'api' / 'gabbits'
OPERATIONS = list(routes.operations())
IDS = [entry[3].name for entry in OPERATIONS]
RULES = {rule.name for rule in policy.list_rules()}
REQUEST = re.compile(r'^\s+(GET|POST|PUT|PATCH|DELETE): "?(/.*)', re.MULTILINE)
ACTION = re.compile(r'^ +POST: .*/action\n(?:.*\n)??(?:.*\n)?? +data: \{([\w-]+):', re.MULTILINE)
"""The action in a request to ``.../action`` whose data stand on one line."""
WITHOUT_BODY = {'os-force_delete', 'os-complete'}
"""Actions under whose name nothing is read."""


def _requests():
    """(method, path of routes.py) of every request in the YAML tests, and the actions in them."""
    found = set()
    for page in GABBITS.glob('*.yaml'):
        text = page.read_text()
        found |= {(None, None, action) for action in re.findall(r'\{(os-[\w-]+|revert):', text)}
        found |= {(None, None, action) for action in re.findall(r'data: \{([\w-]+):', text)}
        found |= {(None, None, action) for action in re.findall(r'^ {6}(os-[\w-]+):', text, re.M)}
        found |= {(None, None, action) for action in ACTION.findall(text)}
        for method, url in REQUEST.findall(text):
            path = re.sub(r"\$\w+(\['[^']*'\])?(\.\$\w+\['[^']*'\])?", 'abc', url.partition('?')[0])
            match = routes.match(path)
            if match is not None:
                found.add((method, id(match.methods), None))
    return found


TESTED = _requests()


@pytest.mark.parametrize(('method', 'path', 'action', 'operation'), OPERATIONS, ids=IDS)
def test_every_operation_is_declared_whole(method, path, action, operation):
    assert operation.policy in RULES or (operation.policy is None and path in routes.OPEN)
    assert operation.documentation, 'the handler has no docstring'
    assert operation.since in microversion.VERSIONS
    if method in ('POST', 'PUT') and action not in WITHOUT_BODY:
        assert operation.body is not None, 'no schema'


@pytest.mark.parametrize(('method', 'path', 'action', 'operation'), OPERATIONS, ids=IDS)
def test_every_operation_has_a_test_request(method, path, action, operation):
    if action is not None:
        assert (None, None, action) in TESTED
    else:
        assert (method, id({**routes.UNVERSIONED, **routes.ROUTES}[path]), None) in TESTED


@pytest.mark.parametrize(('method', 'path', 'action', 'operation'), OPERATIONS, ids=IDS)
def test_every_schema_is_one(method, path, action, operation):
    for schema in operation.body.entries.values() if operation.body else ():
        assert isinstance(schema, Schema)
        jsonschema.Draft202012Validator.check_schema(schema.document)


def test_names_of_operations_are_unique():
    found = {id(entry[3]): entry[3].name for entry in OPERATIONS}
    assert len(set(found.values())) == len(found)


def test_every_rule_is_declared_once():
    names = [rule.name for rule in policy.list_rules()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize('path', ['/v3/volumes', '/v3/0123456789abcdef0123456789abcdef/volumes',
                                  '/v3/01234567-89ab-cdef-0123-456789abcdef/volumes'])
def test_a_path_is_found_with_and_without_a_project_id(path):
    assert routes.match(path).methods is routes.ROUTES['/volumes']


@pytest.mark.parametrize('path', ['/v3/demo/volumes', '/v3//volumes', '/v3/volumes/', '/v2/volumes',
                                  'volumes', '/v3/volumes/a/b', '/v3/abc', '/v3/abc/', '//', ''' '''])
def test_other_paths_are_not(path):
    assert routes.match(path) is None


@pytest.mark.parametrize('prefix', ['/v3', '/v3/abc'])
def test_a_word_goes_before_a_variable(prefix):
    assert routes.match(f'{prefix}/volumes/detail').path == {}
    assert routes.match(f'{prefix}/volumes/details').path == {'volume_id': 'details'}


@pytest.mark.parametrize('path', ['/v3/volumes\n', '/v3/abc\n/volumes', '/v3/ABC/volumes'])
def test_what_is_no_project_id_is_not_found_at_any_path(path):
    assert routes.match(path) is None


@pytest.mark.parametrize('word', ['a.b', 'a b', '\xe4', '%2F', '{x}', 'a\tb'])
def test_a_variable_is_anything_but_a_slash(word):
    found = routes.match(f'/v3/abc/volumes/{word}/metadata/{word}')
    assert (found.path, found.project_id) == ({'volume_id': word, 'key': word}, 'abc')


def test_every_path_of_the_page_is_found_as_itself():
    for page, methods in routes.ROUTES.items():
        path = re.sub(r'{\w+}', 'x', page)
        for prefix, project_id in (('/v3', None), ('/v3/0a-', '0a-')):
            found = routes.match(prefix + path)
            assert (found.methods, found.project_id) == (methods, project_id)
            assert set(found.path) == set(re.findall(r'{(\w+)}', page))
