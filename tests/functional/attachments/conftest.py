"""A service whose backend has exports, servers that use its volumes, and a reader of all paths."""
# SPDX-License-Identifier: Apache-2.0

import exporting_service
import nova_player
import nova_sequences
import path_reader
import pytest

SOURCE, DESTINATION, THIRD = 'compute-1', 'compute-2', 'compute-3'


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
            if case.kind == nova_sequences.TWICE and case.call == 'reserve':
                # Nova knows of the second one only: nobody can tell that both are one.
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


@pytest.fixture(scope='package')
def cloud(tmp_path_factory):
    made = exporting_service.ExportingService(tmp_path_factory.mktemp('nova'))
    made.start()
    yield made
    made.service.kill()


@pytest.fixture(scope='package')
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


