"""What a migration costs: bytes written, space taken, time, beside qemu-img.

Run as root: ``python tests/benchmarks/migration_cost.py [--plain]``.  It makes
an XFS with reflinks in an image file, starts the embedded service with both
backends on it, and moves a 4 GiB volume with 1 GiB of random data and 0, 5 and
20 snapshots, between which 1 % of the data changed (``--runs`` runs, ten of 1
MiB by default, at places that are multiples of 4 KiB).  With ``--plain`` the backends are plain
directories: snapshots are sparse copies there.

Time is the record's, from the request to the last source file removed.
``qemu-img convert -n -W -m 16`` copies the same source file in the same run
just before; ``flushed`` is the same with ``-t none -T none``, since the former
leaves its copy in the page cache.  Page caches are dropped before every
measurement.  Each figure is the median of the repetitions, a ratio the median
of the ratios of one repetition each.
"""
# SPDX-License-Identifier: Apache-2.0

import argparse
import contextlib
import datetime
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / 'tools'))

import embedded  # noqa: E402
import rest  # noqa: E402

from cinder_ext.drivers import values  # noqa: E402
from cinder_ext.drivers.conformance import media  # noqa: E402

MIB, GIB = values.MIB, values.GIB
DATA = GIB
CHANGED = 10 * MIB


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--directory', help='where the files are made; needs 12 GiB')
    parser.add_argument('--plain', action='store_true', help='no XFS: snapshots are sparse copies')
    parser.add_argument('--repeat', type=int, default=3)
    parser.add_argument('--runs', type=int, default=10, help='runs of changed bytes per snapshot')
    parser.add_argument('--snapshots', type=int, nargs='*', default=[0, 5, 20])
    arguments = parser.parse_args()
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(dir=arguments.directory))
        place, other = f'{directory}/place', f'{directory}/other'
        for path in (place, other):
            os.mkdir(path)
        if not arguments.plain:
            place, other = (stack.enter_context(media.mounted_xfs(path, 16 * GIB, direct=True))
                            for path in (place, other))
        print(f'{os.cpu_count()} cores, {"plain directory" if arguments.plain else "XFS, reflink"}, '
              f'{arguments.repeat} repetitions', flush=True)
        rows = {}
        for _ in range(arguments.repeat):
            for verify in ('off', 'written'):
                with service(pathlib.Path(place), pathlib.Path(other), verify) as served:
                    for count in arguments.snapshots:
                        rows.setdefault((verify, count), []).append(measure(
                            served, count, arguments.runs))
        table(rows)


@contextlib.contextmanager
def service(place, other, verify):
    """The embedded service; beta is on a medium of its own, so that its space can be told."""
    state, beta = place / 'state', other / 'beta'
    beta.mkdir()
    served = embedded.EmbeddedService(state, options={
        'migration': {'verify': verify}, 'beta': {'file_path': beta}})
    served.beta = beta
    with served:
        served.create_types()
        yield served
    shutil.rmtree(state)
    shutil.rmtree(beta)


def measure(served, count, runs):
    """One migration: a dictionary of figures in bytes and seconds."""
    volume, unique = chain(served, count, runs)
    source = served.state_dir / 'alpha' / 'volumes' / f'volume-{volume}.raw'
    row = {'unique': unique, 'qemu': qemu(served, source),
           'flushed': qemu(served, source, '-T', 'none', '-t', 'none')}
    settle()
    before = taken(served.beta)
    served.api.retype(volume, 'beta')
    migration = served.api.get(f'/volume-migrations?volume_id={volume}')['volume_migrations'][0]
    # Seldom, since an answer takes the time of the process that copies.
    record = rest.wait_for(lambda: ended(served, migration['id']), 'the migration', 600, 1.0)
    assert record['phase'] == 'finished', record['error']
    row['time'] = seconds(record['started_at'], record['finished_at'])
    row['written'] = record['bytes']['written']
    row['space'] = taken(served.beta) - before
    clear(served, volume)
    return row


def ended(served, migration_id):
    record = served.api.migration(migration_id)
    return record if record['phase'] in rest.ENDED_PHASES else None


def chain(served, count, runs):
    """A volume with its snapshots on alpha.

    :returns: (id, bytes that differ from one link to the next, summed over the chain)
    """
    volume = served.api.create_volume(4, volume_type='alpha')['id']
    chance = random.Random(count)
    unique = DATA
    with open(served.state_dir / 'alpha' / 'volumes' / f'volume-{volume}.raw', 'r+b') as disk:
        for _ in range(DATA // (4 * MIB)):
            disk.write(os.urandom(4 * MIB))
        for _ in range(count):
            disk.flush()
            os.fsync(disk.fileno())
            served.api.create_snapshot(volume)
            changed = set()
            for _ in range(runs):
                page = chance.randrange((DATA - CHANGED) // 4096)
                disk.seek(page * 4096)
                disk.write(os.urandom(CHANGED // runs))
                changed.update(range(page, page + CHANGED // runs // 4096))
            unique += len(changed) * 4096
        os.fsync(disk.fileno())
    return volume, unique


def qemu(served, source, *options):
    target = served.state_dir / 'target.raw'
    with open(target, 'wb') as made:
        made.truncate(4 * GIB)
    settle()
    began = time.monotonic()
    subprocess.run(['qemu-img', 'convert', '-n', '-W', '-m', '16', *options, '-f', 'raw', '-O',
                    'raw', str(source), str(target)], check=True)
    took = time.monotonic() - began
    target.unlink()
    return took


def settle():
    """Nothing left to write, nothing cached."""
    os.sync()
    pathlib.Path('/proc/sys/vm/drop_caches').write_text('3')
    time.sleep(1)


def taken(directory):
    """Bytes in use: of the file system where blocks are shared, else of the files."""
    os.sync()
    found = os.statvfs(directory)
    if os.path.ismount(directory.parent):
        return (found.f_blocks - found.f_bfree) * found.f_frsize
    return sum(path.stat().st_blocks * 512 for path in directory.rglob('*.raw'))


def seconds(start, end):
    return (when(end) - when(start)).total_seconds()


def when(text):
    return datetime.datetime.fromisoformat(text)


def clear(served, volume):
    for snapshot in served.api.get(f'/snapshots?volume_id={volume}')['snapshots']:
        served.api.delete_snapshot(snapshot['id'])
    served.api.delete_volume(volume)


def median(rows, name, other=None):
    return statistics.median(row[name] / row[other] if other else row[name] for row in rows)


def table(rows):
    print(f'{"verify":8} {"snaps":>5} {"unique":>8} {"written":>8} {"ratio":>6} {"space":>8} '
          f'{"ratio":>6} {"time":>7} {"/none":>6} {"qemu":>6} {"/qemu":>6} {"flushed":>7} {"/fl.":>6}')
    for (verify, count), found in rows.items():
        none = rows.get((verify, 0), found)
        against_none = statistics.median(
            row['time'] / base['time'] for row, base in zip(found, none, strict=True))
        print(f'{verify:8} {count:5} {median(found, "unique") / MIB:6.0f} M '
              f'{median(found, "written") / MIB:6.0f} M {median(found, "written", "unique"):6.3f} '
              f'{median(found, "space") / MIB:6.0f} M {median(found, "space", "unique"):6.3f} '
              f'{median(found, "time"):5.2f} s {against_none:6.2f} '
              f'{median(found, "qemu"):4.2f} s {median(found, "time", "qemu"):6.2f} '
              f'{median(found, "flushed"):5.2f} s {median(found, "time", "flushed"):6.2f}')


if __name__ == '__main__':
    main()
