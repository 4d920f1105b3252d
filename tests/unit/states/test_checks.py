"""The table of the checks: the manual lists it, and a verdict is of one of its names."""
# SPDX-License-Identifier: Apache-2.0

import ast
import pathlib
import re

import pytest

from cinder_ext.states import checks

ROOT = pathlib.Path(__file__).parents[3]
PAGE = ROOT / 'doc' / 'source' / 'admin' / 'preflight.rst'


def test_the_manual_lists_every_check_with_meaning_and_remedy():
    listed = re.findall(r'^   \* - ``(.+)``\n     - (.+)\n     - (.+)$', PAGE.read_text(), re.M)
    assert listed == [(kind.name, kind.meaning, kind.remedy) for kind in checks.ALL]


def test_every_check_has_a_name_of_its_own_a_meaning_and_a_remedy():
    assert len(checks.BY_NAME) == len(checks.ALL)
    assert all(kind.meaning.endswith('.') and kind.remedy.endswith('.') for kind in checks.ALL)


def test_every_name_is_used_by_the_code():
    words = {node.value for path in (ROOT / 'cinder_ext').rglob('*.py')
             if path != ROOT / 'cinder_ext' / 'states' / 'checks.py'
             for node in ast.walk(ast.parse(path.read_text()))
             if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    assert set(checks.BY_NAME) <= words


def test_a_name_that_the_table_does_not_have_is_a_fault_of_the_program():
    with pytest.raises(KeyError):
        checks.verdict('colour', True, '')
    with pytest.raises(KeyError):
        checks.unknown('colour', '')


def test_remedy_only_where_it_failed():
    assert checks.verdict('quota', True, 'd').remedy == ''
    assert checks.verdict('quota', False, 'd').remedy == checks.BY_NAME['quota'].remedy
    assert checks.verdict('quota', False, 'd', 'other').remedy == 'other'
    assert checks.unknown('quota', 'd').remedy == ''
