"""Directive ``states``: the life of one status column, drawn from its table.

``.. states:: volume`` reads ``cinder_ext.states.volume``: the drawing of ``tools/state_pages.py``,
and tables of the states with their docstrings and of what leads from one to another.
``.. states:: replication OPERATION`` draws another machine of that module than ``MACHINE``.
"""
# SPDX-License-Identifier: Apache-2.0

import importlib
import pathlib
import sys

from docutils import nodes
from docutils.parsers.rst import Directive

sys.path.insert(0, str(pathlib.Path(__file__).parents[3] / 'tools'))
state_pages = importlib.import_module('state_pages')


def _table(header, rows):
    table = nodes.table()
    group = nodes.tgroup(cols=len(header))
    table += group
    group += [nodes.colspec(colwidth=30) for _ in header]
    head, body = nodes.thead(), nodes.tbody()
    group += [head, body]
    for part, lines in ((head, [header]), (body, rows)):
        for line in lines:
            row = nodes.row()
            for cell in line:
                row += nodes.entry('', nodes.paragraph(text=cell))
            part += row
    return table


class States(Directive):
    """See the module's docstring."""

    required_arguments = 1
    optional_arguments = 1

    def run(self):
        name, *other = self.arguments
        module = importlib.import_module(f'cinder_ext.states.{name}')
        machine = getattr(module, *other or ['MACHINE'])
        texts = state_pages.docstrings(module)
        states = _table(('state', 'meaning'), [(state, texts.get(state, ''))
                                               for state in state_pages.order(machine)])
        rows = _table(('event', 'from', 'to'),
                      [(row.event, ', '.join(row.sources), row.target) for row in machine])
        return [nodes.raw('', state_pages.svg(machine), format='html'), states, rows]


def setup(app):
    app.add_directive('states', States)
    return {'parallel_read_safe': True}
