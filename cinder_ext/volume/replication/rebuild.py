"""Rebuilds the records of a backend from what its arrays say of themselves.

For a site whose database is gone.  An array knows its volumes' names, roles and epochs; the
manifests beside their points know what they are.  What another side has promoted meanwhile is
never made available here: it is noted as handed over, or comes back in error.
"""
# SPDX-License-Identifier: Apache-2.0

import dataclasses

from oslo_log import log

from cinder_ext import exceptions
from cinder_ext.db import (
    group_types,
    replica_rebuilding,
    replication_tombstones,
    type_encryptions,
    volume_types,
)
from cinder_ext.drivers import capabilities, values
from cinder_ext.objects import manifest
from cinder_ext.states import replication as states
from cinder_ext.states import replication_policy
from cinder_ext.volume.replication.mapping import moment

LOG = log.getLogger(__name__)

REBUILT, PRESENT, TOMBSTONED, BROKEN, FOREIGN, UNKNOWN = (
    'rebuilt', 'present', 'handed over', 'split brain', 'of another cloud', 'not rebuilt')
_CONNECTOR = {'host': 'cinder-ext-manage'}


@dataclasses.dataclass
class Replica:
    """What all arrays say of one volume.

    :ivar sides: backend_id (None: home) -> values.Side, of those that answer
    :ivar manifest: the newest that could be verified, or None
    :ivar verdict: one of the words above
    :ivar side: where it is to be used
    """

    name_id: str
    sides: dict
    size_bytes: int = 0
    manifest: dict | None = None
    verdict: str = UNKNOWN
    detail: str = ''
    side: str | None = None
    facts: dict | None = None

    @property
    def primaries(self):
        """(epoch, side) of those that say that they are it, the largest epoch last."""
        return sorted(((each.epoch, side) for side, each in self.sides.items()
                       if each.role == 'primary'), key=lambda pair: (pair[0], pair[1] or ''))

    @property
    def epoch(self):
        return max((each.epoch for each in self.sides.values()), default=0)


