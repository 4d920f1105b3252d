"""A volume service that is killed while it reverts a volume: its successor ends it, whole."""
# SPDX-License-Identifier: Apache-2.0

import pytest

MIB = 1024 ** 2


class Story:
    """A volume that was changed after its latest snapshot, and the way back."""

    def __init__(self, service, noise):
        self.service = service
        service.begin()
        service.create_types()
        self.volume_id = service.api.create_volume(1, volume_type='alpha')['id']
        disk = service.path('alpha', 'volume', self.volume_id)
        _write(disk, 0, noise(24 * MIB))
        self.snapshot_id = service.api.create_snapshot(self.volume_id, 'latest')['id']
        self.before = _head(disk)
        _write(disk, 8 * MIB, noise(24 * MIB))
        self.changed = _head(disk)
        self.disk = disk

    def ask(self):
        self.service.api.post(f'/volumes/{self.volume_id}/action',
                              {'revert': {'snapshot_id': self.snapshot_id}})

    def is_over(self):
        return self.service.api.volume(self.volume_id)['status'] != 'reverting'

    def ends_well(self):
        service = self.service
        service.begin()
        assert not service.dies(self.is_over)
        assert service.api.volume(self.volume_id)['status'] == 'available'
        assert service.api.snapshot(self.snapshot_id)['status'] == 'available'
        assert _head(self.disk) == self.before
        assert service.files('alpha') == sorted([
            self.disk.name, f'snapshot-{self.snapshot_id}.raw'])


def _write(path, offset, content):
    with open(path, 'r+b') as stream:
        stream.seek(offset)
        stream.write(content)


def _head(path):
    with open(path, 'rb') as stream:
        return stream.read(40 * MIB)


@pytest.fixture
def story(service, noise):
    return Story(service, noise)


@pytest.mark.parametrize('service', ['plain'], indirect=True)
def test_killed_in_the_middle_of_writes(story, record_property):
    service = story.service
    service.stop()
    service.begin(f'driver:{5 * MIB}')
    story.ask()
    assert service.dies(story.is_over)
    for length in (1, 9 * MIB, 23 * MIB):
        assert _head(story.disk) == story.changed
        service.begin(f'driver:{length}')
        assert service.dies(story.is_over)
    assert _head(story.disk) == story.changed
    story.ends_well()
    assert service.kills == 4
    record_property('kills', service.kills)


def test_killed_between_the_files_and_the_record(story, record_property):
    service = story.service
    service.stop()
    service.begin(f'renamed:volume-{story.volume_id}')
    story.ask()
    assert service.dies(story.is_over)
    assert _head(story.disk) == story.before
    service.begin(f'renamed:volume-{story.volume_id}')
    assert service.dies(story.is_over)
    story.ends_well()
    assert service.kills == 2
    record_property('kills', service.kills)
