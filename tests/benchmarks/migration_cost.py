"""What a migration costs: bytes written, space, time and processor time, beside qemu-img.

Run as root: ``python tests/benchmarks/migration_cost.py [--plain]``.  It makes
an XFS with reflinks in an image file for either backend, whose blocks are
written before (``--sparse-images``: when they are first used), starts the
embedded service on them, and moves a 4 GiB volume with 1 GiB of random data and 0, 5
and 20 snapshots, between which 1 % of the data changed (``--runs`` runs, ten
of 1 MiB by default, at places that are multiples of 4 KiB).  It takes about
one minute a repetition on a quiet machine and 16 GiB of space.

With ``--plain`` the backends are plain directories: snapshots are sparse
copies there, each with all the data, so that the sizes are an eighth of that
and one repetition is enough to see the bytes: two minutes, 8 GiB.

With ``--destination-format qcow2`` the chain becomes layers on an ext4, which
shares nothing; qemu-img writes a qcow2 file there.  Processor time is that of
the service alone, without its storage daemon's.

Time is the record's, from the request to the last source file removed.
``qemu`` is ``qemu-img convert -n -W -m 16 -t none`` of a flat file with the same
unique bytes, from the one medium to the other, just before in the same run.
Page caches are dropped before every measurement.  Processor time is that of
the whole service, user and system, per GiB of unique bytes; ``peak`` is the
most that it had resident.  Each figure is the median of the repetitions, a
ratio the median of the ratios of one repetition each.
"""
# SPDX-License-Identifier: Apache-2.0

import argparse
import contextlib
import datetime
import os
import pathlib
import random
import resource
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
MEDIA = {'raw': media.mounted_xfs, 'qcow2': media.mounted_ext4}
"""What a destination of a format is on."""


class Sizes:
    """How much there is: ``data`` bytes in the volume, ``changed`` from one snapshot to the next."""

    def __init__(self, is_plain, runs):
        self.volume_gib = 1 if is_plain else 4
        self.data = GIB // 8 if is_plain else GIB
        self.runs = runs
        self.run = self.data // 1024 * 10 // runs // 4096 * 4096
        self.changed = self.run * runs


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--directory', help='where the files are made; needs 16 GiB')
    parser.add_argument('--plain', action='store_true', help='no XFS: snapshots are sparse copies')
    parser.add_argument('--repeat', type=int, help='5 by default, 1 with --plain')
    parser.add_argument('--runs', type=int, default=10, help='runs of changed bytes per snapshot')
    parser.add_argument('--snapshots', type=int, nargs='*', default=[0, 5, 20])
    parser.add_argument('--verify', nargs='*', default=['off', 'written'])
    parser.add_argument('--destination-format', choices=['raw', 'qcow2'], default='raw',
                        help='of beta: raw files on XFS, or qcow2 layers on ext4')
    parser.add_argument('--sparse-images', action='store_true',
                        help='each flush is a commit of the file system below, too')
    arguments = parser.parse_args()
    sizes, repeat = Sizes(arguments.plain, arguments.runs), arguments.repeat
    repeat = repeat or (1 if arguments.plain else 5)
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(dir=arguments.directory))
        place, other = f'{directory}/place', f'{directory}/other'
        for path in (place, other):
            os.mkdir(path)
        if not arguments.plain:
            kinds = (media.mounted_xfs, MEDIA[arguments.destination_format])
            place, other = (stack.enter_context(mounted(path, 8 * GIB, direct=True,
                                                          sparse=arguments.sparse_images))
                            for mounted, path in zip(kinds, (place, other), strict=True))
        print(f'{os.cpu_count()} cores, {"plain directory" if arguments.plain else "XFS, reflink"}'
              f'{", sparse images" if arguments.sparse_images else ""}, '
              f'to {arguments.destination_format}, {repeat} repetitions, {sizes.data // MIB} MiB, '
              f'{sizes.changed / MIB:.2f} MiB changed per snapshot', flush=True)
        data = pathlib.Path(place) / 'data'
        noise(data, sizes.data)
        rows = {}
        for _ in range(repeat):
            for verify in arguments.verify:
                with service(pathlib.Path(place), pathlib.Path(other), verify,
                             arguments.destination_format) as served:
                    for count in arguments.snapshots:
                        rows.setdefault((verify, count), []).append(
                            measure(served, data, count, sizes))
        table(rows)


@contextlib.contextmanager
def service(place, other, verify, kind):
    """The embedded service; beta is on a medium of its own, so that its space can be told."""
    state, beta = place / 'state', other / 'beta'
    beta.mkdir()
    served = embedded.EmbeddedService(state, options={
        'migration': {'verify': verify}, 'beta': {'file_path': beta, 'file_format': kind}})
    served.beta, served.beta_format = beta, kind
    with served:
        served.create_types()
        yield served
    shutil.rmtree(state)
    shutil.rmtree(beta)


