"""Volumes go from one cloud to another: RPC endpoint of export and import."""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import dataclasses

import oslo_messaging
from oslo_log import log

from cinder_ext import exceptions
from cinder_ext.db import replica_facts, replica_handover, volumes
from cinder_ext.volume import values as row_values
from cinder_ext.volume.replication import manifest, taking

LOG = log.getLogger(__name__)

_PRIMARY = 'primary'


class CloudsEndpoint:
    """Methods as rpc/replication.py describes them; all are calls, and may be repeated.

    :param tools: replication.tools.Tools

    Version history::

        1.0 - export_replica, examine_replica, import_replica
    """

    target = oslo_messaging.Target(version='1.0')

    def __init__(self, tools):
        self._tools = tools

    def export_replica(self, ctxt, request):
        """A signed manifest of a volume; with ``clear_existing`` the record here is released."""
        name = request['volume_id']
        with _refusals(name, 'exported'):
            driver = self._tools.driver_of(ctxt, self._tools.host)
            return Handing(self._tools.conf, ctxt, driver, request).go()

    def examine_replica(self, ctxt, request):
        """What import_replica would do; nothing is changed."""
        with _refusals(_named(request), 'imported'):
            return self._taking(ctxt, request).examine()

    def import_replica(self, ctxt, request):
        """Take a volume, or all that share its points, from another cloud."""
        with _refusals(_named(request), 'imported'):
            return self._taking(ctxt, request).go()

    def _taking(self, ctxt, request):
        driver = self._tools.driver_of(ctxt, self._tools.host)
        return taking.Taking(self._tools.conf, ctxt, self._tools.host, driver, request)


def _named(request):
    return request.get('name_id') or 'of the manifest'


@contextlib.contextmanager
def _refusals(name, action):
    """What a backend cannot do, as an answer to who asked for it."""
    try:
        yield
    except (exceptions.BackendDown, exceptions.NoSpace) as fault:
        raise exceptions.ServiceUnavailable(reason=fault.message) from fault
    except exceptions.DriverError as fault:
        raise exceptions.ReplicaRefused(
            id=name, action=action, reason=fault.message.rstrip('.')) from fault


@dataclasses.dataclass(frozen=True)
class _Shown:
    """What a manifest says of a replication."""

    scope: str
    mode: str = 'async'
    rpo_seconds: int | None = None
    epoch: int = 0


class Handing:
    """One export.

    :param request: ``volume_id``, ``clear_existing``, and ``target`` (a backend_id) or None
    """

    def __init__(self, conf, context, driver, request):
        self.conf = conf
        self.context = context
        self.driver = driver
        self.request = request
        self.volume = volumes.get(context, request['volume_id'])
        replica_handover.refuse_kept(context, self.volume)

    def go(self):
        """``manifest`` (a dictionary), ``role`` of the replica there, ``released``."""
        target, side = self._target()
        self._refuse_stale(target, side)
        members = self._members(target)
        facts = replica_facts.of_volumes(self.context, [self.volume])[self.volume.id]
        latest = side.points[-1] if side.points else None
        point = {'id': latest and latest.id, 'taken_at': latest and manifest.timestamp(latest.taken_at)}
        shown = _Shown(scope='group' if len(members) > 1 else 'volume')
        document = manifest.parsed(manifest.document(
            self.conf, shown, facts, members, point, target, epoch=side.epoch))
        if self.request.get('clear_existing'):
            self._release(target, side, document)
        return {'manifest': document, 'role': side.role,
                'released': bool(self.request.get('clear_existing'))}

    def _target(self):
        """(values.ReplicationTarget, values.Side) of the other cloud that has a replica."""
        asked = self.request.get('target')
        targets = [each for each in self.driver.replication_targets()
                   if each.cross_os and asked in (None, each.backend_id)]
        if asked is not None and not targets:
            self._refuse(f'there is no target {asked} of another cloud')
        found = []
        for target in targets:
            side = self.driver.side(row_values.volume_value(self.volume), target.backend_id)
            if side.role is not None:
                found.append((target, side))
        if not found:
            self._refuse('it is not replicated to another cloud')
        if len(found) > 1:
            self._refuse('it is replicated to several targets of other clouds; name one as target')
        return found[0]

    def _refuse_stale(self, target, side):
        """Two sides say that they are primary, and the one here is the later one.

        An older one here is what may be released: the volume was taken over meanwhile.
        """
        if side.role != _PRIMARY:
            return
        try:
            home = self.driver.side(row_values.volume_value(self.volume), None)
        except exceptions.BackendDown:
            return
        if home.role == _PRIMARY and home.epoch >= side.epoch:
            self._refuse(f'it is in split brain: primary on {target.backend_id} at epoch {side.epoch}, '
                         f'and here at epoch {home.epoch}; resync it, and name the side to discard')

    def _members(self, target):
        known = self.driver.replicas(target.backend_id)
        name_id = self.volume.name_id or self.volume.id
        return sorted(set(known[name_id][2]) | {name_id}) if name_id in known else [name_id]

    def _release(self, target, side, document):
        """Only what is used there: else its content would belong to nobody."""
        if side.role != _PRIMARY:
            self._refuse(f'its role on {target.backend_id} is {side.role}: fail it over first')
        replica_handover.release(self.context, self.volume.id, side.epoch, target.peer,
                                 document['handle'])
        LOG.info('volume %s is released to cloud %s at epoch %s', self.volume.id, target.peer,
                 side.epoch)

    def _refuse(self, reason):
        raise exceptions.ReplicaRefused(id=self.volume.id, action='exported', reason=reason)
