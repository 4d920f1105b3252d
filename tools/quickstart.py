"""Start the embedded service and move a volume with its snapshots, before one's eyes.

Makes a state directory, starts cinder-ext-all on it, builds a volume with a
file system and three snapshots on backend alpha, retypes it to backend beta
with its snapshots, and proves that nothing has changed but the place.
"""
# SPDX-License-Identifier: Apache-2.0

import argparse
import configparser
import contextlib
import os
import pathlib
import secrets
import shutil
import signal
import sys
import time

import embedded
import ext4
import rest
import rich.console
import rich.table
import showcase

from cinder_ext.osc import watch

DEFAULT_PORT = 8776
MIB = 1 << 20
PID_FILE = 'service.pid'


class Unable(Exception):
    """It cannot be done as asked; the text says why and what to do."""


def parse(argv):
    parser = argparse.ArgumentParser(
        prog='tools/quickstart.sh', description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--keep', action='store_true',
                        help='leave the service running and its state where it is')
    parser.add_argument('--port', type=int,
                        help=f'port of the API (default {DEFAULT_PORT}, or another one if it is taken)')
    parser.add_argument('--state-dir', default='state', metavar='DIRECTORY',
                        help='where everything is kept (default: ./state); removed at the end if '
                             'this run has made it, unless --keep is given')
    parser.add_argument('--size', type=int, default=1, metavar='GIB', help='of the volume (default 1)')
    parser.add_argument('--files', type=int, default=400, help='in the volume (default 400)')
    parser.add_argument('--rate', type=int, default=64, metavar='MIB',
                        help='throttle of copies in MiB per second, so that there is something to '
                             'see (default 64; 0 for none)')
    options = parser.parse_args(argv)
    if options.size < 1 or options.files < 40 or options.rate < 0:
        parser.error('--size is at least 1, --files at least 40, --rate at least 0')
    return options


class Home:
    """The state directory and the service on it: found, or made by this run.

    A service that an earlier run has kept is used and left running.
    """

    def __init__(self, options, say):
        self._options = options
        self._say = say
        self.path = pathlib.Path(options.state_dir).absolute()
        self.existed = self.path.exists() and any(self.path.iterdir())
        self.service = embedded.EmbeddedService(self.path, self._port(), options={
            name: {'file_copy_bytes_per_second': options.rate * MIB} for name in ('alpha', 'beta')})
        self.was_running = False

    def _port(self):
        kept = self._kept_port()
        if kept is not None and self._options.port in (None, kept):
            return kept
        wanted = self._options.port or DEFAULT_PORT
        if embedded.Ports.is_free(wanted):
            return wanted
        if self._options.port:
            raise Unable(f'Port {wanted} is taken; choose another one with --port.')
        chosen = embedded.Ports.any_free()
        self._say(f'port {wanted} is taken, so it is {chosen}')
        return chosen

    def _kept_port(self):
        """The port in the configuration that is there; None when there is none."""
        config = self.path / 'cinder-ext.conf'
        if not config.exists():
            if self.existed:
                raise Unable(f'{self.path} is not empty and not a state directory of this program; '
                             'choose another one with --state-dir.')
            return None
        parser = configparser.ConfigParser(interpolation=None, strict=False)
        parser.read(config)
        return parser.getint('api', 'port', fallback=DEFAULT_PORT)

    def running_pid(self):
        """Process id of the service that an earlier run has left on this directory, or None."""
        with contextlib.suppress(OSError, ValueError):
            pid = int((self.path / PID_FILE).read_text())
            command = pathlib.Path(f'/proc/{pid}/cmdline').read_bytes().decode()
            if str(self.service.config_file) in command:
                return pid
        return None

    def open(self):
        """Bring up the service, unless it is up."""
        pid = self.running_pid()
        if pid and self.service.answers():
            self.was_running = True
            self._say(f'the service of an earlier run is used (process {pid})')
            return
        if pid:
            raise Unable(f'A service runs on {self.path} (process {pid}) on another port; '
                         f'end it first: kill {pid}')
        if not embedded.Ports.is_free(self.service.port):
            raise Unable(f'Port {self.service.port} of {self.service.config_file} is taken; '
                         'choose another one with --port.')
        if self._options.port or not self.service.config_file.exists():
            self.service.write_files()
        seconds = self.service.start()
        (self.path / PID_FILE).write_text(f'{self.service.pid}\n')
        self._say(f'cinder-ext-all: first answer after {seconds:.1f} s, on {self.service.api.root}')

    def close(self, keep):
        """Leave what was there before, and with ``keep`` what this run has made too."""
        if self.was_running:
            return
        if keep:
            self.service.process = None
            return
        if self.existed:
            self.service.stop()
            (self.path / PID_FILE).unlink(missing_ok=True)
        else:
            self.service.kill()
            shutil.rmtree(self.path, ignore_errors=True)


