"""Runs histories against a service that may die, beside a model that knows every byte."""
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import functools

import histories
import requests
import rest
from sparse import Content, noise

ACCEPTED, REFUSED, LOST = 'accepted', 'refused', 'lost'
"""What came of a request; LOST: the service died with it, so it may have been heard or not."""
PASSING = ('updated_at', 'os-vol-mig-status-attr:name_id', 'progress')
"""What of an answer may change by itself."""
POLICY_MOVES = ('on-demand', 'on-demand-include-snapshots')


class Difference(AssertionError):
    """The service and the model do not agree."""


@dataclasses.dataclass
class Snapshot:
    id: str
    content: Content
    row: dict


@dataclasses.dataclass
class Volume:
    """:ivar row: what the API must show, but for PASSING; empty until it was shown once
    :ivar wanted: what of that is known, whatever it shows
    """

    id: str
    content: Content
    wanted: dict
    row: dict = dataclasses.field(default_factory=dict)
    snapshots: list = dataclasses.field(default_factory=list)

    def show(self, shown):
        """Keep what the API shows at first, but for what is known."""
        self.row = self.row or shown
        self.row.update(self.wanted)
        self.wanted = {}

    @property
    def backend(self):
        return self.row['os-vol-host-attr:host'].partition('#')[2]