def measure(served, data, count, sizes):
    """One migration: a dictionary of figures in bytes and seconds."""
    volume, unique = chain(served, data, count, sizes)
    row = {'unique': unique, **qemu(served, data, unique)}
    settle()
    before, used = taken(served.beta), processor(served.pid)
    pathlib.Path(f'/proc/{served.pid}/clear_refs').write_text('5')
    served.api.retype(volume, 'beta')
    migration = served.api.get(f'/volume-migrations?volume_id={volume}')['volume_migrations'][0]
    # Seldom, since an answer takes the time of the process that copies.
    record = rest.wait_for(lambda: ended(served, migration['id']), 'the migration', 600, 1.0)
    assert record['phase'] == 'finished', record['error']
    for name, now, then in zip(('user', 'system'), processor(served.pid), used, strict=True):
        row[name] = (now - then) / (unique / GIB)
    row['peak'] = peak(served.pid)
    row['time'] = seconds(record['started_at'], record['finished_at'])
    row['written'] = record['bytes']['written']
    row['space'] = taken(served.beta) - before
    clear(served, volume)
    return row


def processor(pid):
    """(user, system) seconds that a process has taken."""
    fields = pathlib.Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    return tuple(int(field) / os.sysconf('SC_CLK_TCK') for field in fields[11:13])


def peak(pid):
    """Bytes that a process had resident at most since its figure was cleared."""
    for line in pathlib.Path(f'/proc/{pid}/status').read_text().splitlines():
        if line.startswith('VmHWM:'):
            return int(line.split()[1]) * 1024
    raise ValueError('the kernel does not tell')


def ended(served, migration_id):
    record = served.api.migration(migration_id)
    return record if record['phase'] in rest.ENDED_PHASES else None


def noise(path, length):
    """Append random bytes to a file and put them on the medium."""
    with open(path, 'ab') as made:
        while length:
            made.write(os.urandom(min(length, 4 * MIB)))
            length -= min(length, 4 * MIB)
        made.flush()
        os.fsync(made.fileno())


def like(data, path):
    """A file with the same content; it shares the blocks where that can be done."""
    subprocess.run(['cp', '--reflink=auto', '--sparse=auto', str(data), str(path)], check=True)


def chain(served, data, count, sizes):
    """A volume with its snapshots on alpha.

    :returns: (id, bytes that differ from one link to the next, summed over the chain)
    """
    volume = served.api.create_volume(sizes.volume_gib, volume_type='alpha')['id']
    path = served.state_dir / 'alpha' / 'volumes' / f'volume-{volume}.raw'
    like(data, path)
    os.truncate(path, sizes.volume_gib * GIB)
    chance = random.Random(count)
    unique = sizes.data
    with open(path, 'r+b') as disk:
        for _ in range(count):
            disk.flush()
            os.fsync(disk.fileno())
            served.api.create_snapshot(volume)
            changed = set()
            for _ in range(sizes.runs):
                page = chance.randrange((sizes.data - sizes.changed) // 4096)
                disk.seek(page * 4096)
                disk.write(os.urandom(sizes.run))
                changed.update(range(page, page + sizes.run // 4096))
            unique += len(changed) * 4096
        disk.flush()
        os.fsync(disk.fileno())
    return volume, unique


def qemu(served, data, unique):
    """What qemu-img takes for so many bytes: a dictionary of figures."""
    kind = served.beta_format
    source, target = served.state_dir / 'flat.raw', served.beta / f'flat.{kind}'
    like(data, source)
    noise(source, unique - source.stat().st_size)
    subprocess.run(['qemu-img', 'create', '-q', '-f', kind, str(target), str(unique)], check=True)
    settle()
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(['qemu-img', 'convert', '-n', '-W', '-m', '16', '-t', 'none', '-f', 'raw',
                    '-O', kind, str(source), str(target)], check=True)
    took, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    source.unlink()
    target.unlink()
    return {'qemu': took,
            'qemu user': (after.ru_utime - before.ru_utime) / (unique / GIB),
            'qemu system': (after.ru_stime - before.ru_stime) / (unique / GIB)}


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
    return sum(path.stat().st_blocks * 512 for path in directory.rglob('*')
               if path.suffix in ('.raw', '.qcow2'))


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
          f'{"ratio":>6} {"time":>7} {"/none":>6} {"qemu":>6} {"/qemu":>6} {"user":>6} {"system":>6} '
          f'{"q.user":>6} {"q.sys":>6} {"peak":>6}')
    for (verify, count), found in rows.items():
        against_none = statistics.median(none_ratios(rows, verify, count))
        print(f'{verify:8} {count:5} {median(found, "unique") / MIB:6.0f} M '
              f'{median(found, "written") / MIB:6.0f} M {median(found, "written", "unique"):6.3f} '
              f'{median(found, "space") / MIB:6.0f} M {median(found, "space", "unique"):6.3f} '
              f'{median(found, "time"):5.2f} s {against_none:6.2f} '
              f'{median(found, "qemu"):4.2f} s {median(found, "time", "qemu"):6.2f} '
              f'{median(found, "user"):6.2f} {median(found, "system"):6.2f} '
              f'{median(found, "qemu user"):6.2f} {median(found, "qemu system"):6.2f} '
              f'{max(row["peak"] for row in found) / MIB:4.0f} M')
    print('user, system: seconds per GiB; every repetition:')
    for (verify, count), found in rows.items():
        print(f'  {verify}, {count}: time', *(f'{row["time"]:.2f}' for row in found), '  /none',
              *(f'{ratio:.2f}' for ratio in none_ratios(rows, verify, count)), '  /qemu',
              *(f'{row["time"] / row["qemu"]:.2f}' for row in found))


def none_ratios(rows, verify, count):
    """The time beside that without snapshots, for each repetition."""
    found = rows[verify, count]
    return [row['time'] / none['time']
            for row, none in zip(found, rows.get((verify, 0), found), strict=True)]


if __name__ == '__main__':
    main()
