"""A service with a qcow2 backend, a compute service, and servers that write all the time."""
# SPDX-License-Identifier: Apache-2.0

import os
import pathlib
import subprocess
import threading

import assisted_compute
import rest
import stamped_writer

EXPORT = '127.0.0.1:/export/alpha'
BACKEND = {'file_format': 'qcow2', 'file_export': EXPORT}
ENDED = ('available', 'error', 'error_deleting')
GONE = 'gone'


class LayerWatch:
    """Looks all the time whether a file that a guest has open loses its name.

    :param guests: function that returns them
    :ivar problems: what was seen, one sentence each
    """

    def __init__(self, guests, pause_seconds=0.05):
        self.problems = []
        self._guests, self._pause = guests, pause_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name='watch', daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exc_info):
        self._stopping.set()
        self._thread.join()

    def _run(self):
        before = {}
        while not self._stopping.wait(self._pause):
            now = {(guest.pid, *file): path for guest in self._guests()
                   for file, path in guest.open_files().items()}
            self.problems += [
                f'process {file[0]} has {path} open, which was {before.get(file, "not seen before")}'
                for file, path in now.items()
                if path.endswith(' (deleted)') or before.get(file, path) != path]
            before = now


class Seat:
    """A volume in use: its server, the guest, and what the guest writes."""

    def __init__(self, stage, volume_id):
        self.stage, self.volume_id = stage, volume_id
        self.server = stage.compute.boot()
        self.guest = stage.compute.attach(self.server, volume_id)
        self.was_killed = False
        self.log = stamped_writer.StampLog(seed=len(stage.seats))
        self.writer = stamped_writer.StampedWriter(self.guest, self.log)

    @property
    def device(self):
        return self.server.devices[self.volume_id]

    def names(self):
        """Of the volume's own files: its layer and its link."""
        return [self.stage.layer('volume', self.volume_id).name, f'volume-{self.volume_id}']

    def reboot(self):
        """Start the server again from its stored connection info, whether it was killed or not.

        :raises AssertionError: a write is missing that the guest had flushed
        """
        was_killed = not self.guest.is_alive
        self.was_killed = self.was_killed or was_killed
        self.writer.stop()
        self.guest = self.stage.compute.reboot(self.server, self.volume_id)
        if was_killed:
            self.log.survives(self.guest.path)
        else:
            self.log.cut_of(self.guest.path, self.log.acknowledged, self.log.started)
        self.writer = stamped_writer.StampedWriter(self.guest, self.log)

    def is_whole(self):
        """What the guest reads is what it wrote, each layer is sound, and its server knows the file."""
        with self.writer.held():
            for _, path in self.guest.chain():
                assert is_sound(path, self.was_killed), path
            assert self.log.cut_of(self.guest.path, self.log.acknowledged) == self.log.acknowledged
        self.writer.goes_on(20)

    def is_known(self):
        """The server would be started again from the file that its guest writes to."""
        self.stage.compute.refresh(self.device)
        assert self.stage.compute.path_of(self.device['connection_info']) == self.guest.path

    def leave(self):
        """Shut the server down and detach the volume; its content is whole then."""
        self.writer.stop()
        self.stage.compute.settle()
        self.stage.seats.remove(self)
        self.stage.compute.detach(self.server, self.volume_id)
        self.stage.api.wait_volume(self.volume_id)
        path = self.stage.layer('volume', self.volume_id)
        assert self.log.cut_of(path, self.log.acknowledged) == self.log.acknowledged


class Stage:
    """All of it; a context.

    :param service: an embedded service that was not started
    :param directory: of the compute service
    :param options: of the service: section -> option -> value
    """

    def __init__(self, service, directory, options=None):
        self.service, self.api = service, service.api
        self.layers = service.state_dir / 'alpha' / 'layers'
        self.compute = assisted_compute.AssistedCompute(
            directory, service.api.endpoint, {EXPORT: str(service.state_dir / 'alpha')})
        self.seats = []
        sections = {'alpha': BACKEND, 'nova': {'endpoint_override': self.compute.url},
                    'DEFAULT': {'sweep_interval': 1, 'report_interval': 2}}
        for section, values in (*sections.items(), *(options or {}).items()):
            service.options[section] = {**service.options.get(section, {}), **values}
        self._watch = LayerWatch(lambda: [seat.guest for seat in list(self.seats)])

    def __enter__(self):
        self.service.start()
        self.service.create_types()
        self.compute.__enter__()
        self._watch.__enter__()
        return self

    def __exit__(self, *exc_info):
        for snapshot_id, fault in self.compute.swallowed:
            print(f'snapshot {snapshot_id}: {type(fault).__name__} {fault}')
        for seat in self.seats:
            seat.writer.stop()
        self._watch.__exit__()
        self.service.kill()
        self.compute.__exit__()

    def seat(self, kind='daemon'):
        """A new volume, and a server that writes to it."""
        self.compute.kind = kind
        volume_id = self.api.create_volume(1, volume_type='alpha')['id']
        self.seats.append(Seat(self, volume_id))
        return self.seats[-1]

    def no_layer_was_taken(self):
        """No guest has lost the name of a file that it had open."""
        assert self._watch.problems == []

    def layer(self, kind, id_):
        """The file that a volume or a snapshot is, as the backend has it."""
        return pathlib.Path(os.path.realpath(self.layers.parent / f'{kind}s' / f'{kind}-{id_}'))

    def files(self):
        """Names of all layers and links of the backend."""
        return sorted(name for room in ('layers', 'volumes', 'snapshots', 'overlays', 'spares')
                      for name in os.listdir(self.layers.parent / room))

    def is_left(self, wanted, seconds=20):
        """Return when these are all files of the backend: what was merged stays for a while.

        :param wanted: function that returns their names
        """
        rest.wait_for(lambda: self.files() == sorted(wanted()), f'{wanted()} to be left', seconds)

    def request_snapshot(self, seat, name=None):
        """Ask for a snapshot of a volume in use; returns its id."""
        return self.api.create_snapshot(seat.volume_id, name, wait=False, force=True)['id']

    def status(self, snapshot_id):
        """The status of a snapshot, or GONE."""
        answer = self.api.request('GET', f'/snapshots/{snapshot_id}')
        return GONE if answer.status_code == 404 else answer.json()['snapshot']['status']

    def ends(self, snapshot_id, seconds=30):
        """How it ends what is being done with a snapshot."""
        def ended():
            found = self.status(snapshot_id)
            return found if found in (*ENDED, GONE) else None
        return rest.wait_for(ended, f'snapshot {snapshot_id} to come to rest', seconds, 0.02)

    def delete(self, snapshot_id, seconds=30):
        """Have a snapshot deleted; how that ends."""
        self.api.delete(f'/snapshots/{snapshot_id}')
        return self.ends(snapshot_id, seconds)


def is_sound(path, may_leak=False):
    """Whether qemu-img finds nothing wrong with a layer; its guest must have flushed.

    :param may_leak: whether space may be taken that nothing needs: a guest was killed
    """
    found = subprocess.run(['qemu-img', 'check', '-U', '-q', '-f', 'qcow2', str(path)], check=False)
    return found.returncode in ((0, 3) if may_leak else (0,))
