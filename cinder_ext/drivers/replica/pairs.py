"""Begins and ends the replication of volumes between two arrays, and decides between two contents."""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import dataclasses
import functools
import os

from cinder_ext import exceptions
from cinder_ext.drivers import values
from cinder_ext.drivers.generic import directories
from cinder_ext.drivers.replica import points, roles, several, turns


def pair(members, source, destination, epoch):
    """See replication.Replication.pair."""
    name_ids = [member.volume.name_id for member in members]
    for array in (source, destination):
        array.prepare()
        for name_id in name_ids:
            array.check(name_id, is_write=True)
    _check_two(source, destination)
    for member in members:
        _check_source(source, member, epoch)
    with destination.held(name_ids, make=True):
        for member in members:
            _check_destination(destination, member, epoch)
        several.each_of(lambda name_id: _note(destination, name_id, roles.SECONDARY, epoch), name_ids)
    with source.held(name_ids, make=True):
        for member in members:
            _check_source(source, member, epoch)
        several.each_of(lambda name_id: _note(source, name_id, roles.PRIMARY, epoch, destination),
                        name_ids)


def unpair(members, source, destination):
    """See replication.Replication.unpair."""
    for member in members:
        _check_one_is_used(member.volume.name_id, source, destination)
    silent = []
    for array, end in ((source, _release), (destination, _remove)):
        try:
            array.check()
            for member in members:
                array.check(member.volume.name_id)
            several.each_of(functools.partial(end, array, destination), members)
        except exceptions.BackendDown:
            silent.append(array.side)
    return silent


def resync(members, source, discard, epoch):
    """See replication.Replication.resync."""
    name_ids = [member.volume.name_id for member in members]
    discard.prepare()
    for array in (source, discard):
        for name_id in name_ids:
            array.check(name_id, is_write=True)
    _check_two(source, discard)
    for name_id in name_ids:
        _check_winner(source, name_id, epoch)
    with source.held(name_ids):
        for name_id in name_ids:
            _check_winner(source, name_id, epoch)
            _note(source, name_id, roles.PRIMARY, epoch, discard)
    with discard.held(name_ids, make=True):
        for member in members:
            _give_up(member, source, discard, epoch)


def _check_two(first, second):
    """One directory under two names, or a copy of one, is no pair."""
    if first.identity == second.identity:
        raise exceptions.DriverError(
            reason=f'{roles.title(first)} and {roles.title(second)} are the same array')


def _check_role(array, member, epoch, side, wanted):
    """A volume's role on an array, which is the wanted one, or none, of no later epoch."""
    name_id = member.volume.name_id
    role = roles.read(array, name_id)
    if role.role not in (None, wanted):
        raise roles.split(name_id, f'{side} is {role.role}', role, array, epoch)
    if role.epoch > epoch:
        raise roles.split(name_id, f'{side} knows a larger epoch', role, array, epoch)
    return role


def _check_source(array, member, epoch):
    _check_role(array, member, epoch, 'the source', roles.PRIMARY)
    if not os.path.lexists(array.path(member.volume)):
        raise exceptions.ResourceMissing(name=f'{array.title}: volume {member.volume.name_id}')


def _check_destination(array, member, epoch):
    name_id = member.volume.name_id
    role = _check_role(array, member, epoch, 'the destination', roles.SECONDARY)
    if role.role is None and os.path.lexists(array.path(member.volume)):
        raise roles.split(name_id, 'the destination has a volume of this name that is its own',
                          role, array, epoch)


def _check_winner(array, name_id, epoch):
    role = roles.read(array, name_id)
    if role.role != roles.PRIMARY or role.epoch > epoch:
        raise roles.split(name_id, f'the side to be kept is {role.role or "unknown"}', role, array,
                          epoch)


def _note(array, name_id, wanted, epoch, peer=None):
    """Write a role down unless it stands there."""
    role = roles.read(array, name_id)
    new = dataclasses.replace(role, role=wanted, epoch=epoch)
    if peer is not None and peer.identity not in role.peers:
        new = dataclasses.replace(new, peers={**role.peers, peer.identity: roles.title(peer)})
    if new != role:
        roles.write(array, name_id, new)


def _give_up(member, source, discard, epoch):
    name_id = member.volume.name_id
    role = roles.read(discard, name_id)
    if role.epoch > epoch:
        raise roles.split(name_id, 'the side to be discarded knows a larger epoch', role, discard,
                          epoch)
    if role.role is None and os.path.lexists(discard.path(member.volume)):
        raise roles.split(name_id, 'the side to be discarded has a volume of this name that is '
                                   'its own', role, discard, epoch)
    common = {mark.id for mark in points.of(source, name_id)}
    turns.discard(discard, member, role, epoch, common)


def _check_one_is_used(name_id, source, destination):
    """Refuse to remove both contents, in the middle of a failover."""
    found = []
    for array in (source, destination):
        with contextlib.suppress(exceptions.BackendDown):
            array.check()
            found.append(roles.read(array, name_id).role)
    if found and set(found) == {roles.SECONDARY} and len(found) == 2:
        raise exceptions.ResourceBusy(reason=f'volume {name_id} is used on neither side now')


def _release(array, destination, member):
    """The volume is a plain one again, unless it is shipped elsewhere too."""
    volume = member.volume
    with _ending(array, volume):
        role = roles.read(array, volume.name_id)
        if role.role is None:
            _empty_again(array, volume.name_id)
        if role.role not in (roles.PRIMARY, roles.FENCED):
            return
        name = roles.title(destination)
        others = {identity: peer for identity, peer in role.peers.items() if peer != name}
        if others:
            roles.write(array, volume.name_id, dataclasses.replace(role, peers=others))
            return
        if role.role == roles.FENCED:
            turns.put_back(array, volume)
        _empty(array, volume.name_id)


def _remove(array, _destination, member):
    """What was received goes, also what was kept aside there."""
    volume = member.volume
    with _ending(array, volume):
        role = roles.read(array, volume.name_id)
        if role.role is None:
            _empty_again(array, volume.name_id)
        if role.role in (roles.SECONDARY, roles.FENCED):
            # A promotion that was killed may have left a file that nobody was given.
            with contextlib.suppress(FileNotFoundError):
                os.unlink(array.path(volume))
                directories.sync(os.path.dirname(array.path(volume)))
            _remove_shipped(array, volume.name_id)
            _empty(array, volume.name_id)


def _remove_shipped(array, name_id):
    """Snapshots of a side that was fenced and never demoted, as far as the other side has them."""
    shared = set(roles.bases(array, name_id).values())
    for mark in points.of(array, name_id):
        for snapshot in mark.snapshots(name_id) if mark.id in shared else ():
            with contextlib.suppress(FileNotFoundError):
                os.unlink(array.path(values.Snapshot(snapshot, name_id, 0)))


@contextlib.contextmanager
def _ending(array, volume):
    with (array.held([volume.name_id]), array.lock(array.path(volume)),
          array.mapped(f'ending the replication of {volume.name_id}')):
        yield


def _empty_again(array, name_id):
    """A room without a role is what a kill left, of its first moment or its last one."""
    if os.path.isdir(array.room(name_id)):
        _empty(array, name_id)


def _empty(array, name_id):
    """Remove the room of a volume; its role last, so that it is repeated after a kill."""
    room = array.room(name_id)
    points.remove(array, name_id, points.of(array, name_id))
    for name in sorted(os.listdir(room), key=lambda name: name in ('role.json', 'lock')):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(room, name))
    os.rmdir(room)
    directories.sync(array.volumes_room)
