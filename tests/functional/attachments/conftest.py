"""A service whose backend has exports, volumes on it, and a reader of all paths that are held."""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import os
import pathlib

import embedded
import exporting_driver
import nova_player
import nova_sequences
import path_reader
import pytest

SUPPORT = pathlib.Path(exporting_driver.__file__).parent
SOURCE, DESTINATION, THIRD = 'compute-1', 'compute-2', 'compute-3'


class Exporting:
    """An embedded service with one backend, ``alpha``, whose driver has exports."""

    def __init__(self, directory):
        self.exports, self.plugins = directory / 'exports', directory / 'plugins'
        self.exports.mkdir()
        exporting_driver.register(self.plugins)
        self.service = embedded.EmbeddedService(directory / 'state', backends=('alpha',), options={
            'DEFAULT': {'sweep_interval': 1},
            'alpha': {'volume_driver': exporting_driver.NAME, 'export_path': self.exports}})
        self.service.environment = {'PYTHONPATH': os.pathsep.join((str(SUPPORT), str(self.plugins)))}
        self.wire = nova_player.Wire(self.service, self)
        self._volumes, self.stamps = {False: [], True: []}, {}

    def start(self):
        self.service.start()
        self.service.api.create_type('alone', {'volume_backend_name': 'alpha'})
        self.service.api.create_type('shared', {'volume_backend_name': 'alpha',
                                                'multiattach': '<is> True'})

    @contextlib.contextmanager
    def away(self):
        """The backend's directory is not there; what is exported is read all the same."""
        place = self.service.state_dir / 'alpha'
        place.rename(f'{place}.away')
        try:
            yield
        finally:
            place.with_name('alpha.away').rename(place)

    def take_volumes(self, count, is_shared):
        """Ids of volumes that nobody has."""
        free = self._volumes[is_shared]
        while len(free) < count:
            free.append(self._make_volume('shared' if is_shared else 'alone'))
        return [free.pop() for _ in range(count)]

    def give_back(self, volume_ids, is_shared):
        self._volumes[is_shared] += volume_ids

    def _make_volume(self, volume_type):
        volume_id = self.service.api.create_volume(1, volume_type=volume_type)['id']
        stamp = f'volume {volume_id}'.ljust(path_reader.STAMP_BYTES).encode()
        path = self.service.state_dir / 'alpha' / 'volumes' / f'volume-{volume_id}.raw'
        with open(path, 'r+b') as file:
            file.write(stamp)
        self.stamps[volume_id] = stamp
        return volume_id

    def exported(self, volume_id):
        """Hosts that reach a volume."""
        return sorted(path.parent.name for path in self.exports.glob(f'*/volume-{volume_id}'))

    def state(self, volume_id):
        """(status, attachments that it shows, [(attachment, its status)], hosts that reach it)."""
        shown = self.service.api.volume(volume_id)
        attached = self.service.api.get(f'/attachments/detail?volume_id={volume_id}')['attachments']
        return (shown['status'], sorted(each['attachment_id'] for each in shown['attachments']),
                sorted((each['id'], each['status']) for each in attached), self.exported(volume_id))


class Stage:
    """One case: a server, perhaps another one with the same volume, and what is true at the end."""

    def __init__(self, cloud, reader, case):
        self.cloud, self.reader, self.case = cloud, reader, case
        self.is_shared = case.company != nova_sequences.ALONE
        needs_spare = case.sequence is nova_sequences.SWAP
        self.volume_ids = cloud.take_volumes(1 + needs_spare, self.is_shared)
        hosts = {'source': SOURCE, 'destination': SOURCE if case.same_host else DESTINATION}
        volumes = dict(zip(('data', 'spare'), self.volume_ids, strict=False))
        self.server = nova_player.Server(cloud.wire, reader, volumes, cloud.stamps, hosts)
        self.other = self._company(volumes)

    def _company(self, volumes):
        where = {nova_sequences.BESIDE_SOURCE: SOURCE, nova_sequences.ELSEWHERE: THIRD,
                 nova_sequences.BESIDE_DESTINATION: DESTINATION}.get(self.case.company)
        if where is None:
            return None
        return nova_player.Server(self.cloud.wire, self.reader, volumes, self.cloud.stamps,
                                  {'source': where})

    def play(self):
        """The sequence, its failure, what Nova and its operator do then, until the end."""
        case, wire = self.case, self.cloud.wire
        wire.plan(None, None)
        for each in filter(None, (self.other, self.server if case.sequence.begins_attached else None)):
            each.attach()
        last, role = case.sequence.ends[case.end]
        wanted = self.server.hosts[role] if role else None
        wire.plan(case.point, case.kind)
        try:
            for stage in (*case.sequence.stages, last):
                self.server.play(stage, may_fail=True)
        except nova_player.Broken:
            assert wire.hit, wire.calls
            self.server.recover(case.sequence, wanted)
        else:
            if case.point is not None:
                self.server.reboot_hard()
        return wanted

    def ends(self, wanted):
        """Who shall have the volume has it, and nothing else is left; then nobody has it."""
        consumers = [each for each in (self.other, self.server if wanted else None) if each]
        self.reader.pass_round()
        assert set(self.reader.held()) == {each.attachment_id for each in consumers}
        self._has(self.server.volumes['data'], consumers)
        if self.server.volumes.get('spare'):
            self._has(self.server.volumes['spare'], [])
        for each in (self.server, self.other):
            if each is not None:
                each.destroy()
        for volume_id in self.volume_ids:
            self._has(volume_id, [])
        assert self.reader.clear() == []
        self.cloud.give_back(self.volume_ids, self.is_shared)

    def _has(self, volume_id, consumers):
        ids = sorted(each.attachment_id for each in consumers)
        assert self.cloud.state(volume_id) == (
            'in-use' if consumers else 'available', ids, [(each, 'attached') for each in ids],
            sorted({each.host for each in consumers}))


@pytest.fixture(scope='module')
def cloud(tmp_path_factory):
    made = Exporting(tmp_path_factory.mktemp('nova'))
    made.start()
    yield made
    made.service.kill()


@pytest.fixture(scope='module')
def reader():
    with path_reader.PathReader() as made:
        yield made


@pytest.fixture
def stage(cloud, reader):
    """stage(case) -> Stage; the service runs."""
    def make(case):
        if not cloud.service.is_running:
            cloud.service.start()
        reader.clear()
        return Stage(cloud, reader, case)
    return make


