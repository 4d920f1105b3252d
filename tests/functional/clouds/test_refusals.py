"""What is not taken from another cloud, or not handed to one: said clearly, and nothing is changed."""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import json
import uuid

import pytest
import two_clouds

from cinder_ext import exceptions
from cinder_ext.db import attachments, models, replication_tombstones, volume_types, volumes
from cinder_ext.db import session as db_session
from cinder_ext.drivers import loader
from cinder_ext.objects import manifest


@contextlib.contextmanager
def _refused(story, error, match):
    """The block raises an error that the API answers with 4xx, and nothing is changed anywhere."""
    before = story.a.state(), story.b.state()
    with pytest.raises(error, match=match) as caught:
        yield
    assert 400 <= caught.value.http_status < 500
    assert (story.a.state(), story.b.state()) == before


@pytest.fixture
def shipped(story):
    """A volume of cloud a with a point on the array of cloud b; cloud a is cut off."""
    row, = story.make()
    story.ship([row])
    story.a.control(cut=True)
    return row


def _manifest(story, row):
    """What lies beside the newest point."""
    return json.loads(story.b.driver.replicas(None)[row.id][3])


def _signed(document, key=two_clouds.KEY):
    return json.loads(manifest.signed(document, key.encode()))


def test_before_a_failover(story, shipped):
    with _refused(story, exceptions.ReplicaRefused, 'role on the array is secondary'):
        story.take(name_id=shipped.id)
    with _refused(story, exceptions.ReplicaRefused, 'role on the array is secondary'):
        story.take(manifest=_manifest(story, shipped))


def test_while_the_other_cloud_has_it_as_primary(story):
    row, = story.make()
    story.ship([row])
    with _refused(story, exceptions.ReplicaRefused, 'is primary on beta-dr of cloud a, which answers'):
        story.take(name_id=row.id, promote=True)


def test_a_foreign_manifest(story, shipped):
    document = _manifest(story, shipped)
    with _refused(story, exceptions.ManifestRefused, 'it is for cloud c, and this is b'):
        story.take(manifest=_signed({**document, 'to_cloud': 'c'}), promote=True)
    with _refused(story, exceptions.ManifestRefused, 'no key of cloud x here'):
        story.take(manifest=_signed({**document, 'from_cloud': 'x'}), promote=True)


def test_a_cloud_with_a_key_that_is_no_peer_of_the_backend(story, shipped):
    story.b.conf.set_override('peer_keys', {'a': two_clouds.KEY, 'x': two_clouds.KEY}, 'replication')
    with _refused(story, exceptions.ManifestRefused, 'cloud x, to which backend b@beta has no'):
        story.take(manifest=_signed({**_manifest(story, shipped), 'from_cloud': 'x'}), promote=True)


@pytest.mark.parametrize('key', [None, 'not the key of both clouds'], ids=['unsigned', 'other'])
def test_a_forged_signature(story, shipped, key):
    document = _manifest(story, shipped)
    forged = {**document, 'signature': None} if key is None else _signed(document, key)
    with _refused(story, exceptions.ManifestRefused, 'its signature is not right'):
        story.take(manifest=forged, promote=True)


def test_a_word_that_was_changed_after_the_signature(story, shipped):
    document = _manifest(story, shipped)
    with _refused(story, exceptions.ManifestRefused, 'its signature is not right'):
        story.take(manifest={**document, 'epoch': document['epoch'] + 1}, promote=True)


def test_a_forged_manifest_that_lies_on_the_array(story, shipped):
    beside, = (story.b.array / 'replication' / 'volumes' / shipped.id).glob('*.manifest')
    document = json.loads(beside.read_text())
    document['volume']['project_id'] = 'somebody'
    beside.write_text(json.dumps(document))
    with _refused(story, exceptions.ManifestRefused, 'its signature is not right'):
        story.take(name_id=shipped.id, promote=True)


def test_a_replayed_manifest_of_an_earlier_epoch(story):
    row, = story.make()
    story.ship([row])
    old = _manifest(story, row)
    for _round in range(2):
        story.fail_over([row])
        story.take(manifest=story.export(row.id, clear_existing=True)['manifest'])
        story.back([row])
        story.take(cloud=story.a, manifest=story.export(
            row.id, cloud=story.b, clear_existing=True)['manifest'])
    with _refused(story, exceptions.ReplicaRefused, 'replayed: it is of epoch 1'):
        story.take(manifest=old, promote=True)


def test_a_manifest_of_an_older_point(story, shipped):
    old = _manifest(story, shipped)
    story.a.control()
    story.ship([shipped])
    story.a.control(cut=True)
    with _refused(story, exceptions.ReplicaRefused, 'older than what lies there'):
        story.take(manifest=old, promote=True)


def test_a_manifest_that_is_ahead_of_the_array(story, shipped):
    with _refused(story, exceptions.ReplicaRefused, 'epoch 7, and the array is at epoch 1'):
        story.take(manifest=_signed({**_manifest(story, shipped), 'epoch': 7}), promote=True)


def test_an_epoch_at_which_it_was_handed_over(story):
    """Cloud a had given it away, and its array came back with what it had."""
    row, = story.make()
    story.ship([row])
    story.fail_over([row])
    story.take(manifest=story.export(row.id, clear_existing=True)['manifest'])
    story.back([row])
    exported = story.export(row.id, cloud=story.b, clear_existing=True)['manifest']
    with story.a.bound():
        replication_tombstones.put(story.a.context, row.id, 3, 'b')
    with _refused(story, exceptions.ReplicaRefused, 'handed to cloud b at epoch 3'):
        story.take(cloud=story.a, manifest=exported)