class Rebuilding:
    """One run over one backend.

    :param host: ``host@backend``
    :param driver: its driver, which replicates; it need not be started
    :param trusts_home: take home at its word where a target does not answer
    """

    def __init__(self, conf, context, host, driver, trusts_home=False):
        self.conf = conf
        self.context = context
        self.host = host
        self.driver = driver
        self.trusts_home = trusts_home
        self.targets = {each.backend_id: each for each in driver.replication_targets()}
        self.silent = {}
        self._pool = f'{host}#{self._pool_name()}'

    def look(self):
        """A list of Replica, by name: what would be done with each."""
        known = {side: found for side in (None, *self.targets)
                 if (found := self._ask(side)) is not None}
        replicas = []
        for name_id in sorted({name for found in known.values() for name in found}):
            each = Replica(name_id, {side: found[name_id][0] for side, found in known.items()
                                     if name_id in found and found[name_id][0].role})
            each.size_bytes = max(found[name_id][1] for found in known.values() if name_id in found)
            raws = [found[name_id][3] for found in known.values() if name_id in found]
            self._choose_manifest(each, [raw for raw in raws if raw])
            if each.manifest is not None:
                self._judge(each)
            replicas.append(each)
        self._mark_present(replicas)
        return replicas

    def go(self):
        """Do it: a list of Replica, each with its result.  What is here already stays as it is."""
        replicas = self.look()
        for each in replicas:
            if each.verdict == TOMBSTONED:
                side = self.sides_of_other(each)
                replication_tombstones.put(
                    self.context, each.manifest['volume']['id'], each.sides[side].epoch,
                    self.targets[side].peer, each.manifest['volume']['project_id'],
                    {'backend_id': side, 'name_id': each.name_id})
        for unit in self._units([each for each in replicas if each.verdict in (REBUILT, BROKEN)]):
            self._rebuild(unit)
        return replicas

    @staticmethod
    def sides_of_other(each):
        """The side that was promoted last."""
        return each.primaries[-1][1]

    # what the arrays say

    def _ask(self, side):
        try:
            return self.driver.replicas(side)
        except exceptions.DriverError as fault:
            self.silent[side] = fault.message
            LOG.warning('%s of backend %s does not answer: %s', side or 'home', self.host,
                        fault.message)
            return None

    def _choose_manifest(self, each, raws):
        for raw in raws:
            try:
                document = manifest.read(raw)
                self._verify(document)
            except exceptions.ManifestRefused as fault:
                each.detail = fault.message
                continue
            if document['handle']['name_id'] == each.name_id and (
                    each.manifest is None or _age(document) > _age(each.manifest)):
                each.manifest, each.detail = document, ''
        if each.manifest is None and not each.detail:
            each.detail = 'no manifest lies beside its points on any array that answers'

    def _verify(self, document):
        """One of this cloud or one that a peer sent here."""
        here, ends = self.conf.replication.cloud, (document['from_cloud'], document['to_cloud'])
        if here not in ends:
            raise exceptions.ManifestRefused(reason=f'it is neither from nor for cloud {here}')
        other = next((each for each in ends if each != here), here)
        key = manifest.key_of(self.conf, other)
        if key is None and other != here:
            raise exceptions.ManifestRefused(reason=f'there is no key of cloud {other} here')
        if key is not None:
            manifest.check(document, key)

    def _judge(self, each):
        """Who has the volume now."""
        if not each.primaries:
            self._judge_unused(each)
            return
        epoch, side = each.primaries[-1]
        target = self.targets.get(side)
        is_home = None in {name for _, name in each.primaries}
        if target is not None and target.peer == each.manifest['from_cloud'] and not is_home:
            self._judge_unused(each)
        elif target is not None and target.cross_os:
            each.verdict = TOMBSTONED
            each.detail = f'promoted by cloud {target.peer} on {side} at epoch {epoch}'
        elif len(each.primaries) > 1:
            each.verdict, each.side = BROKEN, side
            each.detail = ', '.join(f'{name or "home"} is primary at epoch {number}'
                                    for number, name in each.primaries)
        elif missing := [name for name in self.targets
                         if name in self.silent and not self.trusts_home]:
            each.verdict, each.side = BROKEN, side
            each.detail = f'{", ".join(missing)} does not answer: it may have been promoted there'
        else:
            each.verdict, each.side = REBUILT, side
            each.detail = f'used at {side or "home"}, epoch {epoch}'

    def _judge_unused(self, each):
        if each.manifest['from_cloud'] != self.conf.replication.cloud:
            each.verdict = FOREIGN
            each.detail = f"replicated to here by cloud {each.manifest['from_cloud']}: import it"
            return
        each.verdict = BROKEN
        each.side = None if None in each.sides else next(iter(each.sides), None)
        each.detail = 'no array that answers says that it is primary'

    def _mark_present(self, replicas):
        told = {each.manifest['volume']['id']: each for each in replicas if each.manifest}
        for volume_id in replica_rebuilding.present(self.context, told):
            told[volume_id].verdict, told[volume_id].detail = PRESENT, 'its record is there'

    # records

    def _units(self, replicas):
        """Those that are protected together, together."""
        found = {}
        for each in replicas:
            said = each.manifest
            key = (said['group']['id'] if said['replication']['scope'] == 'group' and said['group']
                   else each.name_id)
            found.setdefault(key, []).append(each)
        return list(found.values())

    def _rebuild(self, unit):
        try:
            adopted = [self._volume(each) for each in unit]
            replica_rebuilding.rebuild(self.context, adopted, self._group(unit[0]),
                                       self._replication(unit),
                                       {each.manifest['volume']['id'] for each in unit
                                        if each.verdict == BROKEN})
        except (exceptions.BadRequest, exceptions.NotFound, exceptions.Conflict,
                exceptions.OverLimit, exceptions.DriverError) as fault:
            for each in unit:
                each.verdict, each.detail = UNKNOWN, fault.message

    def _volume(self, each):
        said, kind = each.manifest['volume'], each.manifest['type']
        location = self._location(each)
        return {
            'values': {
                'id': said['id'], 'name_id': each.name_id if each.name_id != said['id'] else None,
                **{name: said[name] for name in (
                    'project_id', 'user_id', 'name', 'description', 'bootable', 'multiattach',
                    'availability_zone')},
                'size': max(said['size'], -(-each.size_bytes // values.GIB)), 'host': self._pool,
                'volume_type_id': kind and self._type_id(kind['name']),
                'provider_location': location,
                'group_id': each.manifest['group'] and each.manifest['group']['id']},
            'metadata': said['metadata'], 'admin_metadata': said['admin_metadata'],
            'image_metadata': said['image_metadata'], 'created_at': moment(said['created_at']),
            'epoch': each.epoch + 1,
            'snapshots': [self._snapshot(one, location) for one in each.manifest['snapshots']
                          if self._has(each, one, location)]}

    def _location(self, each):
        """Where the volume is that a side has, as the driver says it."""
        if not each.primaries or each.side not in each.sides:
            return None
        member = values.Member(values.Volume(each.name_id, each.size_bytes))
        return self.driver.unfence(member, each.side, each.sides[each.side].epoch)

    @staticmethod
    def _snapshot(one, location):
        return {'values': {
            'id': one['id'], 'name_id': one['name_id'] if one['name_id'] != one['id'] else None,
            'name': one['name'], 'description': one['description'], 'size': one['size'],
            'provider_location': location},
            'metadata': one['metadata'], 'created_at': moment(one['created_at'])}

    def _has(self, each, one, location):
        """Whether the array has a snapshot; one that cannot be told is taken to be there."""
        if not capabilities.has(self.driver, capabilities.SnapshotConnect):
            return True
        snapshot = values.Snapshot(one['name_id'], each.name_id, one['size'] * values.GIB, location)
        try:
            self.driver.connect_snapshot(snapshot, _CONNECTOR)
            self.driver.disconnect_snapshot(snapshot, _CONNECTOR)
        except exceptions.ResourceMissing:
            each.detail += f'; snapshot {one["id"]} is not there'
            return False
        except exceptions.DriverError:
            return True
        return True

    def _type_id(self, name):
        try:
            found = volume_types.get_by_name_or_id(self.context, name)
        except exceptions.VolumeTypeNotFound as fault:
            raise exceptions.InvalidInput(reason=f'volume type {name} is missing') from fault
        if type_encryptions.get(self.context, found.id) is not None:
            raise exceptions.InvalidInput(reason=f'volume type {name} encrypts here')
        return found.id

    def _group(self, each):
        said, volume = each.manifest['group'], each.manifest['volume']
        if said is None:
            return None
        try:
            kind = group_types.get_by_name_or_id(self.context, said['type']['name'])
        except exceptions.GroupTypeNotFound as fault:
            raise exceptions.InvalidInput(
                reason=f"group type {said['type']['name']} is missing") from fault
        return {'values': {
            'id': said['id'], 'name': said['name'], 'description': said['description'],
            'project_id': volume['project_id'], 'user_id': volume['user_id'], 'host': self._pool,
            'availability_zone': said['availability_zone'], 'group_type_id': kind.id},
            'volume_type_ids': [self._type_id(name) for name in said['volume_types']]}

    def _replication(self, unit):
        """The record of the replication: replica_rebuilding.Protected, or None."""
        first = unit[0]
        said, target = first.manifest['replication'], self._target_of(first)
        if said['scope'] not in ('volume', 'group') or target is None:
            return None
        policy = replication_policy.merge(replication_policy.Policy(
            is_enabled=True, scope=said['scope'], mode=said['mode'],
            rpo_seconds=said['rpo_seconds']), None)
        state = _STATES[first.verdict == BROKEN, first.side is not None]
        away = first.side is not None
        columns = {
            'cross_os': target.cross_os, 'epoch': max(each.epoch for each in unit),
            'interval_seconds': self.driver.replication_interval(
                target.backend_id, policy.interval_seconds),
            'source_side': first.side, 'destination_side': None if away else target.backend_id,
            'is_shipping': not away and state != states.ERROR}
        if state == states.ERROR:
            columns |= {'error': first.detail, 'error_code': exceptions.SplitBrain.code,
                        'remedy': exceptions.SplitBrain.remedy,
                        'conditions': {'split_brain': _split(first)}}
        protected = (first.manifest['group']['id'] if said['scope'] == 'group'
                     else first.manifest['volume']['id'])
        return replica_rebuilding.Protected(policy, protected, target.backend_id, columns, state)

    def _target_of(self, each):
        """Where it is replicated to: the target that it is on, or that has a replica of it."""
        names = [each.side, *(side for side in each.sides if side is not None),
                 each.manifest['handle']['backend_id']]
        by_name = [self.targets[name] for name in names if name in self.targets]
        clouds = each.manifest['from_cloud'], each.manifest['to_cloud']
        by_cloud = [one for one in self.targets.values() if one.cross_os and one.peer in clouds]
        return next(iter([*by_name, *by_cloud]), None)

    def _pool_name(self):
        try:
            return self.driver.report()[0].name
        except exceptions.DriverError:
            return self.driver.settings.backend_name


_STATES = {(True, True): states.ERROR, (True, False): states.ERROR,
           (False, True): states.FAILED_OVER, (False, False): states.ENABLING}
"""(split brain, used at a target) -> state of the replication."""


def _split(each):
    """The condition, with both sides."""
    found = [(side or 'home', one) for side, one in sorted(
        each.sides.items(), key=lambda item: item[0] or '')][:2]
    facts = {'status': True, 'reason': each.detail}
    for word, (name, one) in zip(('local', 'remote'), found, strict=False):
        facts |= {f'{word}_side': name, f'{word}_epoch': one.epoch, f'{word}_role': one.role}
    return facts


def _age(document):
    return document['epoch'], document['issued_at']
