"""Writes what the manual shows of the phases of a migration, from the table of its states.

``python tools/state_pages.py`` writes the files, ``--check`` says which of them are not what it would
write.  The drawing has an arc per transition: down the right side what goes forward, up the left
side what goes back.
"""
# SPDX-License-Identifier: Apache-2.0

import argparse
import ast
import html
import pathlib
import sys

from cinder_ext.states import migration

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGES = ROOT / 'doc' / 'source' / 'admin'
STEP = 44
HALF = 75
ASKED = {'cancel': 'cancel', 'cancel-unplaced': 'cancel', 'pause': 'pause', 'resume': 'resume',
         'resume-unplanned': 'resume', 'acknowledge': 'acknowledge'}
"""Events that an administrator causes, and the word of the action."""


def order(machine):
    """States in the order in which they can be reached; those without a way out are last."""
    found = list(machine.initial)
    for state in found:
        found += [row.target for row in machine
                  if state in row.sources and row.target not in found]
    found += [state for state in machine.states if state not in found]
    going = {state for row in machine for state in row.sources if state != row.target}
    return sorted(found, key=lambda state: state not in going)


def svg(machine, states=None):
    """The diagram of a machine.

    :param states: from top to bottom; by default in the order of ``order``
    """
    states = states or order(machine)
    place = {state: number for number, state in enumerate(states)}
    middle = HALF + 80 + 12 * len(states)
    parts = [_arc(middle, place[source], place[row.target], row.event)
             for row in machine for source in row.sources if source != row.target]
    for state, number in place.items():
        y = number * STEP + 8
        parts.append(f'<rect x="{middle - HALF}" y="{y}" width="{2 * HALF}" height="28" rx="6" '
                     f'fill="#eef" stroke="#558"/>\n<text x="{middle}" y="{y + 18}" font-size="13" '
                     f'text-anchor="middle">{html.escape(state)}</text>')
    head = ('<defs><marker id="tip" markerWidth="8" markerHeight="8" refX="7" refY="4" '
            'orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="#888"/></marker></defs>')
    return '\n'.join((
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{2 * middle}" '
        f'height="{len(states) * STEP + 8}" font-family="sans-serif">', head, *parts, '</svg>', ''))


def _arc(middle, start, end, event):
    """One transition: a curve from one box to another with its event's name."""
    side = 1 if end > start else -1
    x, y1, y2 = middle + side * HALF, start * STEP + 22, end * STEP + 22
    reach = x + side * (24 + 16 * abs(end - start))
    anchor = 'start' if side > 0 else 'end'
    label_x, label_y = (x + 3 * reach) / 4 + side * 4, (y1 + y2) / 2 + 4
    return (f'<path d="M{x},{y1} C{reach},{y1} {reach},{y2} {x},{y2}" fill="none" stroke="#888" '
            f'marker-end="url(#tip)"/>\n<text x="{label_x}" y="{label_y}" font-size="10" '
            f'text-anchor="{anchor}" fill="#555">{html.escape(event)}</text>')


def docstrings(module):
    """state -> the docstring below the constant that names it."""
    body = ast.parse(pathlib.Path(module.__file__).read_text()).body
    found = {}
    for constant, text in zip(body, body[1:], strict=False):
        if isinstance(constant, ast.Assign) and isinstance(constant.value, ast.Constant) \
                and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            found[constant.value.value] = ' '.join(text.value.value.split())
    return found


def phases(module):
    """The table of a migration's phases as reStructuredText."""
    texts, machine = docstrings(module), module.MACHINE
    lines = ['.. Written by tools/state_pages.py from cinder_ext/states/migration.py.', '',
             '.. list-table::', '   :header-rows: 1', '   :widths: 12 40 12 14 10 30', '',
             *_row('Phase', 'Meaning', '``migration_status``', 'Volume', 'Actions', 'What follows')]
    for state in texts:
        rows = [row for row in machine if state in row.sources and row.target != state]
        asked = dict.fromkeys(ASKED[row.event] for row in rows if row.event in ASKED)
        lines += _row(
            f'``{state}``', texts[state], f'``{module.SHOWN[state] or "null"}``',
            'cannot be changed' if state in module.ACTIVE else 'free',
            ', '.join(asked) or '-',
            '; '.join(f'{row.event}: ``{row.target}``' for row in rows) or 'nothing')
    return '\n'.join([*lines, ''])


def _row(first, *others):
    return [f'   * - {first}', *(f'     - {other}' for other in others)]


def pages():
    """path -> text of every file that is written; phases as the source has them."""
    return {PAGES / 'migration-phases.svg': svg(migration.MACHINE, list(docstrings(migration))),
            PAGES / 'migration-phases.inc': phases(migration)}


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--check', action='store_true', help='write nothing; fail when a file is old')
    check = parser.parse_args(arguments).check
    old = [path for path, text in pages().items()
           if not path.exists() or path.read_text(encoding='utf-8') != text]
    for path in old:
        print(f'{"old" if check else "written"}: {path.relative_to(ROOT)}')
        if not check:
            path.write_text(pages()[path], encoding='utf-8')
    return 1 if check and old else 0


if __name__ == '__main__':
    sys.exit(main())
