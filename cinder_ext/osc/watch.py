"""Draw a migration until it has ended: phase, percent, bytes, rate, time left."""
# SPDX-License-Identifier: Apache-2.0

import time

from rich import console as rich_console
from rich import progress

ENDED = ('finished', 'failed', 'refused', 'unneeded', 'cancelled')
"""Phases after which nothing happens any more."""
SETTLED = (*ENDED, 'leftovers')
"""Phases in which watching ends; ``leftovers``: the volume is at its destination, something at
the source waits to be removed."""
SUCCEEDED = ('finished', 'leftovers', 'unneeded')
"""Phases in which the volume has what was asked for."""


def watch(fetch, output=None, interval=0.5):
    """Fetch a record again and again and draw it, until it is settled.

    On a terminal this is a moving bar; elsewhere a line per phase.

    :param fetch: callable without arguments that returns the record
    :param output: rich console; standard error by default
    :param interval: seconds between two requests
    :returns: the last record
    """
    output = output or rich_console.Console(stderr=True)
    draw = _bar if output.is_terminal else _lines
    return draw(fetch, output, interval)


def _bar(fetch, output, interval):
    bar = progress.Progress(
        progress.TextColumn('{task.fields[phase]:<10}', style='bold'), progress.BarColumn(36),
        progress.TextColumn('{task.percentage:>3.0f} %'),
        progress.TextColumn('{task.fields[figures]}'), progress.TimeElapsedColumn(),
        console=output)
    with bar:
        task = bar.add_task('migration', total=100, phase='', figures='')
        for record in _records(fetch, interval):
            bar.update(task, completed=percent_done(record), phase=record['phase'],
                       figures=figures(record))
    return record


def _lines(fetch, output, interval):
    shown = None
    for record in _records(fetch, interval):
        if record['phase'] != shown:
            shown = record['phase']
            output.print(f'{shown:<10} {percent_done(record):>3} %  {figures(record)}',
                         highlight=False, soft_wrap=True)
    return record


def _records(fetch, interval):
    """The record now and after each interval; the last one is settled."""
    while True:
        record = fetch()
        yield record
        if record['phase'] in SETTLED:
            return
        time.sleep(interval)


def percent_done(record):
    """0 to 100; a volume at its destination is at 100."""
    if record['phase'] in SUCCEEDED:
        return 100
    return record['percent'] or 0


def figures(record):
    """Bytes and rate in words, and which link of the chain is being copied."""
    moved = record['bytes']
    words = [f"{size(moved['done'])} of {size(moved['total'])}"]
    if record['rate_bytes_per_second']:
        words.append(f"{size(record['rate_bytes_per_second'])}/s")
    current = _current_link(record)
    if current:
        words.append(current)
    if record['stalled']:
        words.append('stalled')
    return ', '.join(words)


def _current_link(record):
    links = record.get('links') or []
    if record['phase'] != 'copying' or not links:
        return ''
    left = [link for link in links if not link['copied_at']]
    if not left:
        return ''
    what = 'volume' if left[0]['snapshot_id'] is None else 'snapshot'
    return f'{what} {len(links) - len(left) + 1} of {len(links)}'


def size(count):
    """Bytes in words, in powers of 1024."""
    value = float(count or 0)
    for unit in ('B', 'KiB', 'MiB', 'GiB'):
        if value < 1024:
            return f'{value:.0f} {unit}' if unit == 'B' else f'{value:.1f} {unit}'
        value /= 1024
    return f'{value:.1f} TiB'
