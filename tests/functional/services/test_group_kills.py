"""A process is killed in the middle of a group's work; its successor ends it."""
# SPDX-License-Identifier: Apache-2.0

import pathlib
import signal
import subprocess
import sys

import pytest

from cinder_ext.db import snapshots


def _killed(cloud, naming):
    """Run the services in a process of their own, until it is killed at a naming."""
    cloud.stop()
    script = pathlib.Path(__file__).with_name('killed.py')
    done = subprocess.run(
        [sys.executable, script, cloud.directory / 'cinder-ext.conf', str(naming)],
        capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]


def _named(cloud, kind):
    return {path.name for path in (cloud.directory / 'alpha' / f'{kind}s').glob('*.raw')}


@pytest.mark.parametrize('naming', [1, 2])
def test_a_consistent_group_snapshot_is_of_one_moment_although_its_maker_was_killed(on_xfs, naming):
    """The one that got its name before the kill is not kept beside one of a later moment."""
    work, cloud = on_xfs, on_xfs.cloud
    group_id, members = work.two(group_type_id=work.group_type(work.CONSISTENT, 'consistent'))
    whole_id = work.record_snapshot(group_id)
    _killed(cloud, naming)
    assert len(_named(cloud, 'snapshot')) == naming - 1
    for number, volume_id in enumerate(members):
        cloud.write(volume_id, 4096, b'later   %d' % number)
    cloud.start()
    work.snapshot_becomes(whole_id, 'available')
    taken = work.members(whole_id)
    assert [work.content(taken[volume_id], 'snapshot') for volume_id in members] == [
        b'later   0', b'later   1']
    assert {snapshots.get(work.context, each).status for each in taken.values()} == {'available'}
    assert list((cloud.directory / 'alpha' / 'snapshots').glob('*.partial')) == []


def test_a_group_is_copied_to_its_end_although_its_maker_was_killed(work):
    cloud = work.cloud
    group_id, _members = work.two()
    copy = work.from_group(group_id)
    before = _named(cloud, 'volume')
    _killed(cloud, 2)
    assert len(_named(cloud, 'volume') - before) == 1
    cloud.start()
    work.becomes(copy.id, 'available')
    assert [work.content(row.id) for row in work.volumes(copy.id)] == [b'content 0', b'content 1']
    assert {row.status for row in work.volumes(copy.id)} == {'available'}
