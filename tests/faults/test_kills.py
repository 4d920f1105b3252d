"""A volume service that is killed anywhere: its successor ends the migration, whole.

Each test kills the service many times in the course of one migration; what
they assert adds up to more than 40 kills, and ``--junitxml`` tells how many
there were.
"""
# SPDX-License-Identifier: Apache-2.0

import os
import random
import subprocess

import pytest

MIB = 1024 ** 2
LONG = bool(os.environ.get('CINDER_EXT_LONG'))

LINKS = ['copy-link-0000', 'copy-link-0001', 'copy-link-0002']
STEPS = {state: ['own-failure', 'create-target', *copies, 'verify-chain', 'swap-records',
                 'begin-tidy', 'remove-source', 'finish-migration']
         for state, copies in (('RUNNING', ['copy-links', *LINKS]),
                               ('SUCCESS', [*LINKS, 'copy-links']))}
"""In the order in which they come to a state."""


@pytest.mark.parametrize(('service', 'state'), [('plain', 'RUNNING'), ('xfs', 'SUCCESS')],
                         indirect=['service'])
def test_killed_at_every_step_of_both_flows(story, state, record_property):
    points = [f'step:{step}:{state}' for step in STEPS[state]]
    assert story.retype_until_killed(points[0])
    for point in points[1:]:
        story.service.begin(point)
        # The last one comes when the record says already that it is over.
        is_last = point.startswith('step:finish')
        assert story.service.dies((lambda: False) if is_last else story.is_over), point
    record = story.ends_well()
    assert story.service.kills >= len(points) - 1
    assert record['attempt'] >= story.service.kills
    record_property('kills', story.service.kills)


@pytest.mark.parametrize(('service', 'kind'), [('xfs', 'commit'), ('plain', 'committed')],
                         indirect=['service'])
def test_killed_around_commits(story, kind, record_property):
    """Each process dies a few commits further on than its predecessor came."""
    steps = random.Random(5)
    story.retype_until_killed(f'{kind}:3')
    for _ in range(40 if LONG else 8):
        if story.service.is_running:
            break
        story.service.begin(f'{kind}:{steps.randrange(1, 30)}')
        story.service.dies(story.is_over)
    story.ends_well()
    assert story.service.kills >= 5
    record_property('kills', story.service.kills)


def test_killed_in_the_middle_of_writes(story, record_property):
    moments = random.Random(6)
    assert story.retype_until_killed(f'bytes:{3 * MIB}')
    for _ in range(30 if LONG else 8):
        story.service.begin(f'bytes:{moments.randrange(MIB, 9 * MIB)}')
        if not story.service.dies(story.is_over):
            break
    story.ends_well()
    assert story.service.kills >= 5
    record_property('kills', story.service.kills)


@pytest.mark.parametrize('service', ['plain'], indirect=True)
def test_killed_while_it_is_undone(service, tell, record_property):
    """A destination that fills up: the flow is reverted, through kills, and nothing is left."""
    beta = service.state_dir / 'beta'
    beta.mkdir(parents=True)
    subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=300m', 'tmpfs', str(beta)], check=True)
    try:
        story = tell()
        points = ['step:copy-links:REVERTING', 'step:create-target:REVERTING',
                  *(f'{kind}:{number}' for number in (1, 2, 3) for kind in ('commit', 'committed'))]
        assert story.retype_until_killed(points[0], f'copy-link-0001:{beta}')
        for point in points[1:]:
            service.begin(point)
            service.dies(story.is_over)
            if service.is_running:
                service.stop()
        service.begin()
        service.dies(story.is_over)
        record = service.api.latest_migration(story.volume_id)
        assert (record['phase'], record['error_code']) == ('failed', 'cinder_ext.no_space')
        assert record['leftovers'] == []
        assert service.files('beta') == []
        assert service.contents(story.volume_id, story.snapshot_ids) == story.before
        volume = service.api.volume(story.volume_id)
        assert (volume['status'], volume['migration_status'], volume['volume_type']) == (
            'available', 'error', 'alpha')
        assert service.kills >= len(points) - 2
        record_property('kills', service.kills)
    finally:
        service.kill()
        subprocess.run(['umount', '-l', str(beta)], check=True)
