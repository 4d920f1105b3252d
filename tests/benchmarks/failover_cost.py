"""What the failover of a whole backend costs: seconds from the request to the operation's end.

Run: ``python tests/benchmarks/failover_cost.py [--volumes 200] [--plain 50] [--xfs]``.  It starts the
embedded service on two directories below the temporary directory, or with ``--xfs`` (as root) on
two file systems with reflinks.  It makes so many replicated volumes, by their type, each with 1 MiB
of random data, and some that are not replicated; waits until each has a consistent point; writes
64 KiB to each; and fails the backend over, back, and over again by force with its array cut off.
Each time it reads one block of each volume from where it is then.
"""
# SPDX-License-Identifier: Apache-2.0

import argparse
import contextlib
import datetime
import json
import os
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / 'tools'))

import embedded  # noqa: E402
import rest  # noqa: E402

from cinder_ext.drivers import values  # noqa: E402
from cinder_ext.drivers.conformance import media  # noqa: E402

KIB, MIB = 1024, values.MIB
BACKEND = 'host@alpha'


class Site:
    """:ivar volumes: volume id -> what is to be read from its beginning"""

    def __init__(self, service, roots):
        self.service, self.roots, self.volumes = service, roots, {}
        self.api = service.api

    def make(self, count, plain):
        self.api.create_type('safe', {'volume_backend_name': 'alpha',
                                      'replication_enabled': '<is> True'})
        self.api.create_type('plain', {'volume_backend_name': 'alpha'})
        ids = [self.api.create_volume(1, wait=False, name='safe', volume_type='safe')['id']
               for _ in range(count)]
        others = [self.api.create_volume(1, wait=False, name='plain', volume_type='plain')['id']
                  for _ in range(plain)]
        for volume_id in (*ids, *others):
            self.api.wait_volume(volume_id)
        self.volumes = dict.fromkeys(ids)
        self.write(MIB)
        self.wait_for_points(count)

    def path(self, volume_id, side=None):
        return self.roots[side or 'alpha'] / 'volumes' / f'volume-{volume_id}.raw'

    def write(self, length, side=None):
        for volume_id in self.volumes:
            content = os.urandom(length)
            with open(self.path(volume_id, side), 'r+b') as stream:
                stream.write(content)
            self.volumes[volume_id] = content[:4 * KIB]

    def differ(self, side=None):
        """How many volumes do not begin with what was written last."""
        found = 0
        for volume_id, content in self.volumes.items():
            with open(self.path(volume_id, side), 'rb') as stream:
                found += stream.read(4 * KIB) != content
        return found

    def replications(self):
        return self.api.get('/replications?limit=1000')['replications']

    def wait_for_points(self, count):
        rest.wait_for(
            lambda: sum(each['state'] == 'enabled' for each in self.replications()) == count,
            'a consistent point of each volume', 600, 1)

    def cut(self, is_cut):
        (self.service.state_dir / 'alpha.json').write_text(json.dumps({'cut': is_cut}))

    def move(self, **more):
        """Seconds from the request to the end, by the record; the operation."""
        made = self.api.post('/replications/failover', {'failover': {
            'scope': 'backend', 'id': BACKEND, 'consistency': 'best-effort', **more}})['operation']
        path = f"/replication-operations/{made['id']}"
        found = rest.wait_for(
            lambda: next((each for each in [self.api.get(path)['operation']]
                          if each['state'] not in ('queued', 'running')), None),
            'the end of the operation', 600, 0.2)
        began, ended = (datetime.datetime.fromisoformat(found[name])
                        for name in ('created_at', 'finished_at'))
        return (ended - began).total_seconds(), found


def report(what, seconds, operation, site, side):
    counts = {}
    for each in operation['members']:
        counts[each['result']] = counts.get(each['result'], 0) + 1
    print(f"{what:18} {seconds:6.1f} s  {operation['state']}  {counts}  "
          f'{site.differ(side)} volumes differ', flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--volumes', type=int, default=200)
    parser.add_argument('--plain', type=int, default=50)
    parser.add_argument('--xfs', action='store_true')
    asked = parser.parse_args()
    with contextlib.ExitStack() as stack:
        base = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix='failover-')))
        roots = {name: stack.enter_context(media.mounted_xfs(base / f'{name}.image'))
                 if asked.xfs else base / name for name in ('alpha', 'dr')}
        roots = {name: pathlib.Path(path) for name, path in roots.items()}
        for path in roots.values():
            path.mkdir(exist_ok=True)
        service = stack.enter_context(embedded.EmbeddedService(base / 'state', options={
            'alpha': {'file_path': str(roots['alpha']),
                      'file_control_file': f'{base}/state/alpha.json',
                      'max_over_subscription_ratio': '10000',
                      'replication_device': f"backend_id:dr,path:{roots['dr']}"},
            'DEFAULT': {'quota_volumes': '-1', 'quota_gigabytes': '-1'}}))
        site = Site(service, roots)
        site.make(asked.volumes, asked.plain)
        print(f'{asked.volumes} replicated volumes, {asked.plain} that are not', flush=True)
        site.write(64 * KIB)
        report('planned failover', *site.move(), site, 'dr')
        site.write(64 * KIB, 'dr')
        report('failback', *site.move(target='home'), site, None)
        site.cut(True)
        report('forced failover', *site.move(force=True), site, 'dr')


if __name__ == '__main__':
    main()
