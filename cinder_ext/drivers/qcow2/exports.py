"""The raw views that a directory's daemon shows, by what they show."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext.drivers import capabilities, values
from cinder_ext.drivers.generic import faults

_KINDS = ('volume', 'snapshot')


class Views(capabilities.Exports):
    """What capabilities.Exports says, of a driver with ``settings`` and a StorageDaemon ``_daemon``.

    What consumers reach by ``nfs`` is not among it: a file is there for all, or for none.
    """

    def list_exports(self):
        with faults.mapped(f'backend {self.settings.name}, listing views'):
            found = (name.partition('-') for name in self._daemon.names())
            return [values.Export(kind, name_id) for kind, _, name_id in found if kind in _KINDS]

    def withdraw_export(self, export):
        name = f'{export.kind}-{export.name_id}'
        with faults.mapped(f'backend {self.settings.name}, hiding {name}'):
            if name in self._daemon.names():
                self._daemon.withdraw(name)
