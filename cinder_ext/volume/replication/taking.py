"""Takes volumes from another cloud that lie on this backend's array: all is checked, then done.

The array says who a volume belongs to; a manifest says what it is.  Nothing is changed before every
volume that is asked for has passed every check.  Promoting is idempotent and recording is one
transaction, so that an import that was interrupted is simply asked for again.
"""
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import time

from oslo_db import exception as oslo_db_exception
from oslo_log import log
from oslo_utils import uuidutils

from cinder_ext import exceptions
from cinder_ext.db import replica_handover, replication_tombstones
from cinder_ext.drivers import values
from cinder_ext.objects import manifest
from cinder_ext.volume.replication import mapping
from cinder_ext.volume.replication.manifest import timestamp

LOG = log.getLogger(__name__)

PRIMARY, SECONDARY = 'primary', 'secondary'


@dataclasses.dataclass
class Found:
    """A replica on the array.

    :ivar side: values.Side
    :ivar manifest: a document, verified
    :ivar volume: models.Volume that it is here already, or None
    :ivar promoted: values.Promoted, once it is
    """

    name_id: str
    side: values.Side
    size_bytes: int
    manifest: dict
    volume: object = None
    promoted: values.Promoted | None = None

    @property
    def member(self):
        snapshots = tuple(
            values.Snapshot(each['name_id'], self.name_id, each['size'] * values.GIB)
            for each in self.manifest['snapshots'])
        return values.Member(values.Volume(self.name_id, self.size_bytes), snapshots)

    @property
    def is_primary(self):
        return self.side.role == PRIMARY

    @property
    def epoch(self):
        """Of the replica when it is used here."""
        return self.side.epoch + (0 if self.is_primary else 1)


