"""The rules of the house that a tool can check: style, floors, sizes, the mirror of the tests."""
# SPDX-License-Identifier: Apache-2.0

import ast
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]
PACKAGE = ROOT / 'cinder_ext'
MOST_LINES = 500
MOST_LINES_OF_A_FUNCTION = 50
ROOMS = ('cinder_ext', 'tests', 'tools')

NOT_OF_A_MODULE = {'test_house.py', 'test_one_door.py'}
"""Tests below tests/unit that hold a rule of the whole package."""
OF_A_PACKAGE = {'objects/test_objects.py'}
"""Tests of what a package does as one."""

CATCH_ALL = {'api/dispatch.py', 'periodic.py', 'volume/engine.py'}
"""Where whatever goes wrong is met: a request, a flow, a periodic job."""

SCHEMA_REVISIONS = PACKAGE / 'db' / 'migrations' / 'versions'


def _sources(*rooms):
    return sorted(path for room in rooms for path in (ROOT / room).rglob('*.py'))


def _name(path):
    return str(path.relative_to(ROOT))


def _run(*words):
    return subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True,
                          timeout=120, check=False)


def test_ruff_finds_nothing():
    done = _run('-m', 'ruff', 'check', '.')
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_import_goes_down():
    command = 'import sys; from importlinter.cli import lint_imports_command as run; sys.exit(run())'
    done = _run('-c', command)
    assert done.returncode == 0, done.stdout + done.stderr


def test_files_are_short_and_say_what_they_are():
    faults = []
    for path in _sources(*ROOMS):
        text = path.read_text()
        if path.name == '__init__.py' and path != PACKAGE / '__init__.py':
            faults += [f'{_name(path)} is not empty'] if text else []
            continue
        if len(text.splitlines()) > MOST_LINES:
            faults.append(f'{_name(path)} has more than {MOST_LINES} lines')
        if not ast.get_docstring(ast.parse(text)):
            faults.append(f'{_name(path)} has no docstring')
        if '# SPDX-License-Identifier: Apache-2.0' not in text:
            faults.append(f'{_name(path)} has no SPDX line')
    assert faults == []


def _functions(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node, f'{_name(path)}: {node.name}'


def test_functions_are_short():
    long = [name for path in _sources(*ROOMS) if SCHEMA_REVISIONS not in path.parents
            for node, name in _functions(path)
            if node.end_lineno - node.lineno >= MOST_LINES_OF_A_FUNCTION]
    assert long == []


def test_functions_import_nothing():
    late = [name for path in _sources('cinder_ext', 'tools') for node, name in _functions(path)
            if any(isinstance(inner, ast.Import | ast.ImportFrom) for inner in ast.walk(node))]
    assert late == []


def _catches_all(handler):
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(kind is None or isinstance(kind, ast.Name) and kind.id in ('Exception', 'BaseException')
               for kind in kinds)


def test_faults_are_caught_by_their_names():
    found = {str(path.relative_to(PACKAGE)) for path in _sources('cinder_ext')
             for node in ast.walk(ast.parse(path.read_text()))
             if isinstance(node, ast.ExceptHandler) and _catches_all(node)}
    assert found == CATCH_ALL


def test_unit_tests_mirror_the_package():
    unit = ROOT / 'tests' / 'unit'
    strays = []
    for path in sorted(unit.rglob('test_*.py')):
        relative = path.relative_to(unit)
        if str(relative) in NOT_OF_A_MODULE | OF_A_PACKAGE:
            continue
        module = PACKAGE / relative.parent / relative.name.removeprefix('test_')
        tool = ROOT / relative.parent / relative.name.removeprefix('test_')
        if not module.exists() and not (relative.parts[0] == 'tools' and tool.exists()):
            strays.append(str(relative))
    assert strays == []


def test_nothing_imports_eventlet():
    found = [_name(path) for path in _sources('cinder_ext', 'tools')
             for node in ast.walk(ast.parse(path.read_text()))
             if isinstance(node, ast.Import | ast.ImportFrom)
             and 'eventlet' in [getattr(node, 'module', None), *(item.name for item in node.names)]]
    assert found == []


def test_release_notes_can_be_read():
    done = _run('-c', "import sys; from reno.main import main; sys.exit(main(['lint', '.']))")
    assert done.returncode == 0, done.stdout + done.stderr
