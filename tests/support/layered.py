"""The directory of a backend of qcow2 layers, as tests look at it."""
# SPDX-License-Identifier: Apache-2.0

import pathlib
import subprocess

import processes

from cinder_ext.drivers import values

_SIZE = values.GIB


def layer(directory, kind, name_id):
    """The path of what a ``volume`` or a ``snapshot`` is."""
    return (pathlib.Path(directory) / f'{kind}s' / f'{kind}-{name_id}').resolve()


def layers(directory):
    return sorted((pathlib.Path(directory) / 'layers').iterdir())


def flat(path, spare):
    """A raw file with what a layer holds, as QEMU itself reads it."""
    subprocess.run(['qemu-img', 'convert', '-q', '-f', 'qcow2', '-O', 'raw', path, spare], check=True)
    return spare


def let_go(driver, directory):
    """End the views that killed processes had open, and the daemon; return when all have ended."""
    views = pathlib.Path(directory) / 'views'
    for kind, name_id in (view.name.split('-', 1) for view in views.glob('*-*')):
        if kind == 'volume':
            driver.disconnect_volume(values.Volume(name_id, _SIZE), {})
        else:
            driver.disconnect_snapshot(values.Snapshot(name_id, '', _SIZE), {})
    driver.stop()
    processes.wait_for_the_end(views)
