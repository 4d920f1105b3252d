"""Directive ``states``: the life of one status column, drawn from its table.

``.. states:: migration`` reads ``cinder_ext.states.migration``: a diagram with
an arc per transition (down the right side what goes forward, up the left side
what goes back), and a table of the states with their docstrings.
"""
# SPDX-License-Identifier: Apache-2.0

import ast
import html
import importlib
import pathlib

from docutils import nodes
from docutils.parsers.rst import Directive

STEP = 44
MIDDLE = 330
HALF = 75


def order(machine):
    """States in the order in which they can be reached."""
    found = list(machine.initial)
    for state in found:
        found += [row.target for row in machine
                  if state in row.sources and row.target not in found]
    return found + [state for state in machine.states if state not in found]


def _arc(start, end, event):
    """One transition as SVG: a curve from one box to another with its event's name."""
    side = 1 if end > start else -1
    x, y1, y2 = MIDDLE + side * HALF, start * STEP + 22, end * STEP + 22
    if start == end:
        return ''
    reach = x + side * (24 + 16 * abs(end - start))
    middle = (y1 + y2) / 2
    anchor = 'start' if side > 0 else 'end'
    label_x = (x + 3 * reach) / 4 + side * 4
    return (f'<path d="M{x},{y1} C{reach},{y1} {reach},{y2} {x},{y2}" fill="none" stroke="#888" '
            f'marker-end="url(#tip)"/><text x="{label_x}" y="{middle + 4}" font-size="10" '
            f'text-anchor="{anchor}" fill="#555">{html.escape(event)}</text>')


def svg(machine):
    """The diagram of a machine."""
    states = order(machine)
    place = {state: number for number, state in enumerate(states)}
    parts = [_arc(place[source], place[row.target], row.event)
             for row in machine for source in row.sources]
    for state, number in place.items():
        y = number * STEP + 8
        parts.append(f'<rect x="{MIDDLE - HALF}" y="{y}" width="{2 * HALF}" height="28" rx="6" '
                     f'fill="#eef" stroke="#558"/><text x="{MIDDLE}" y="{y + 18}" font-size="13" '
                     f'text-anchor="middle">{html.escape(state)}</text>')
    head = ('<defs><marker id="tip" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto">'
            '<path d="M0,0 L8,4 L0,8 z" fill="#888"/></marker></defs>')
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{2 * MIDDLE}" '
            f'height="{len(states) * STEP + 8}" font-family="sans-serif">{head}{"".join(parts)}</svg>')


def docstrings(module):
    """state -> the docstring below the constant that names it."""
    body = ast.parse(pathlib.Path(module.__file__).read_text()).body
    found = {}
    for constant, text in zip(body, body[1:], strict=False):
        if isinstance(constant, ast.Assign) and isinstance(constant.value, ast.Constant) \
                and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            found[constant.value.value] = text.value.value
    return found


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

    def run(self):
        module = importlib.import_module(f'cinder_ext.states.{self.arguments[0]}')
        machine, texts = module.MACHINE, docstrings(module)
        states = _table(('state', 'meaning'),
                        [(state, texts.get(state, '')) for state in order(machine)])
        rows = _table(('event', 'from', 'to'),
                      [(row.event, ', '.join(row.sources), row.target) for row in machine])
        return [nodes.raw('', svg(machine), format='html'), states, rows]


def setup(app):
    app.add_directive('states', States)
    return {'parallel_read_safe': True}