class Chronicle:
    """One history.

    :param service: mortal_service.MortalService, running and empty
    :ivar volumes: the model
    """

    def __init__(self, service):
        self.service = service
        self.api = service.api
        self.volumes = []
        self._names = 0
        self._touched = set()
        self._migrations = {}
        self._doomed = {}

    def run(self, history):
        """Run it to its end.

        :raises Difference: the service is not what the model is
        """
        self.round(histories.Round((histories.Create(2), histories.Create(0),)))
        self.round(histories.Round((histories.Write(0, ((0, 3_000_000, 1), (-70_000, 65536, 2))),)))
        for each in history:
            self.round(each)
        self._read_through_the_service()
        for volume in tuple(self.volumes):
            self._delete_volume(histories.DeleteVolume(0, True), volume)
        self._settle()
        self.compare()

    def round(self, each):
        """Begin some operations, let them be killed, wait for all to end, and compare all."""
        self._touched.clear()
        self.service.arm(each.kills)
        for operation in each.operations:
            handler = getattr(self, _HANDLERS[type(operation)])
            if isinstance(operation, histories.Create):
                handler(operation)
            elif self.volumes:
                handler(operation, self.volumes[operation.volume % len(self.volumes)])
        self._settle()
        self.compare()

    # Requests

    def _ask(self, what, certain, request, was_heard):
        """Send a request.

        :param certain: True when it must be accepted, False when it must be refused, None when
            it may be either
        :param was_heard: asked of the next service when the first died with the request
        :returns: (whether it was accepted, the answer or what ``was_heard`` returned)
        """
        answer = None
        try:
            answer = request()
            outcome = ACCEPTED
        except requests.RequestException:
            self.service.succeed()
            answer = self.service.alive(was_heard)
            return bool(answer), answer
        except rest.ApiError as refusal:
            if refusal.status not in (400, 404, 409):
                raise Difference(f'{what}: {refusal}') from refusal
            outcome, answer = REFUSED, refusal
        if certain is not None and certain != (outcome == ACCEPTED):
            raise Difference(f'{what} was {outcome}: {answer}')
        return outcome == ACCEPTED, answer

    def _act(self, volume, certain, body, was_heard):
        return self._ask(f'{body} of {volume.id}', certain,
                         lambda: self.api.post(f'/volumes/{volume.id}/action', body), was_heard)

    def _is_idle(self, volume):
        """Nothing else was begun with the volume in this round; something is from now on."""
        idle = volume.id not in self._touched
        self._touched.add(volume.id)
        return idle

    def _name(self):
        self._names += 1
        return f'thing {self._names}'

    def _find(self, kind, name):
        found = [each for each in self.api.get(f'/{kind}/detail')[kind] if each['name'] == name]
        return {kind[:-1]: found[0]} if found else None

    # Operations

    def _create(self, operation):
        self._make({'size': 1, 'volume_type': histories.TYPES[operation.type % 3],
                    'metadata': {'made': 'empty'}}, Content(1), True)

    def _clone(self, operation, volume):
        idle = self._is_idle(volume)
        if operation.snapshot is None or not volume.snapshots:
            origin, content = {'source_volid': volume.id}, volume.content
        else:
            snapshot = volume.snapshots[operation.snapshot % len(volume.snapshots)]
            origin, content = {'snapshot_id': snapshot.id}, snapshot.content
        size = content.size_gib + operation.larger
        self._make({'size': size, **origin, 'metadata': {'made': 'as a clone'}},
                   content.copy(size), True if idle else None)

    def _make(self, values, content, certain):
        values['name'] = self._name()
        wanted = {key: values[key] for key in values.keys() & {
            'name', 'metadata', 'size', 'volume_type', 'snapshot_id', 'source_volid'}}
        made, answer = self._ask(f'creating {values}', certain,
                                 lambda: self.api.post('/volumes', {'volume': values}),
                                 lambda: self._find('volumes', values['name']))
        if made:
            volume = Volume(answer['volume']['id'], content, dict(wanted))
            self._touched.add(volume.id)
            self.volumes.append(volume)

    def _write(self, operation, volume):
        if not self._is_idle(volume):
            return
        size = volume.content.size_gib * 1024 ** 3
        try:
            attachment_id, path = self.api.attach(volume.id)
            with open(path, 'r+b', buffering=0) as disk:
                for offset, length, seed in operation.places:
                    disk.seek(offset % size)
                    data = noise(seed, min(length, size - offset % size))
                    disk.write(data)
                    volume.content.write(offset % size, data)
            self.api.delete(f'/attachments/{attachment_id}')
        except requests.RequestException:
            self.service.succeed()
            self.service.alive(functools.partial(self._let_go, volume))

    def _let_go(self, volume):
        """Remove the attachments that a client lost the answers about."""
        for each in self.api.get(f'/attachments?volume_id={volume.id}')['attachments']:
            self.api.request('DELETE', f"/attachments/{each['id']}")
        return True

    def _snapshot(self, operation, volume):
        certain = True if self._is_idle(volume) else None
        name = self._name()
        body = {'snapshot': {'volume_id': volume.id, 'name': name, 'metadata': {'of': 'a history'}}}
        made, answer = self._ask(f'{body}', certain, lambda: self.api.post('/snapshots', body),
                                 lambda: self._find('snapshots', name))
        if made:
            volume.snapshots.append(Snapshot(answer['snapshot']['id'], volume.content.copy(), {}))

    def _delete_snapshot(self, operation, volume):
        if not volume.snapshots:
            return
        certain = True if self._is_idle(volume) else None
        snapshot = volume.snapshots[operation.snapshot % len(volume.snapshots)]
        path = f'/snapshots/{snapshot.id}'
        if self._ask(f'DELETE {path}', certain, lambda: self.api.call('DELETE', path) or True,
                     lambda: self._is_going(path, 'snapshot'))[0]:
            volume.snapshots.remove(snapshot)

    def _delete_volume(self, operation, volume):
        certain = operation.cascade or not volume.snapshots
        path = f'/volumes/{volume.id}'
        query = '?cascade=True' if operation.cascade else ''
        if self._ask(f'DELETE {path}{query}', certain if self._is_idle(volume) else None,
                     lambda: self.api.call('DELETE', path + query) or True,
                     lambda: self._is_going(path, 'volume'))[0]:
            self.volumes.remove(volume)

    def _is_going(self, path, kind):
        found = self.api.request('GET', path)
        return found.status_code == 404 or found.json()[kind]['status'] == 'deleting'

    def _extend(self, operation, volume):
        new_size = volume.content.size_gib + 1

        def was_heard():
            found = self.api.volume(volume.id)
            return found['size'] == new_size or found['status'] == 'extending'

        if self._act(volume, True if self._is_idle(volume) else None,
                     {'os-extend': {'new_size': new_size}}, was_heard)[0]:
            volume.content.size_gib = volume.wanted['size'] = new_size

    def _revert(self, operation, volume):
        idle, latest = self._is_idle(volume), volume.snapshots[-1] if volume.snapshots else None
        fits = latest is not None and latest.content.size_gib == volume.content.size_gib

        def was_heard():
            return fits and (
                self.api.volume(volume.id)['status'] == 'reverting'
                or latest.content.difference(self.service.path_of(volume.id)) is None)

        if self._act(volume, fits if idle else None,
                     {'revert': {'snapshot_id': latest.id if latest else volume.id}}, was_heard)[0]:
            volume.content = latest.content.copy()

    def _rename(self, operation, volume):
        name = f'name {operation.name} {self._name()}'
        # Not while it is locked for a migration.
        if self._ask('renaming', None if volume.id in self._touched else True,
                     lambda: self.api.call('PUT', f'/volumes/{volume.id}',
                                           {'volume': {'name': name, 'description': name * 2}}),
                     lambda: self.api.volume(volume.id)['name'] == name)[0]:
            volume.wanted.update(name=name, description=name * 2)

    def _retype(self, operation, volume):
        wanted = histories.TYPES[operation.type % 3]
        certain = wanted != volume.row.get('volume_type') if self._is_idle(volume) else None
        needs_move = wanted not in ('any', volume.backend) if volume.row else None
        moves = operation.policy == POLICY_MOVES[1] or (
            operation.policy == POLICY_MOVES[0] and not volume.snapshots)
        phase = {True: 'finished' if moves else 'refused', False: 'unneeded'}.get(needs_move)
        if certain is None:
            # It may be on its way elsewhere, or to another type.
            phase = None
        self._begin_move(volume, certain, {'os-retype': {
            'new_type': wanted, 'migration_policy': operation.policy}}, phase)

    def _migrate(self, operation, volume):
        idle = self._is_idle(volume)
        if not volume.row:
            return
        backend = 'beta' if volume.backend == 'alpha' else 'alpha'
        certain = (operation.include or not volume.snapshots) if idle else None
        self._begin_move(volume, certain, {'os-migrate_volume': {
            'host': f'host@{backend}#{backend}', 'include_snapshots': operation.include,
            'lock_volume': operation.lock}},
            # Its type may be being changed.
            None if not idle else 'finished' if volume.row['volume_type'] == 'any' else 'failed')

    def _begin_move(self, volume, certain, body, phase):
        before = self.service.migration_ids(volume.id)
        if self._act(volume, certain, body,
                     lambda: self.service.migration_ids(volume.id) - before)[0]:
            migration_id, = self.service.migration_ids(volume.id) - before
            self._migrations[migration_id] = (volume, phase)

    def _steer(self, operation, volume):
        """Cancel, pause, resume; what was accepted holds, whoever dies.  None stays paused."""
        found = [each for each, (moved, _) in self._migrations.items() if moved is volume]
        if not found:
            return
        for events, verb in operation.steps:
            self.service.pass_events(events)
            accepted, _ = self._ask(
                f'{verb} of {found[-1]}', None, functools.partial(self._ask_of, found[-1], verb),
                lambda verb=verb: self._phase(found[-1]) in _SHOWS[verb])
            if accepted and verb == 'cancel':
                self._migrations[found[-1]] = (volume, 'cancelled')
        self.service.alive(lambda: self._phase(found[-1]) != 'paused'
                           or self._ask_of(found[-1], 'resume'))

    def _ask_of(self, migration_id, verb):
        return self.api.post(f'/volume-migrations/{migration_id}/action', {verb: {}})

    def _phase(self, migration_id):
        return self.api.migration(migration_id)['phase']

    # Comparing

    def _settle(self):
        """Wait until the service has done what it was asked for, through the deaths that come."""
        self.service.settle()
        for migration_id, (volume, expected) in self._migrations.items():
            self._follow(self.api.migration(migration_id), volume, expected)
        self._migrations.clear()
        for volume in self.volumes:
            volume.show(volume.row or self.api.volume(volume.id))
            for snapshot in volume.snapshots:
                if not snapshot.row:
                    snapshot.row = self.api.snapshot(snapshot.id)

    def _follow(self, record, volume, expected):
        """Take a migration's outcome into the model."""
        if record['phase'] != (expected or record['phase']) or record['leftovers']:
            raise Difference(f'a migration should be {expected} and is {record}')
        shown = record['migration_status']
        volume.wanted.update({'migration_status': shown, 'os-vol-mig-status-attr:migstat': shown})
        if record['phase'] in ('finished', 'unneeded'):
            kind = record['destination']['type']
            ids = {each['name']: each['id'] for each in self.api.get('/types')['volume_types']}
            volume.wanted.update({'volume_type': kind, 'volume_type_id': ids[kind]})
        if record['phase'] == 'finished':
            volume.wanted['os-vol-host-attr:host'] = record['destination']['host']

    def compare(self):
        """Rows, bytes, files, what the project uses: all as the model has it."""
        faults = [*self._rows('volumes', self.volumes),
                  *self._rows('snapshots', [each for volume in self.volumes
                                            for each in volume.snapshots]),
                  *self._files(), *self._usage(), *self.service.rests()]
        if faults:
            raise Difference('\n'.join(faults))

    def _rows(self, kind, things):
        shown = {each['id']: each for each in self.api.get(f'/{kind}/detail')[kind]}
        expected = {each.id: each.row for each in things}
        if shown.keys() != expected.keys():
            yield (f'{kind}: not there: {sorted(expected.keys() - shown.keys())}, '
                   f'there: {[shown[each] for each in shown.keys() - expected.keys()]}')
        for id_ in shown.keys() & expected.keys():
            if shown[id_]['status'] != 'available':
                yield f'{kind} {id_} is {shown[id_]["status"]}'
            for key in (shown[id_].keys() | expected[id_].keys()) - set(PASSING):
                if shown[id_].get(key) != expected[id_].get(key):
                    yield (f'{kind} {id_}: {key} is {shown[id_].get(key)!r}, '
                           f'not {expected[id_].get(key)!r}')

    def _files(self):
        paths = {}
        for volume in self.volumes:
            for each in (volume, *volume.snapshots):
                paths[self.service.path_of(each.id)] = each
        present = self.service.files()
        for path in sorted(present ^ paths.keys(), key=str):
            yield f'{path} is {"left over" if path in present else "not there"}'
        for path in present & paths.keys():
            fault = paths[path].content.difference(path)
            if fault:
                yield f'{paths[path].id}: {fault}'

    def _usage(self):
        shown = self.api.get(f'/os-quota-sets/{self.api.endpoint.rpartition("/")[2]}?usage=True')
        snapshots = [each for volume in self.volumes for each in volume.snapshots]
        for name, expected in (
                ('volumes', len(self.volumes)), ('snapshots', len(snapshots)),
                ('gigabytes', sum(each.content.size_gib for each in (*self.volumes, *snapshots)))):
            if shown['quota_set'][name]['in_use'] != expected:
                yield f'{name} in use: {shown["quota_set"][name]}, not {expected}'

    def _read_through_the_service(self):
        """Read each volume as a consumer does, and one snapshot of each as a clone of it."""
        for volume in tuple(self.volumes):
            attachment_id, path = self.api.attach(volume.id)
            fault = volume.content.difference(path)
            self.api.detach(attachment_id, volume.id)
            if fault:
                raise Difference(f'{volume.id} through an attachment: {fault}')
            if volume.snapshots:
                self._touched.clear()
                self._clone(histories.Clone(0, 0, False), volume)
        self._settle()
        self.compare()


_SHOWS = {'cancel': ('cancelling', 'cancelled'), 'pause': ('paused',),
          'resume': ('preflight', 'copying', 'verifying')}
"""Phases that show that a verb was heard, when its answer was lost."""

_HANDLERS = {
    histories.Create: '_create', histories.Write: '_write', histories.Snapshot: '_snapshot',
    histories.DeleteSnapshot: '_delete_snapshot', histories.DeleteVolume: '_delete_volume',
    histories.Extend: '_extend', histories.Revert: '_revert', histories.Clone: '_clone',
    histories.Rename: '_rename', histories.Retype: '_retype', histories.Migrate: '_migrate',
    histories.Steer: '_steer',
}
