"""Only db/transition.py writes a status column: shown from the source of the package."""
# SPDX-License-Identifier: Apache-2.0

import ast
import pathlib
import re

import pytest

import cinder_ext

ROOT = pathlib.Path(cinder_ext.__file__).parent
THE_DOOR = ROOT / 'db' / 'transition.py'
COLUMNS = {'status', 'attach_status', 'migration_status', 'replication_status', 'phase', 'state',
           'result'}
WRITERS = {'begin', 'connect', 'create', 'execute', 'insert', 'merge', 'move', 'reserve', 'start',
           'try_move', 'update', 'values'}
SQL = re.compile(rf"\b(update\b.*\bset|insert\s+into)\b.*\b({'|'.join(COLUMNS)})\b",
                 re.IGNORECASE | re.DOTALL)


class _Checker(ast.NodeVisitor):
    """Collects (line, reason) for everything that would write a status column."""

    def __init__(self):
        self.found = []
        self.db_modules = set()
        self.models = set()

    def visit_ImportFrom(self, node):
        names = {alias.asname or alias.name for alias in node.names}
        if node.module == 'cinder_ext.db':
            self.db_modules |= names
        if node.module == 'cinder_ext.db.models':
            self.models |= names

    def visit_Assign(self, node):
        for target in node.targets:
            self._target(target)
        if _is_model(node.value, self.models):
            self.models |= {each.id for each in node.targets if isinstance(each, ast.Name)}
        self.generic_visit(node)

    def visit_AugAssign(self, node):
        self._target(node.target)
        self.generic_visit(node)

    def visit_AnnAssign(self, node):
        self._target(node.target)
        self.generic_visit(node)

    def _target(self, target):
        for each in ast.walk(target):
            if (isinstance(each, ast.Attribute) and isinstance(each.ctx, ast.Store)
                    and each.attr in COLUMNS):
                self._add(each, f'assigns .{each.attr}')

    def visit_Constant(self, node):
        if isinstance(node.value, str) and SQL.search(node.value):
            self._add(node, 'SQL that writes a status')

    def visit_Expr(self, node):
        if not isinstance(node.value, ast.Constant):
            self.generic_visit(node)

    def visit_Call(self, node):
        name = _called(node)
        if name == 'setattr' and len(node.args) > 1 and _text(node.args[1]) in COLUMNS:
            self._add(node, 'setattr of a status')
        if _is_model(node.func, self.models) or name == 'values':
            self._keywords(node, name)
        if name in WRITERS and self._writes_rows(node):
            self._dictionaries(node, name)
        self.generic_visit(node)

    def _writes_rows(self, node):
        """Not a dictionary's own update(): a function of the db package, or a statement."""
        if not isinstance(node.func, ast.Attribute):
            return False
        receiver = node.func.value
        if isinstance(receiver, ast.Name):
            return receiver.id in self.db_modules or _called(node) in ('values', 'execute')
        return True

    def _keywords(self, node, name):
        for keyword in node.keywords:
            if keyword.arg in COLUMNS:
                self._add(node, f'{name}({keyword.arg}=...)')
            if keyword.arg is None:
                self._dictionary(keyword.value, name)

    def _dictionaries(self, node, name):
        # 'also' is the door's own parameter for further status columns.
        for argument in [*node.args, *(each.value for each in node.keywords if each.arg != 'also')]:
            for each in argument.elts if isinstance(argument, ast.List | ast.Tuple) else [argument]:
                self._dictionary(each, name)

    def _dictionary(self, node, name):
        keys = [_text(key) for key in node.keys] if isinstance(node, ast.Dict) else []
        if (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'dict'):
            keys = [each.arg for each in node.keywords]
        for key in COLUMNS.intersection(keys):
            self._add(node, f"{name}({{'{key}': ...}})")

    def _add(self, node, reason):
        self.found.append((node.lineno, reason))


def _called(node):
    return getattr(node.func, 'attr', None) or getattr(node.func, 'id', None)


def _text(node):
    """A literal's text, or the column of ``Model.column``."""
    if isinstance(node, ast.Constant):
        return node.value
    return node.attr if isinstance(node, ast.Attribute) else None


def _is_model(node, aliases):
    if isinstance(node, ast.Attribute):
        return isinstance(node.value, ast.Name) and node.value.id == 'models' and node.attr[0].isupper()
    return isinstance(node, ast.Name) and node.id in aliases


def violations(source):
    checker = _Checker()
    checker.visit(ast.parse(source))
    return checker.found


def _sources():
    # The client plugin cannot reach the database (import-linter holds that).
    return [path for path in sorted(ROOT.rglob('*.py'))
            if path != THE_DOOR and 'osc' not in path.relative_to(ROOT).parts]


def _words(source):
    # gabbi takes every test whose id has a colon for one of its own.
    return ' '.join(re.findall(r'\w+', source))


def test_only_the_door_writes_a_status_column():
    found = [f'{path.relative_to(ROOT)}:{line}: {reason}'
             for path in _sources() for line, reason in violations(path.read_text())]
    assert found == []


def test_the_whole_package_is_looked_at():
    assert {'models.py', 'volumes.py', 'volume_migrations.py'} <= {path.name for path in _sources()}


def test_the_door_itself_would_be_found():
    assert violations(THE_DOOR.read_text())


@pytest.mark.parametrize('source', [
    'sa.update(V).where(x).values(status="error")',
    'sa.update(V).values({"attach_status": "detached"})',
    'sa.update(V).values({**values, "phase": "failed"})',
    'sa.update(V).values({V.status: "error"})',
    'sa.update(V).values(**{"status": "error"})',
    'statement.values(dict(status="error"))',
    'volume.status = "error"',
    'volume.a, volume.migration_status = 1, None',
    'volume.status: str = "error"',
    'volume.phase += "x"',
    'setattr(volume, "status", "error")',
    'models.Volume(id=1, status="creating")',
    'models.VolumeMigration(**{"phase": "scheduling"})',
    '_Row = models.Snapshot\n_Row(status="creating")',
    'from cinder_ext.db.models import Volume\nVolume(status="x")',
    'from cinder_ext.db import volumes\nvolumes.update(c, i, {"status": "error"})',
    'from cinder_ext.db import volumes as v\nv.begin(c, i, values={"migration_status": None})',
    'from cinder_ext.db import transition\ntransition.move(c, m, i, {"attach_status": "x"})',
    'from cinder_ext.db import transition\ntransition.insert(c, m, {"status": "available"})',
    'session.query(V).filter(x).update({"status": "error"})',
    'context.session.execute(statement, {"status": "error"})',
    'context.session.execute(statement, [{"status": "error"}])',
    'connection.exec_driver_sql("UPDATE volumes SET size = 1, status = 2")',
    'x = "insert into volumes (id, status) values (1, 2)"',
], ids=_words)
def test_a_write_beside_the_door_is_found(source):
    assert violations(source)


@pytest.mark.parametrize('source', [
    'view = {"status": volume.status}',
    'view.update({"status": volume.status})',
    'if volume.status == "error": pass',
    'status = volume.status',
    'status = orm.mapped_column(sa.String(32))',
    'sa.select(models.Volume).where(models.Volume.status == "x")',
    'sa.update(V).values(size=1)',
    'from cinder_ext.db import transition\ntransition.insert(c, m, {}, also={"attach_status": "x"})',
    'from cinder_ext.db import volumes\nvolumes.update(c, i, {"size": 1})',
    '"""Docs: UPDATE x SET status."""',
], ids=_words)
def test_what_only_reads_or_goes_through_the_door_is_not_found(source):
    assert violations(source) == []
