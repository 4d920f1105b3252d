"""How fast the API answers: lists, single volumes, creates; processor time and memory.

    python tests/benchmarks/api_speed.py [--embedded] [--deployed] [--repeat 20]

Runs embedded on SQLite, and as gunicorn with two workers, scheduler and volume
daemons on MariaDB and RabbitMQ (private instances of tools/services.sh, which
do not wait for the disk).  Nobody is asked who they are.  Volumes of the lists
are put into the database, each with two metadata and an attachment.  Wall
times are medians over one connection; processor time is that of the processes
that answer (/proc), per request; requests per second are with eight
connections of ``ab`` (Debian: apache2-utils) where it is installed, else of
this process, which takes more of the two cores that it shares.  One connection
watches the parallel creates, by a list of those that are not there yet.
"""
# SPDX-License-Identifier: Apache-2.0

import argparse
import concurrent.futures
import contextlib
import datetime
import json
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import tempfile
import threading
import time
import uuid

import deployed
import sqlalchemy as sa

PROJECT = '0123456789abcdef0123456789abcdef'
LISTED = 1000
LONG = 10000
OTHER_PROJECT = 'f' * 32
VERSION = 'volume 3.71'


class Connection:
    """HTTP/1.1 over one socket, with as little work as possible."""

    def __init__(self, port):
        self._port = port
        self._socket = socket.create_connection(('127.0.0.1', port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def request(self, method, path, body=None, project=PROJECT):
        """(status, bytes of the body)"""
        payload = b'' if body is None else json.dumps(body).encode()
        head = (f'{method} /v3/{project}{path} HTTP/1.1\r\nHost: 127.0.0.1\r\n'
                f'OpenStack-API-Version: {VERSION}\r\nX-Auth-Token: admin:{project}\r\n'
                f'Content-Type: application/json\r\nContent-Length: {len(payload)}\r\n\r\n')
        try:
            self._socket.sendall(head.encode() + payload)
            return self._answer()
        except ConnectionError:
            # A worker may close a connection that it has kept long enough.
            self.__init__(self._port)
            self._socket.sendall(head.encode() + payload)
            return self._answer()

    def get(self, path, project=PROJECT):
        status, text = self.request('GET', path, project=project)
        assert status == 200, text
        return text

    def _answer(self):
        found = b''
        while b'\r\n\r\n' not in found:
            part = self._socket.recv(65536)
            if not part:
                raise ConnectionResetError
            found += part
        head, _, rest = found.partition(b'\r\n\r\n')
        status = int(head[9:12])
        low = head.lower()
        at = low.find(b'content-length:')
        length = int(low[at + 15:].split(b'\r\n', 1)[0]) if at >= 0 else 0
        parts, size = [rest], len(rest)
        while size < length:
            part = self._socket.recv(1 << 20)
            if not part:
                raise ConnectionResetError
            parts.append(part)
            size += len(part)
        return status, b''.join(parts)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--embedded', action='store_true', help='only that')
    parser.add_argument('--deployed', action='store_true', help='only that')
    parser.add_argument('--repeat', type=int, default=20)
    arguments = parser.parse_args()
    kinds = [kind for kind, wanted in ((deployed.Embedded, arguments.embedded),
                                       (deployed.Deployed, arguments.deployed)) if wanted]
    for kind in kinds or (deployed.Embedded, deployed.Deployed):
        with tempfile.TemporaryDirectory() as directory, kind(pathlib.Path(directory)) as site:
            print(f'\n{datetime.date.today()}, {os.cpu_count()} cores: {kind.name}', flush=True)
            measure(site, arguments.repeat)


def measure(site, repeat):
    row('start to first answer', f'{site.seconds_to_first_answer:.2f} s')
    connection = Connection(site.port)
    make_types(connection)
    fill(site, PROJECT, LISTED)
    volume = json.loads(connection.get('/volumes?limit=1'))['volumes'][0]['id']
    for path, name, times in ((f'/volumes/{volume}', 'GET one volume', 20),
                              ('/volumes/detail?limit=1', 'GET detail, 1 volume', 20),
                              ('/volumes/detail?limit=100', 'GET detail, 100 volumes', 5),
                              ('/volumes/detail?limit=1000', 'GET detail, 1,000 volumes', 1)):
        wall, cpu = timed(site, lambda path=path: connection.get(path), repeat * times)
        row(name, f'{wall * 1000:.1f} ms', f'{cpu * 1000:.2f} ms CPU')
    under_load(site, f'/volumes/{volume}')
    pages(site, repeat)
    creates(site, connection, repeat)
    for _ in range(10000 // 8):
        connection.get(f'/volumes/{volume}')
    throughput(site, f'/volumes/{volume}', 8000)
    row('memory of an API process after 10,000 requests (PSS)',
        ', '.join(f'{pss_mib(pid):.0f} MiB' for pid in site.api_pids()))


def row(name, *figures):
    print(f'{name:52} {"   ".join(figures)}', flush=True)


def timed(site, call, repeat):
    """(median seconds of a call, mean seconds of the site's processors per call)"""
    for _ in range(5):
        call()
    before, walls = cpu_seconds(site), []
    for _ in range(repeat):
        began = time.monotonic()
        call()
        walls.append(time.monotonic() - began)
    return statistics.median(walls), (cpu_seconds(site) - before) / repeat


def under_load(site, path, count=6000):
    before = cpu_seconds(site)
    rate = throughput(site, path, count)
    cpu = (cpu_seconds(site) - before) / count
    row('GET one volume, 8 connections', f'{rate:.0f} requests/s', f'{cpu * 1000:.2f} ms CPU',
        'by ab' if shutil.which('ab') else 'by Python')


def throughput(site, path, count=4000):
    """Requests per second over eight connections."""
    return (by_ab if shutil.which('ab') else by_python)(site, path, count)


def by_ab(site, path, count):
    said = subprocess.run(
        ['ab', '-q', '-k', '-n', str(count), '-c', '8', '-H', f'OpenStack-API-Version: {VERSION}',
         '-H', f'X-Auth-Token: admin:{PROJECT}', f'http://127.0.0.1:{site.port}/v3/{PROJECT}{path}'],
        check=True, capture_output=True, text=True).stdout
    assert 'Non-2xx responses' not in said, said
    assert re.search(r'^Failed requests: +0$', said, re.MULTILINE), said
    return float(re.search(r'^Requests per second: +([0-9.]+)', said, re.MULTILINE).group(1))


def by_python(site, path, count):
    def work(share):
        connection = Connection(site.port)
        for _ in range(share):
            connection.get(path)

    began = time.monotonic()
    threads = [threading.Thread(target=work, args=(count // 8,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return count / (time.monotonic() - began)


def pages(site, repeat):
    """Pages of a long list of another project."""
    fill(site, OTHER_PROJECT, LONG)
    connection = Connection(site.port)
    with site.engine().connect() as database:
        last, second = (database.execute(sa.text(
            'SELECT id FROM volumes WHERE project_id = :project ORDER BY created_at, id '
            f'LIMIT 1 OFFSET {offset}'), {'project': OTHER_PROJECT}).scalar_one()
            for offset in (100, LONG - 100))
    paths = {'first': '/volumes/detail?limit=100',
             'second': f'/volumes/detail?limit=100&marker={second}',
             'last': f'/volumes/detail?limit=100&marker={last}'}
    for path in paths.values():
        assert len(json.loads(connection.get(path, OTHER_PROJECT))['volumes']) == 100
    for name, path in paths.items():
        wall, cpu = timed(site, lambda path=path: connection.get(path, OTHER_PROJECT), repeat)
        row(f'{name} page of 100 of 10,000', f'{wall * 1000:.1f} ms', f'{cpu * 1000:.1f} ms CPU')
    found = ratios(connection, paths, 5 * repeat)
    row('last page / first page, which needs no marker looked up', f'{found["first"]:.2f}')
    row('last page / second page', f'{found["second"]:.2f}')


def ratios(connection, paths, repeat):
    """Medians of last / each, asked for in turn: what else the machine does hits all."""
    found = {name: [] for name in paths}
    for _ in range(repeat):
        walls = {}
        for name, path in paths.items():
            began = time.monotonic()
            connection.get(path, OTHER_PROJECT)
            walls[name] = time.monotonic() - began
        for name, wall in walls.items():
            found[name].append(walls['last'] / wall)
    return {name: statistics.median(values) for name, values in found.items()}


def creates(site, connection, repeat):
    answers, available = [], []
    for _ in range(repeat):
        began = time.monotonic()
        volume = create(connection)
        answers.append(time.monotonic() - began)
        until_available(connection, volume)
        available.append(time.monotonic() - began)
    row('POST volume', f'{statistics.median(answers) * 1000:.1f} ms')
    row('POST volume until available', f'{statistics.median(available) * 1000:.1f} ms')
    rates, costs = [], []
    for _ in range(5):
        before, began = cpu_seconds(site), time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(50) as pool:
            wanted = set(pool.map(lambda _: create(Connection(site.port)), range(50)))
        until_all_available(connection, wanted)
        rates.append(50 / (time.monotonic() - began))
        costs.append((cpu_seconds(site) - before) / 50)
    row('50 parallel creates until available', f'{statistics.median(rates):.1f} volumes/s',
        f'{statistics.median(costs) * 1000:.1f} ms CPU of the API each')


def until_all_available(connection, volumes, pause=0.02):
    deadline = time.monotonic() + 60
    while json.loads(connection.get('/volumes?status=creating&limit=1'))['volumes']:
        assert time.monotonic() < deadline
        time.sleep(pause)
    made = json.loads(connection.get('/volumes?status=available&limit=1000'))['volumes']
    assert volumes <= {volume['id'] for volume in made}


def create(connection):
    status, text = connection.request('POST', '/volumes', {
        'volume': {'size': 1, 'volume_type': 'alpha'}})
    assert status == 202, text
    return json.loads(text)['volume']['id']


def until_available(connection, volume, pause=0.002):
    deadline = time.monotonic() + 60
    while True:
        status = json.loads(connection.get(f'/volumes/{volume}'))['volume']['status']
        if status == 'available':
            return
        assert status == 'creating', status
        assert time.monotonic() < deadline
        time.sleep(pause)


def make_types(connection):
    for name in ('alpha', 'beta'):
        status, _text = connection.request('POST', '/types', {'volume_type': {
            'name': name, 'extra_specs': {'volume_backend_name': name}}})
        assert status in (200, 409)


def fill(site, project, count):
    """Put attached volumes with metadata into the database."""
    engine = site.engine()
    tables = sa.MetaData()
    tables.reflect(engine, only=['volumes', 'volume_metadata', 'volume_attachments', 'volume_types'])
    now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    volumes, metadata, attached = [], [], []
    with engine.begin() as database:
        type_id = database.execute(
            sa.select(tables.tables['volume_types'].c.id).limit(1)).scalar_one()
        for number in range(count):
            volume = str(uuid.uuid4())
            made_at = now + datetime.timedelta(milliseconds=number)
            volumes.append({
                'id': volume, 'project_id': project, 'user_id': 'user', 'name': f'volume {number}',
                'size': 1, 'host': 'host@alpha#alpha', 'availability_zone': 'nova',
                'status': 'in-use', 'attach_status': 'attached', 'volume_type_id': type_id,
                'bootable': False, 'multiattach': False, 'consumes_quota': True,
                'created_at': made_at})
            metadata += [{'volume_id': volume, 'key': key, 'value': str(number),
                          'created_at': made_at} for key in ('one', 'two')]
            attached.append({
                'id': str(uuid.uuid4()), 'volume_id': volume, 'project_id': project,
                'instance_id': str(uuid.uuid4()), 'attached_host': 'compute', 'mountpoint': '/dev/vdb',
                'attach_mode': 'rw', 'attach_status': 'attached', 'attached_at': made_at,
                'created_at': made_at})
        for name, rows in (('volumes', volumes), ('volume_metadata', metadata),
                           ('volume_attachments', attached)):
            database.execute(sa.insert(tables.tables[name]), rows)
    engine.dispose()


def cpu_seconds(site):
    """Processor time of the processes that answer; one that has ended counts no more."""
    ticks = 0
    for pid in site.api_pids():
        with contextlib.suppress(OSError):
            fields = pathlib.Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf('SC_CLK_TCK')


def pss_mib(pid):
    for line in pathlib.Path(f'/proc/{pid}/smaps_rollup').read_text().splitlines():
        if line.startswith('Pss:'):
            return int(line.split()[1]) / 1024
    raise ValueError(f'process {pid} has no memory')


if __name__ == '__main__':
    main()
