"""What the manual shows of the phases is what the table of states says."""
# SPDX-License-Identifier: Apache-2.0

import xml.etree.ElementTree as xml

import pytest
import state_pages

from cinder_ext.states import group, migration, replication, volume
from cinder_ext.states.table import Machine, Row

SVG = '{http://www.w3.org/2000/svg}'
TABLES = [group.MACHINE, migration.MACHINE, volume.MACHINE, replication.MACHINE, replication.OPERATION]


def test_files_of_the_manual_are_as_generated():
    assert state_pages.main(['--check']) == 0, 'run python tools/state_pages.py'


@pytest.mark.parametrize('machine', TABLES, ids=lambda machine: machine.kind)
def test_drawing_has_every_state_and_every_way_between_two(machine):
    drawing = xml.fromstring(state_pages.svg(machine))
    words = [text.text for text in drawing.iter(f'{SVG}text')]
    ways = [row.event for row in machine for source in row.sources if source != row.target]
    assert sorted(words) == sorted([*machine.states, *ways])
    assert len(list(drawing.findall(f'{SVG}path'))) == len(ways)


def test_states_without_a_way_out_are_last():
    machine = Machine('thing', 'status', ('new',), (
        Row('fail', ('new', 'old'), 'failed'), Row('age', ('new',), 'old'),
        Row('stay', ('old',), 'old')))
    assert state_pages.order(machine) == ['new', 'old', 'failed']


def test_table_says_what_each_phase_means_and_lets_an_administrator_do():
    rows = state_pages.phases(migration).split('   * - ')[2:]
    assert sorted(row.split('``')[1] for row in rows) == migration.MACHINE.states
    found = {row.split('``')[1]: row.splitlines() for row in rows}
    paused = found['paused']
    assert paused[2] == '     - ``migrating``'
    assert paused[3] == '     - cannot be changed'
    assert paused[4] == '     - resume, cancel'
    assert found['finished'][3:6] == ['     - free', '     - -', '     - nothing']
    assert all(row[1].strip('- ') for row in found.values())
