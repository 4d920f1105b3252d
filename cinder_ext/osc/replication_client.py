"""What our commands ask of replications and their operations."""
# SPDX-License-Identifier: Apache-2.0

from osc_lib import exceptions

from cinder_ext.osc import client

VERSION = '3.76'
"""Microversion of the resource ``replications``."""


class Replications(client.Requests):
    """Replications of one cloud."""

    def list(self, **filters):
        """Replications, newest first.

        :param filters: scope, state, protected_id ...; None is left out
        """
        return self._ask('GET', '/replications', params=_said(filters))['replications']

    def get(self, replication_id):
        """One replication."""
        return self._ask('GET', f'/replications/{replication_id}')['replication']

    def find(self, wanted, scope=None, target=None):
        """A replication by its id, or that of a volume, group, pool or backend.

        :param wanted: id of a replication; name or id of a volume or group; host of a pool or
            backend
        :param scope: what ``wanted`` names; None: whatever fits
        :param target: the one to this target, where there are several
        """
        by_id = self.by_id(wanted) if scope is None else None
        if by_id is not None:
            return by_id
        scope, thing = self.thing(wanted, scope)
        found = self.list(scope=scope, protected_id=thing, target=target)
        if not found:
            raise exceptions.CommandError(f'{scope} {wanted} is not replicated as such.')
        if len(found) > 1:
            targets = ', '.join(each['target'] for each in found)
            raise exceptions.CommandError(
                f'{scope} {wanted} is replicated to {targets}: name a target.')
        return found[0]

    def by_id(self, wanted):
        """A replication by its id; None when there is none."""
        if not client.is_uuid(wanted):
            return None
        try:
            return self.get(wanted)
        except exceptions.NotFound:
            return None

    def thing(self, wanted, scope=None):
        """What a user has named, as the API calls it: (scope, id).

        Without a scope: what has an @ is a host; else a group, if there is one, else a volume.
        """
        if scope in ('pool', 'backend') or (scope is None and '@' in wanted):
            return scope or ('pool' if '#' in wanted else 'backend'), wanted
        if scope != 'volume':
            group_id = self._group_id(wanted)
            if group_id is not None:
                return 'group', group_id
            if scope == 'group':
                raise exceptions.CommandError(f'There is no group {wanted}.')
        return 'volume', self.volume(wanted).id

    def _group_id(self, name_or_id):
        """The id of a group; None when there is none."""
        if client.is_uuid(name_or_id):
            try:
                return self._ask('GET', f'/groups/{name_or_id}')['group']['id']
            except exceptions.NotFound:
                return None
        found = self._ask('GET', '/groups', params={'name': name_or_id, 'all_tenants': 1})['groups']
        if len(found) > 1:
            raise exceptions.CommandError(f'There are {len(found)} groups {name_or_id}: name an ID.')
        return found[0]['id'] if found else None

    def enable(self, scope, thing, **options):
        """Have something replicated; returns the replication."""
        body = {'scope': scope, 'id': thing, **_said(options)}
        return self._ask('POST', '/replications', json={'replication': body})['replication']

    def disable(self, replication_id):
        """End a replication."""
        self._ask('DELETE', f'/replications/{replication_id}')

    def act(self, replication_id, action, **options):
        """Ask an action; returns the operation that was begun, or of pause and resume the
        replication.
        """
        answer = self._ask('POST', f'/replications/{replication_id}/action',
                           json={action: _said(options)})
        return next(iter(answer.values()))

    def failover(self, **options):
        """Fail over what has no single replication; returns the operation."""
        return self._ask('POST', '/replications/failover',
                         json={'failover': _said(options)})['operation']

    def operations(self, **filters):
        """Operations, newest first."""
        return self._ask('GET', '/replication-operations', params=_said(filters))['operations']

    def operation(self, operation_id):
        """An operation with its members."""
        return self._ask('GET', f'/replication-operations/{operation_id}')['operation']

    def export_replica(self, volume_id, **options):
        """A manifest of a volume for another cloud; returns the whole answer."""
        return self._ask('POST', f'/volumes/{volume_id}/export-replica',
                         json={'export-replica': _said(options)})['export-replica']

    def import_replica(self, **options):
        """Take volumes from another cloud; returns the whole answer."""
        return self._ask('POST', '/volumes/import-replica',
                         json={'import-replica': _said(options)})['import-replica']

    def _ask(self, method, path, **kwargs):
        return self._request(method, path, VERSION, **kwargs)


def _said(options):
    """What a user has said; the rest is left to the service."""
    return {key: value for key, value in options.items() if value is not None}