def journey(show, options, console, say):
    """Build, move, compare.

    :returns: True when everything is as it was
    """
    service = show.service
    service.create_types()
    show.build(f'demo-{secrets.token_hex(2)}')
    before = show.look()
    there_before = show.files('beta')
    if options.rate:
        say(f'copies are throttled to {options.rate} MiB/s in cinder-ext.conf, so that there is '
            'something to see')
    console.rule('retype to beta, on-demand-include-snapshots')
    began = time.monotonic()
    migration_id = show.retype('beta')
    record = watch.watch(lambda: service.api.migration(migration_id), console, interval=0.2)
    if record['phase'] != 'finished':
        console.print(f"[red]{record['phase']}[/]: {record['error']} {record['remedy'] or ''}")
        return False
    console.print(f"{watch.size(record['bytes']['written'])} written in "
                  f"{time.monotonic() - began:.1f} s, verify {record['verify']}, "
                  f"method {record['method']}", highlight=False)
    made = show.files('beta') - there_before
    console.rule('the proof')
    after = show.look()
    proven = [prove_contents(show, before, after, console), prove_file_systems(show, console),
              prove_place(show, console)]
    tell_space(show, made, console)
    return all(proven)


def prove_contents(show, before, after, console):
    """Table of SHA-256 sums and records before and after; True when all are equal."""
    table = rich.table.Table('content', 'SHA-256 before', 'SHA-256 after', 'equal', 'record')
    fine = True
    for name, digest in before.digests.items():
        same = digest == after.digests[name]
        same_record = before.records[name] == after.records[name]
        fine = fine and same and same_record
        table.add_row(name, digest[:12], after.digests[name][:12], _word(same, 'yes', 'NO'),
                      _word(same_record, 'unchanged', 'CHANGED'))
    console.print(table)
    console.print(f"record: {', '.join(showcase.KEPT)}", highlight=False)
    return fine


def prove_file_systems(show, console):
    """Check every file system and compare each file with what was once written."""
    fine = True
    for snapshot in show.snapshots:
        said, names, found = show.read_back(snapshot)
        same = found == show.expected[snapshot['name']] and names == sorted(found)
        fine = fine and same
        console.print(f"{snapshot['name']}: e2fsck -fn: {said}", highlight=False)
        console.print(f'    debugfs lists {len(names)} files ({names[0]} ... {names[-1]}): ' +
                      _word(same, 'content of every one as written', 'NOT AS WRITTEN'),
                      highlight=False)
    with show.attached(show.volume['id']) as device:
        console.print(f"{show.volume['name']}: e2fsck -fn: {ext4.check(device)}", highlight=False)
    return fine


def prove_place(show, console):
    now = show.api.volume(show.volume['id'])
    host, volume_type = now['os-vol-host-attr:host'], now['volume_type']
    moved = volume_type == 'beta' and host.endswith('@beta#beta')
    console.print(f"{now['name']} is at {host}, type {volume_type}, migration_status "
                  f"{now['migration_status']}: " + _word(moved, 'moved', 'NOT MOVED'), highlight=False)
    return moved


