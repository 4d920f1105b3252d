"""A manifest is taken when it is whole, known, meant for this cloud and signed by a peer."""
# SPDX-License-Identifier: Apache-2.0

import hashlib
import hmac
import json

import manifests
import pytest

from cinder_ext import exceptions
from cinder_ext.objects import manifest

KEY = manifests.KEY.encode()


def _signed(**changes):
    return manifest.read(manifest.signed(manifests.document(**changes), KEY))


def test_what_a_peer_signed_is_taken():
    assert manifest.verify(manifests.conf(), _signed()) == 'a'


def test_the_signature_can_be_made_by_anybody_with_the_key_and_the_description():
    document = manifests.document()
    text = json.dumps(document, sort_keys=True, separators=(',', ':'), ensure_ascii=True)
    value = hmac.new(KEY, text.encode(), hashlib.sha256).hexdigest()
    assert json.loads(manifest.signed(document, KEY))['signature'] == {
        'algorithm': 'HMAC-SHA256', 'value': value}


def test_the_order_of_what_stands_in_it_does_not_matter():
    document = _signed()
    shuffled = json.dumps(dict(reversed(list(document.items()))), indent=3).encode()
    assert manifest.verify(manifests.conf(), manifest.read(shuffled)) == 'a'


@pytest.mark.parametrize(('path', 'value'), [
    ('epoch', 2), ('point__id', manifests.SNAPSHOT_ID), ('volume__size', 2),
    ('handle__name_id', manifests.GROUP_ID), ('volume__metadata', {}), ('type', None)])
def test_a_change_of_anything_is_seen(path, value):
    document = {**manifests.document(**{path: value}), 'signature': _signed()['signature']}
    with pytest.raises(exceptions.ManifestRefused, match='signature is not right'):
        manifest.verify(manifests.conf(), manifest.read(document))


def test_another_key_has_not_signed_it():
    document = manifest.read(manifest.signed(manifests.document(), b'another key altogether'))
    with pytest.raises(exceptions.ManifestRefused, match='signature is not right'):
        manifest.verify(manifests.conf(), document)


def test_one_without_signature_is_refused():
    document = manifest.read(manifest.signed(manifests.document(), None))
    assert document['signature'] is None
    with pytest.raises(exceptions.ManifestRefused, match='signature is not right'):
        manifest.verify(manifests.conf(), document)


@pytest.mark.parametrize(('changes', 'cloud', 'reason'), [
    ({'to_cloud': 'c'}, 'b', 'it is for cloud c, and this is b'),
    ({'from_cloud': 'x'}, 'b', 'no key of cloud x'),
    ({'from_cloud': None}, 'b', 'no other cloud'),
    ({'from_cloud': 'b'}, 'b', 'no other cloud'),
    ({}, None, 'this is None'),
], ids=['for-another', 'of-a-stranger', 'of-nobody', 'of-itself', 'a-cloud-without-name'])
def test_what_is_not_meant_for_this_cloud_by_a_peer_is_refused(changes, cloud, reason):
    with pytest.raises(exceptions.ManifestRefused, match=reason):
        manifest.verify(manifests.conf(cloud, {'a': manifests.KEY}), _signed(**changes))


def test_what_one_cloud_signed_is_not_taken_back_by_it():
    with pytest.raises(exceptions.ManifestRefused, match='it is for cloud b, and this is a'):
        manifest.verify(manifests.conf('a'), _signed())


@pytest.mark.parametrize(('changes', 'reason'), [
    ({'version': 2}, 'its version is 2, and 1 is known here'),
    ({'version': '1'}, 'its version is 1'),
    ({'format': 'x'}, 'its format is not'),
    ({'volume__size': 0}, 'volume/size'),
    ({'volume__size': 1.5}, 'volume/size'),
    ({'epoch': -1}, 'epoch'),
    ({'handle__name_id': '../../etc/passwd'}, 'handle/name_id'),
    ({'volume__secret': 'x'}, 'volume'),
    ({'snapshots': [{'id': manifests.SNAPSHOT_ID}]}, 'snapshots/0'),
], ids=['newer', 'text', 'format', 'small', 'half', 'epoch', 'path', 'unknown', 'snapshot'])
def test_what_is_not_after_the_schema_is_refused(changes, reason):
    with pytest.raises(exceptions.ManifestRefused, match=reason):
        manifest.read(manifests.document(signature=None, **changes))


@pytest.mark.parametrize('raw', [b'', b'{', b'[]', b'null', b'\xff', b'{"version": NaN}',
                                 b'[' * 100000, b' ' * (manifest.LARGEST + 1)],
                         ids=['empty', 'half', 'list', 'null', 'binary', 'nan', 'deep', 'large'])
def test_what_is_no_manifest_is_refused(raw):
    with pytest.raises(exceptions.ManifestRefused):
        manifest.read(raw)


def test_a_key_that_is_short_is_an_error_of_the_configuration():
    with pytest.raises(exceptions.Misconfigured, match='fewer than 16'):
        manifest.key_of(manifests.conf(keys={'a': 'short'}), 'a')


def test_the_own_cloud_has_a_key_for_its_own_targets():
    conf = manifests.conf(keys={'b': 'a key of the own cloud'})
    assert manifest.key_of(conf, None) == manifest.key_of(conf, 'b') == b'a key of the own cloud'
    assert manifest.key_of(conf, 'a') is None