@pytest.mark.parametrize('where', ['unknown', 'plain-volume'])
def test_a_handle_outside_of_the_target(story, shipped, where):
    name_id = str(uuid.uuid4())
    if where == 'plain-volume':
        (story.b.array / 'volumes' / f'volume-{name_id}.raw').write_bytes(b'not replicated')
    with _refused(story, exceptions.ReplicaNotFound, f'no replica {name_id}'):
        story.take(name_id=name_id, promote=True)


def test_a_backend_that_is_no_pair_of_another_cloud(story, shipped):
    story.b.conf.set_override('replication_device', [
        {'backend_id': 'beta-dr', 'path': str(story.a.array)}], 'beta')
    story.b.tools.hand_over(loader.load(story.b.conf, 'beta'))
    with _refused(story, exceptions.ReplicaRefused, 'no replication_device of another cloud'):
        story.take(name_id=shipped.id, promote=True)


def test_an_encrypted_volume(story, shipped):
    document = _manifest(story, shipped)
    document['volume']['encrypted'] = True
    with _refused(story, exceptions.ReplicaRefused, 'it is encrypted'):
        story.take(manifest=_signed(document), promote=True)


def test_an_id_that_is_taken(story, shipped):
    with story.b.bound():
        db_session.writer(lambda context: context.session.add(models.Volume(
            id=shipped.id, project_id='p', user_id='u', size=1, status='available',
            attach_status='detached', host='b@other#other')))(story.b.context)
    with _refused(story, exceptions.ReplicaRefused, 'has that id; ask for a new id'):
        story.take(name_id=shipped.id, promote=True)
    answer = story.take(name_id=shipped.id, promote=True, new_id=True)
    assert answer['volumes'][0]['id'] != shipped.id


def test_a_missing_type(story, shipped):
    with story.b.bound():
        volume_types.delete(story.b.context, story.b.types['gold'])
    with _refused(story, exceptions.InvalidInput, 'there is no volume type gold here'):
        story.take(name_id=shipped.id, promote=True)
    with _refused(story, exceptions.InvalidInput, 'there is no volume type other here'):
        story.take(name_id=shipped.id, promote=True, volume_types={'gold': 'other'})


def test_a_missing_group_type(story):
    rows = story.make(2)
    story.group(rows)
    story.ship(rows)
    story.a.control(cut=True)
    with _refused(story, exceptions.InvalidInput, 'there is no group type nothing here'):
        story.take(name_id=rows[0].id, promote=True, group_type='nothing')


def test_more_than_the_project_may_have(story, shipped):
    story.b.conf.set_override('quota_volumes', 0)
    with _refused(story, exceptions.OverLimit, 'Quota exceeded for volumes'):
        story.take(name_id=shipped.id, promote=True)


def test_a_member_without_a_manifest(story):
    rows = story.make(2)
    story.ship(rows)
    story.a.control(cut=True)
    for beside in (story.b.array / 'replication' / 'volumes' / rows[1].id).glob('*.manifest'):
        beside.unlink()
    with _refused(story, exceptions.ReplicaRefused, 'no manifest lies beside its points'):
        story.take(name_id=rows[0].id, promote=True)


def test_export_while_it_is_attached(story):
    row, = story.make()
    story.ship([row])
    story.fail_over([row])
    with story.a.bound():
        attachment = attachments.reserve(story.a.context, row.id, str(uuid.uuid4()))
    for clear in (False, True):
        with _refused(story, exceptions.ReplicaRefused, attachment.id):
            story.export(row.id, clear_existing=clear)


def test_export_of_an_encrypted_volume(story):
    row, = story.make()
    story.ship([row])
    with story.a.bound():
        volumes.update(story.a.context, row.id, {'encryption_key_id': str(uuid.uuid4())})
    with _refused(story, exceptions.ReplicaRefused, 'it is encrypted'):
        story.export(row.id)


def test_release_before_a_failover(story):
    row, = story.make()
    story.ship([row])
    assert story.export(row.id)['role'] == 'secondary'
    with _refused(story, exceptions.ReplicaRefused, 'its role on alpha-dr is secondary'):
        story.export(row.id, clear_existing=True)


def test_release_to_a_side_that_is_behind(story):
    """Cloud a comes back as what it was; cloud b must not give its content away for that."""
    row, = story.make()
    story.ship([row])
    story.a.control(cut=True)
    story.take(name_id=row.id, promote=True)
    story.a.control()
    for clear in (False, True):
        with _refused(story, exceptions.ReplicaRefused, 'primary on beta-dr at epoch 1, and here at'):
            story.export(row.id, cloud=story.b, clear_existing=clear)


def test_export_of_what_is_not_replicated(story):
    row, = story.make()
    with _refused(story, exceptions.ReplicaRefused, 'not replicated to another cloud'):
        story.export(row.id)
    with _refused(story, exceptions.ReplicaRefused, 'no target nowhere of another cloud'):
        story.export(row.id, target='nowhere')


def test_a_target_of_another_cloud_without_a_key_is_misconfigured(story):
    row, = story.make()
    story.a.conf.set_override('peer_keys', {}, 'replication')
    with pytest.raises(exceptions.Misconfigured, match='a key of the peer'):
        story.ship([row])
