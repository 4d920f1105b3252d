"""The embedded service with the driver that has exports, and volumes whose content is known."""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import os
import pathlib

import embedded
import exporting_driver
import nova_player
import path_reader

SUPPORT = pathlib.Path(exporting_driver.__file__).parent


class ExportingService:
    """An embedded service whose backends' driver has exports; volumes are made on ``alpha``.

    :param options: more of the service's
    """

    def __init__(self, directory, backends=('alpha',), options=None):
        self.exports, self.plugins = directory / 'exports', directory / 'plugins'
        self.exports.mkdir()
        exporting_driver.register(self.plugins)
        driver = {'volume_driver': exporting_driver.NAME, 'export_path': self.exports}
        self.service = embedded.EmbeddedService(directory / 'state', backends=backends, options={
            'DEFAULT': {'sweep_interval': 1}, **dict.fromkeys(backends, driver), **(options or {})})
        self.service.environment = {'PYTHONPATH': os.pathsep.join((str(SUPPORT), str(self.plugins)))}
        self.wire = nova_player.Wire(self.service, self)
        self._volumes, self.stamps = {False: [], True: []}, {}

    def start(self):
        self.service.start()
        self.service.api.create_type('alone', {'volume_backend_name': 'alpha'})
        self.service.api.create_type('shared', {'volume_backend_name': 'alpha',
                                                'multiattach': '<is> True'})

    @contextlib.contextmanager
    def away(self):
        """The backend's directory is not there; what is exported is read all the same."""
        place = self.service.state_dir / 'alpha'
        place.rename(f'{place}.away')
        try:
            yield
        finally:
            place.with_name('alpha.away').rename(place)

    def take_volumes(self, count, is_shared):
        """Ids of volumes that nobody has."""
        free = self._volumes[is_shared]
        while len(free) < count:
            free.append(self._make_volume('shared' if is_shared else 'alone'))
        return [free.pop() for _ in range(count)]

    def give_back(self, volume_ids, is_shared):
        self._volumes[is_shared] += volume_ids

    def _make_volume(self, volume_type):
        volume_id = self.service.api.create_volume(1, volume_type=volume_type)['id']
        stamp = f'volume {volume_id}'.ljust(path_reader.STAMP_BYTES).encode()
        path = self.service.state_dir / 'alpha' / 'volumes' / f'volume-{volume_id}.raw'
        with open(path, 'r+b') as file:
            file.write(stamp)
        self.stamps[volume_id] = stamp
        return volume_id

    def exported(self, volume_id):
        """Hosts that reach a volume."""
        return sorted(path.parent.name for path in self.exports.glob(f'*/volume-{volume_id}'))

    def state(self, volume_id):
        """(status, attachments that it shows, [(attachment, its status)], hosts that reach it)."""
        shown = self.service.api.volume(volume_id)
        attached = self.service.api.get(f'/attachments/detail?volume_id={volume_id}')['attachments']
        return (shown['status'], sorted(each['attachment_id'] for each in shown['attachments']),
                sorted((each['id'], each['status']) for each in attached), self.exported(volume_id))
