"""The manifests that go with a point, one for each volume: made from the records, and signed."""
# SPDX-License-Identifier: Apache-2.0

import datetime

from oslo_utils import timeutils

from cinder_ext import exceptions
from cinder_ext.db import replica_facts, volume_properties
from cinder_ext.objects import manifest, manifest_schema


def of(conf, context, replication, volumes, point_id, target=None):
    """What is shipped beside a point: name_id -> bytes.

    A handful of statements, however many the volumes are.

    :param replication: models.Replication, or what has its scope, mode, rpo_seconds and epoch
    :param volumes: the members, models.Volume
    :param target: values.ReplicationTarget of where it is shipped to; None: home
    :raises Misconfigured: it belongs to another cloud, and there is no key for that one
    """
    facts = replica_facts.of_volumes(context, volumes)
    members = sorted(each['name_id'] for each in facts.values())
    point = {'id': point_id, 'taken_at': None}
    return {each['name_id']: document(conf, replication, each, members, point, target)
            for each in facts.values()}


def document(conf, replication, facts, members, point, target, epoch=None):
    """One signed manifest, in bytes.

    :param facts: of one volume, from replica_facts.of_volumes
    :param members: name_ids of the volumes that share the point
    :param point: ``id`` and ``taken_at`` (text), each may be None
    :param epoch: of the replica; by default that of the replication
    :raises Misconfigured: as of()
    """
    cloud = conf.replication.cloud
    receiver = target.peer if target is not None and target.cross_os else cloud
    key = manifest.key_of(conf, receiver)
    if target is not None and target.cross_os and (not receiver or not cloud or key is None):
        raise exceptions.Misconfigured(
            backend=target.backend_id, reason='for a target of another cloud its peer, [replication] '
                                              'cloud and a key of the peer in peer_keys are needed')
    return manifest.signed({
        'format': manifest_schema.FORMAT, 'version': manifest_schema.VERSION,
        'from_cloud': cloud, 'to_cloud': receiver, 'issued_at': timestamp(timeutils.utcnow()),
        'epoch': replication.epoch if epoch is None else epoch, 'point': point,
        'handle': {'backend_id': target.backend_id if target is not None else 'home',
                   'name_id': facts['name_id']},
        'members': members,
        'replication': {'scope': replication.scope, 'mode': replication.mode,
                        'rpo_seconds': replication.rpo_seconds},
        'volume': _volume(facts['volume']), 'type': facts['type'], 'group': facts['group'],
        'snapshots': [_timed(each) for each in facts['snapshots']],
    }, key)


def parsed(raw):
    """The document in the bytes of a manifest."""
    return manifest.read(raw)


def timestamp(moment):
    """A time as manifests have it.

    :param moment: datetime in UTC without a zone, or seconds since the epoch
    """
    if not isinstance(moment, datetime.datetime):
        moment = datetime.datetime.fromtimestamp(moment, datetime.UTC)
    return moment.strftime('%Y-%m-%dT%H:%M:%S.%fZ')


def _volume(facts):
    kept = {key: value for key, value in facts['admin_metadata'].items()
            if key == volume_properties.READONLY}
    return _timed({**facts, 'admin_metadata': kept})


def _timed(facts):
    return {**facts, 'created_at': timestamp(facts['created_at'])}