class Taking:
    """One import.

    :param host: ``host@backend``
    :param driver: its driver, which replicates
    :param request: ``manifest`` (a dictionary) or ``name_id``; ``promote``, ``force``,
        ``with_group``, ``new_id`` (booleans); ``project_id``, ``user_id``, ``volume_types``
        (name there -> name here), ``group_type``, ``availability_zone``
    """

    def __init__(self, conf, context, host, driver, request):
        self.conf = conf
        self.context = context
        self.host = host
        self.driver = driver
        self.request = request
        self.targets = [each for each in driver.replication_targets() if each.cross_os and each.peer]
        self.others = {}

    def examine(self):
        """What an import would do, or why not; nothing is changed."""
        found, records = self._checked()
        return self._answer(found, records, self._point(found), is_done=False)

    def go(self):
        """Do it; what is here already stays as it is."""
        found, records = self._checked()
        point = self._point(found)
        self._fence(found)
        for each in found:
            if each.volume is None:
                each.promoted = self.driver.promote(
                    each.member, None, each.epoch, None if each.is_primary else point.id)
        self._record(found, records)
        return self._answer(found, records, point, is_done=True)

    def _checked(self):
        """(list of Found, mapping.Records) of all that are to be taken.

        :raises ReplicaRefused, ManifestRefused, ReplicaNotFound, InvalidInput: which one, and why
        """
        if not self.targets:
            raise exceptions.ReplicaRefused(
                id=self._name_id(), action='imported',
                reason=f'backend {self.host} has no replication_device of another cloud '
                       '(cross_os, peer)')
        found = self._look()
        for each in found:
            self._check_manifest(each)
        here = replica_handover.of_names(
            self.context, self.host, {each.name_id for each in found})
        for each in found:
            each.volume = here.get(each.name_id)
        new = [each for each in found if each.volume is None]
        for each in new:
            self._check_role(each)
        self._check_buried(new)
        records = mapping.Records(self.conf, self.context, self.host, self.driver, self.request, new)
        self._check_other_side(new)
        return found, records

    def _name_id(self):
        document = self.request.get('manifest')
        return self.request['name_id'] if document is None else str(
            (document.get('handle') or {}).get('name_id'))[:36]

    # what lies on the array

    def _look(self):
        given = self.request.get('manifest')
        if given is not None:
            given = manifest.read(given)
            self._verified(given)
        name_id = self._name_id()
        known = self.driver.replicas(None)
        if name_id not in known:
            raise exceptions.ReplicaNotFound(host=self.host, handle=name_id)
        names = {name_id, *known[name_id][2]} if self.request.get('with_group') else {name_id}
        lost = sorted(names - set(known))
        if lost:
            raise exceptions.ReplicaRefused(id=name_id, action='imported', reason=(
                f'{lost[0]} has points in common with it and is not there'))
        return [self._found(name, known[name], given if name == name_id else None)
                for name in sorted(names)]

    def _found(self, name_id, known, given):
        side, size_bytes, _group, raw = known
        if given is None and raw is None:
            raise exceptions.ReplicaRefused(id=name_id, action='imported', reason=(
                'no manifest lies beside its points; give one'))
        document = given
        if document is None:
            document = manifest.read(raw)
            self._verified(document)
        if document['handle']['name_id'] != name_id:
            raise exceptions.ManifestRefused(reason=f'it lies beside {name_id} and is of another')
        return Found(name_id, side, size_bytes, document)

    def _verified(self, document):
        sender = manifest.verify(self.conf, document)
        if sender not in {each.peer for each in self.targets}:
            raise exceptions.ManifestRefused(
                reason=f'it comes from cloud {sender}, to which backend {self.host} has no '
                       'replication_device')

    def _check_manifest(self, each):
        """Refuse a manifest that does not belong to what lies there now."""
        said, there = each.manifest['epoch'], each.side.epoch
        if said > there:
            self._refuse(each, f'the manifest is of epoch {said}, and the array is at epoch {there}')
        if said < there - 1:
            self._refuse(each, f'the manifest is replayed: it is of epoch {said}, and the array is at '
                               f'epoch {there}')

    def _check_role(self, each):
        """Refuse what nobody has promoted, unless that is asked for."""
        said, latest = each.manifest['point']['id'], each.side.points[-1:]
        is_given = self.request.get('manifest') is not None
        is_of_point = each.manifest['epoch'] < each.side.epoch or not each.is_primary
        if is_given and is_of_point and latest and said != latest[0].id:
            self._refuse(each, f'the manifest is older than what lies there (point {said}, and the '
                               f'newest one is {latest[0].id}); take it by its handle')
        if each.side.role not in (PRIMARY, SECONDARY):
            self._refuse(each, f'its role on the array is {each.side.role or "none"}')
        if not each.is_primary and not self.request.get('promote'):
            self._refuse(each, 'its role on the array is secondary: fail it over in cloud '
                               f"{each.manifest['from_cloud']} first, or ask to promote it when that "
                               'one is lost')
        if not each.is_primary and not each.side.points:
            self._refuse(each, 'no consistent point of it is there')
        if each.manifest['volume']['encrypted']:
            self._refuse(each, 'it is encrypted, and this service has no key manager by which it could '
                               'check that a key opens it')

    def _check_buried(self, new):
        stones = replication_tombstones.latest(
            self.context, [each.manifest['volume']['id'] for each in new])
        for each in new:
            stone = stones.get(each.manifest['volume']['id'])
            if stone is not None and stone.epoch >= each.epoch:
                raise replica_handover.buried(stone.volume_id, stone, each.epoch)

    def _refuse(self, each, reason):
        raise exceptions.ReplicaRefused(
            id=each.manifest['volume']['id'], action='imported', reason=reason)

    # the other side

    def _check_other_side(self, new):
        """Look at the array of the other cloud, if it answers; refuse to take a volume that is used."""
        for each in new:
            if each.is_primary:
                continue
            for target in self.targets:
                if target.peer != each.manifest['from_cloud']:
                    continue
                role = self._role_there(each, target)
                self.others[each.name_id, target.backend_id] = role
                if role == PRIMARY and not self.request.get('force'):
                    self._refuse(each, f'it is primary on {target.backend_id} of cloud {target.peer}, '
                                       'which answers: fail it over there, or use force')

    def _role_there(self, each, target):
        try:
            return self.driver.side(each.member.volume, target.backend_id).role
        except exceptions.BackendDown as fault:
            LOG.warning('replica %s: %s of cloud %s does not answer: %s', each.name_id,
                        target.backend_id, target.peer, fault.message)
            return 'unknown'

    def _fence(self, found):
        for each in found:
            for (name_id, backend_id), role in self.others.items():
                if name_id == each.name_id and role == PRIMARY:
                    try:
                        self.driver.fence(each.member, backend_id, each.epoch)
                    except exceptions.BackendDown as fault:
                        self.others[name_id, backend_id] = 'unknown'
                        LOG.warning('replica %s is not fenced on %s: %s', name_id, backend_id,
                                    fault.message)
                    else:
                        self.others[name_id, backend_id] = 'fenced'

    # points

    def _point(self, found):
        """The newest point that all members have; None where nothing is promoted."""
        waiting = [each for each in found if each.volume is None and not each.is_primary]
        if not waiting:
            return None
        shared = set.intersection(*({point.id for point in each.side.points} for each in waiting))
        begun = [each for each in found if each.is_primary]
        for each in begun:
            # Of an import that was killed: the others follow it to its point.
            shared &= {self.driver.promote(each.member, None, each.side.epoch).point.id}
        for point in reversed(waiting[0].side.points):
            if point.id in shared:
                return point
        return self._refuse(waiting[0], 'its members have no point in common')

    # records

    def _record(self, found, records):
        new = [each for each in found if each.volume is None]
        if not new:
            return
        adopted = records.adopted(new)
        try:
            replica_handover.adopt(self.context, adopted, records.group)
        except oslo_db_exception.DBDuplicateEntry as fault:
            raise exceptions.ReplicaRefused(
                id=adopted[0]['values']['id'], action='imported',
                reason='another import, or another volume, has taken its id meanwhile') from fault
        for each, made in zip(new, adopted, strict=True):
            LOG.info('volume %s is taken from cloud %s at epoch %s', made['values']['id'],
                     each.manifest['from_cloud'], each.epoch)

    def _answer(self, found, records, point, is_done):
        return {
            'backend': self.host,
            'from_cloud': found[0].manifest['from_cloud'],
            'group_id': records.group and records.group['values']['id'],
            'point': point and {'id': point.id, 'taken_at': timestamp(point.taken_at),
                                'age_seconds': round(max(0.0, time.time() - point.taken_at), 3)},
            'volumes': [self._described(each, records, is_done) for each in found],
        }

    def _described(self, each, records, is_done):
        made = each.volume.id if each.volume is not None else records.ids[each.name_id]
        there = {backend_id: role for (name_id, backend_id), role in self.others.items()
                 if name_id == each.name_id}
        missing = [one['id'] for one in each.manifest['snapshots']
                   if each.promoted is not None and one['name_id'] not in each.promoted.snapshots]
        return {'id': made, 'name_id': each.name_id,
                'role': PRIMARY if is_done else each.side.role,
                'epoch': each.epoch if is_done else each.side.epoch,
                'result': 'present' if each.volume is not None
                          else 'imported' if is_done else 'importable',
                'other_sides': there, 'missing_snapshots': missing}


def is_handle(name_id):
    """Whether a text can name a replica."""
    return isinstance(name_id, str) and uuidutils.is_uuid_like(name_id) and len(name_id) == 36