def tell_space(show, made, console):
    unique, apart = showcase.used_bytes(made)
    full = show.full_copies_bytes()
    console.print(f'space used on beta: {watch.size(unique)}, beside {watch.size(full)} for full '
                  f'copies of the volume and {len(show.snapshots)} snapshots', highlight=False)
    if show.shares_blocks('beta'):
        console.print(f'    snapshots share blocks here; as sparse copies they would take '
                      f'{watch.size(apart)}', highlight=False)
    else:
        console.print('    this file system cannot share blocks between files (XFS and btrfs can): '
                      'each snapshot is a sparse copy', highlight=False)


def _word(fine, yes, no):
    return f'[green]{yes}[/]' if fine else f'[bold red]{no}[/]'


def tell_how(home, show, console):
    """Lines for the reader to try; they work against the service that is running."""
    client = pathlib.Path(sys.prefix) / 'bin' / 'openstack'
    name = show.volume['name']
    console.rule('try it yourself')
    console.print(f"""\
export OS_CLIENT_CONFIG_FILE={home.service.clouds_file} OS_CLOUD=cinder-ext
alias openstack={client}

openstack volume list --long
openstack volume create --type alpha --size 1 mine
openstack volume snapshot create --volume mine mine-1
openstack volume migration create --type beta --include-snapshots --wait mine
openstack volume migration create --type alpha --include-snapshots {name}
openstack volume migration show --watch {name}
openstack volume migration list --long
openstack volume show {name}

curl -s {home.service.api.endpoint}/volume-migrations -H 'OpenStack-API-Version: volume 3.74'
""", highlight=False, soft_wrap=True, markup=False)


def tell_state(home, console):
    pid = home.running_pid()
    console.print(f'The service goes on running (process {pid}); its logs are in {home.path}/logs.\n'
                  f'Stop it:      kill {pid}\n'
                  f'Start it:     {home.service.binary} --config-file {home.service.config_file}\n'
                  f'Remove it:    rm -r {home.path}', highlight=False, soft_wrap=True)


def remove(show, console):
    """Take what a broken run has made out of a state that was there before."""
    try:
        show.remove()
    except (rest.ApiError, rest.TimedOut) as fault:
        console.print(f'{show.name} could not be removed: {fault}', highlight=False, markup=False)


def run(options, console):
    """:returns: exit code: 0 when the proof holds"""
    def say(line):
        console.print(f'[green]*[/] {line}', highlight=False)

    home = Home(options, say)
    scratch = home.path / f'scratch-{os.getpid()}'
    show = showcase.Showcase(home.service, scratch, say, options.size, options.files)
    finished = False
    try:
        home.open()
        (scratch / 'files').mkdir(parents=True)
        proven = journey(show, options, console, say)
        finished = True
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        shutil.rmtree(scratch, ignore_errors=True)
        if not finished and home.existed and home.service.answers():
            remove(show, console)
        stays = finished and (options.keep or home.was_running)
        if stays:
            tell_how(home, show, console)
            tell_state(home, console)
        home.close(stays)
    if not stays:
        console.print('The service is stopped. With --keep it stays, and the openstack client can '
                      'be tried on it.', highlight=False)
    console.print('[bold green]RESULT: the volume and its snapshots moved, nothing else changed.[/]'
                  if proven else '[bold red]RESULT: not proven, see above.[/]', soft_wrap=True)
    return 0 if proven else 1


def _interrupt(_number, _frame):
    raise KeyboardInterrupt


def main(argv=None):
    options = parse(argv)
    console = rich.console.Console()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, _interrupt)
    try:
        return run(options, console)
    except KeyboardInterrupt:
        console.print('Interrupted; what this run has made is removed.')
        return 130
    except (Unable, embedded.NotStarted, rest.ApiError, rest.TimedOut, ext4.Broken) as fault:
        rich.console.Console(stderr=True).print(str(fault), style='red', highlight=False, markup=False)
        return 1


if __name__ == '__main__':
    sys.exit(main())
