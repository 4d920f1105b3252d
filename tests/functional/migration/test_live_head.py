"""The live content of a volume that a server writes to while its snapshots move."""
# SPDX-License-Identifier: Apache-2.0

import filecmp
import os

from cinder_ext.db import transition, volume_migrations
from cinder_ext.drivers import values
from cinder_ext.states import migration as states
from cinder_ext.volume.migration import copies, flow, journey, tasks

MIB = values.MIB


def test_what_was_written_while_snapshots_moved_is_copied_with_the_head(reflink_cloud, noise):
    """Nothing of it may be known from before the volume was detached: not even where it changed."""
    cloud = reflink_cloud
    volume_id = cloud.volume(1)
    for content in (noise(4 * MIB), noise(2 * MIB)):
        cloud.write(volume_id, 0, content)
        cloud.snapshot(volume_id)
    written(cloud, volume_id, MIB, noise(MIB))
    work = attached(cloud, volume_id)
    for step in [step for step, _ in flow.move(work).iter_nodes()][:3]:
        step.execute()

    written(cloud, volume_id, MIB, noise(MIB))
    written(cloud, volume_id, 8 * MIB, noise(MIB))
    work.take_head()
    head = work.links[-1]
    copies.copy(work, head.number, work.rows())
    work.target.close()
    tasks.VerifyChain('verify-chain', work).do()

    assert filecmp.cmp(cloud.path(volume_id, 'alpha'),
                       cloud.path(head.destination_name_id, 'beta'), shallow=False)


def attached(cloud, volume_id):
    """A planned migration of a volume that a server uses: work.Work."""
    record = volume_migrations.start(cloud.context, volume_id, {
        'operation': 'retype', 'include_snapshots': True}, 'retype')
    transition.move(cloud.context, states.MACHINE, record.id, 'schedule',
                    {'destination_host': 'host@beta#beta'})
    journey.prepare(cloud.work(record.id))
    volume_migrations.update(cloud.context, record.id, {'server_id': 'a server'})
    return cloud.work(record.id)


def written(cloud, volume_id, offset, content):
    cloud.write(volume_id, offset, content)
    with open(cloud.path(volume_id, 'alpha'), 'rb') as stream:
        os.fsync(stream.fileno())
