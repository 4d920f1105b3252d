"""A driver for tests that has exports: a volume is reached by a path of each host's own.

``exports/HOST/volume-NAME_ID`` below ``export_path`` is a hard link to the volume's file.  It
appears with a host's connection and goes when that is taken back, whoever else uses it: who
counts the users is the service.  A reader that has been given the path keeps it while the
directory of the backend is away, as a consumer on a storage network does while only the
management of its array is away.  Each call that did something is a line of ``exports/calls``.
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import os
import pathlib
import re

from oslo_config import cfg

from cinder_ext import exceptions
from cinder_ext.drivers import file, values

NAME = 'exporting'
"""What ``volume_driver`` calls it."""

_HOST = re.compile(r'[0-9A-Za-z][0-9A-Za-z.-]{0,63}')


def register(directory):
    """Make the driver known to a process that has a directory in its PYTHONPATH, as a package does."""
    made = pathlib.Path(directory) / f'{NAME}_driver-1.0.dist-info'
    made.mkdir(parents=True)
    (made / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {NAME}-driver\nVersion: 1.0\n')
    (made / 'entry_points.txt').write_text(
        f'[cinder_ext.drivers]\n{NAME} = exporting_driver:ExportingDriver\n')


class ExportingDriver(file.FileDriver):
    """The file driver, with exports."""

    @classmethod
    def options(cls):
        return [*super().options(),
                cfg.StrOpt('export_path', help='Existing directory for the exports of all hosts.')]

    def connect_volume(self, volume, connector):
        super().connect_volume(volume, connector)
        export = self._export(volume, connector['host'])
        array = self._array_of(volume)
        with array.mapped(f'exporting {volume.name_id}'):
            os.makedirs(os.path.dirname(export), exist_ok=True)
            with contextlib.suppress(FileExistsError):
                os.link(array.path(volume), export)
                self._note('connect', volume, connector['host'])
        return values.ConnectionInfo('local', {'device_path': export, 'access_mode': 'rw'})

    def disconnect_volume(self, volume, connector):
        host = connector.get('host')
        with self._array_of(volume).mapped(f'taking back {volume.name_id}'):
            os.stat(os.path.join(self._base, 'volumes'))
            for each in [host] if host else self._hosts():
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self._export(volume, each))
                    self._note('disconnect', volume, each)

    def _export(self, volume, host):
        if not _HOST.fullmatch(host):
            raise exceptions.DriverError(reason=f'{host!r} is not fit for a directory')
        return os.path.join(self.settings.options.export_path, host, f'volume-{volume.name_id}')

    def _hosts(self):
        with os.scandir(self.settings.options.export_path) as entries:
            return [entry.name for entry in entries if entry.is_dir()]

    def _note(self, call, volume, host):
        with open(os.path.join(self.settings.options.export_path, 'calls'), 'a') as file_:
            file_.write(f'{call} {host} {volume.name_id}\n')
