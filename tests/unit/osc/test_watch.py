"""Drawing a migration, on a terminal and elsewhere."""
# SPDX-License-Identifier: Apache-2.0

import io

import pytest
from rich import console as rich_console

from cinder_ext.osc import watch


def _record(phase, percent, done, **more):
    return {'phase': phase, 'percent': percent, 'rate_bytes_per_second': None, 'stalled': False,
            'bytes': {'done': done, 'total': 2048}, 'links': [], **more}


def _drawn(records, terminal):
    output = io.StringIO()
    console = rich_console.Console(file=output, force_terminal=terminal, width=120)
    left = iter(records)
    last = watch.watch(lambda: next(left), console, interval=0)
    return last, output.getvalue()


def test_it_ends_with_the_first_settled_record():
    last, _ = _drawn([_record('copying', 10, 1), _record('failed', 10, 1), _record('x', 0, 0)], False)
    assert last['phase'] == 'failed'


def test_leftovers_end_the_watch_since_the_volume_has_moved():
    last, said = _drawn([_record('leftovers', 99, 2048)], False)
    assert last['phase'] == 'leftovers'
    assert '100 %' in said


def test_without_a_terminal_there_is_one_line_per_phase():
    _, said = _drawn([_record('copying', 0, 0), _record('copying', 50, 1024),
                      _record('finished', 100, 2048)], False)
    assert [line.split()[0] for line in said.splitlines()] == ['copying', 'finished']


def test_on_a_terminal_phase_and_percent_are_drawn():
    _, said = _drawn([_record('copying', 50, 1024), _record('finished', 100, 2048)], True)
    assert 'finished' in said
    assert '100 %' in said


def test_figures_name_bytes_rate_and_link():
    links = [{'snapshot_id': 'a', 'copied_at': 'x'}, {'snapshot_id': 'b', 'copied_at': None},
             {'snapshot_id': None, 'copied_at': None}]
    record = _record('copying', 50, 1024, rate_bytes_per_second=512, links=links, stalled=True)
    assert watch.figures(record) == '1.0 KiB of 2.0 KiB, 512 B/s, snapshot 2 of 3, stalled'


@pytest.mark.parametrize(('count', 'words'), [
    (None, '0 B'), (0, '0 B'), (1023, '1023 B'), (1536, '1.5 KiB'), (3 << 30, '3.0 GiB'),
    (5 << 40, '5.0 TiB')])
def test_size_is_in_powers_of_1024(count, words):
    assert watch.size(count) == words
