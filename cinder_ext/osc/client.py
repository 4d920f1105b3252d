"""What our commands ask of the Block Storage API, each request at the version it needs."""
# SPDX-License-Identifier: Apache-2.0

import uuid

from openstack import exceptions as sdk_exceptions
from osc_lib import exceptions

MIGRATIONS = '3.74'
"""Microversion of the resource ``volume-migrations``."""


class Requests:
    """Requests to the service of one cloud.

    :param block_storage: openstacksdk's proxy of the service

    Every method raises osc_lib's CommandError with the service's own words when it refuses.
    """

    def __init__(self, block_storage):
        self._service = block_storage

    def volume(self, name_or_id):
        """A volume of any project, as openstacksdk shows it."""
        try:
            return self._service.find_volume(name_or_id, ignore_missing=False, all_projects=True)
        except sdk_exceptions.SDKException as fault:
            raise exceptions.CommandError(str(fault)) from fault

    def _request(self, method, path, microversion, **kwargs):
        try:
            answer = self._service.request(path, method, microversion=microversion,
                                           raise_exc=False, **kwargs)
        except sdk_exceptions.SDKException as fault:
            raise exceptions.CommandError(str(fault)) from fault
        if answer.status_code >= 400:
            raise _fault(answer)
        return answer.json() if answer.content else None


class Migrations(Requests):
    """Volume migrations of one cloud."""

    def list(self, **filters):
        """Records, newest first.

        :param filters: volume_id, phase, status ...; None is left out
        """
        wanted = {key: value for key, value in filters.items() if value is not None}
        answer = self._request('GET', '/volume-migrations', MIGRATIONS, params=wanted)
        return answer['volume_migrations']

    def get(self, migration_id):
        """One record with its links."""
        answer = self._request('GET', f'/volume-migrations/{migration_id}', MIGRATIONS)
        return answer['volume_migration']

    def find(self, name_or_id):
        """A record by its id, or the latest one of a volume by the volume's name or id."""
        if is_uuid(name_or_id):
            found = self._get_or_none(name_or_id)
            if found is not None:
                return found
        volume = self.volume(name_or_id)
        latest = self.latest(volume.id)
        if latest is None:
            raise exceptions.CommandError(f'Volume {name_or_id} has never been migrated.')
        return self.get(latest['id'])

    def latest(self, volume_id):
        """The newest record of a volume, without links; None when there is none."""
        found = self.list(volume_id=volume_id, sort='created_at:desc', limit=1)
        return found[0] if found else None

    def create(self, volume_id, **options):
        """Start a migration; returns its record.

        :param options: as the API names them; None is left out
        """
        return self._create(volume_id, options)['volume_migration']

    def preview(self, volume_id, **options):
        """What the preflight of such a migration says; nothing is begun."""
        return self._create(volume_id, {**options, 'dry_run': True})['preflight']

    def _create(self, volume_id, options):
        wanted = {key: value for key, value in options.items() if value is not None}
        return self._request('POST', '/volume-migrations', MIGRATIONS,
                             json={'volume_migration': {'volume_id': volume_id, **wanted}})

    def act(self, migration_id, action):
        """Ask an action of a migration; returns the record that it answers with.

        :param action: cancel, pause, resume, retry, retry-cleanup or acknowledge
        """
        answer = self._request('POST', f'/volume-migrations/{migration_id}/action', MIGRATIONS,
                               json={action: {}})
        return answer['volume_migration']

    def limit(self, migration_id, bytes_per_second):
        """Change how fast a migration may copy; 0: no limit."""
        answer = self._request('PUT', f'/volume-migrations/{migration_id}', MIGRATIONS,
                               json={'volume_migration': {'bandwidth': bytes_per_second}})
        return answer['volume_migration']

    def _get_or_none(self, migration_id):
        try:
            return self.get(migration_id)
        except exceptions.NotFound:
            return None


def _fault(answer):
    """The exception for a refused request, with the message of its body."""
    try:
        text = next(iter(answer.json().values()))['message']
    except (ValueError, AttributeError, KeyError, TypeError, StopIteration):
        text = answer.text
    text = f'{text} (HTTP {answer.status_code})'
    if answer.status_code == 404:
        return exceptions.NotFound(404, text)
    return exceptions.CommandError(text)


def is_uuid(text):
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True
