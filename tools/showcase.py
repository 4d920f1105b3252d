"""The quickstart's volume: made, filled, snapshotted, moved, and looked at before and after."""
# SPDX-License-Identifier: Apache-2.0

import concurrent.futures
import contextlib
import dataclasses
import errno
import hashlib
import os
import pathlib
import shutil

import ext4

from cinder_ext.drivers.generic import extents

SNAPSHOTS = ('monday', 'tuesday', 'wednesday')
KEPT = ('id', 'name', 'description', 'created_at', 'metadata', 'size', 'status')
"""Fields of a volume and of a snapshot that a move must not change."""
SECTOR = 512
ZEROS = memoryview(bytes(1 << 20))


@dataclasses.dataclass
class State:
    """What can be seen of a volume and its snapshots from outside.

    ``digests``: name -> SHA-256 of the whole content.  ``records``: name -> the fields of KEPT.
    """

    digests: dict
    records: dict


class Showcase:
    """One volume with a file system and three snapshots.

    :param service: embedded.EmbeddedService, running
    :param scratch: directory for files on their way; the caller removes it
    :param say: called with a line for each thing that was done
    """

    def __init__(self, service, scratch, say, size_gib=1, files=400):
        self.service = service
        self.api = service.api
        self.size_gib = size_gib
        self._scratch = pathlib.Path(scratch)
        self._say = say
        self._count = files
        self.name = None
        self.volume = None
        self.snapshots = []
        self.expected = {}

    def build(self, name):
        """Make the volume on alpha, its file system, and snapshots with changes between them.

        :param name: unlike that of any other volume; all that is made has it in its own name
        """
        self.name = name
        self.volume = self.api.create_volume(self.size_gib, name=name, volume_type='alpha',
                                             metadata={'made-by': 'quickstart'})
        self._say(f'volume [bold]{name}[/] of {self.size_gib} GiB on '
                  f"{self.volume['os-vol-host-attr:host']}")
        content = ext4.FileSystem(self._scratch / 'files', seed=self.volume['id'])
        with self.attached(self.volume['id']) as device:
            content.make(device, self._count)
            ext4.check(device)
        self._say(f'ext4 with {len(content.files)} files in it, made in the attached device')
        for label in SNAPSHOTS:
            self.snapshots.append(self.api.create_snapshot(self.volume['id'], f'{name}-{label}'))
            self.expected[f'{name}-{label}'] = dict(content.files)
            with self.attached(self.volume['id']) as device:
                content.change(device, self._count // 40, self._count // 20, self._count // 30)
            self._say(f'snapshot [bold]{name}-{label}[/], then files removed, rewritten and added')
        self.expected[name] = dict(content.files)
        shutil.rmtree(self._scratch / 'files')

    def remove(self):
        """Remove all that was made, also after a run that broke off anywhere.

        :raises rest.ApiError: something is busy, a migration for instance
        """
        for kind, clear in (('volume', self._let_go), ('snapshot', self.api.delete_snapshot),
                            ('volume', self.api.delete_volume)):
            found = self.api.get(f'/{kind}s/detail')[f'{kind}s']
            for item in found:
                if self.name and self.name in item['name']:
                    clear(item['id'])

    def _let_go(self, volume_id):
        """Delete the attachments of a volume."""
        query = f'/attachments?volume_id={volume_id}'
        for attachment in self.api.get(query)['attachments']:
            self.api.detach(attachment['id'], volume_id)

    @contextlib.contextmanager
    def attached(self, volume_id):
        """The device path of a volume while it is attached to this host."""
        attachment_id, path = self.api.attach(volume_id)
        yield path
        self.api.detach(attachment_id, volume_id)

    @contextlib.contextmanager
    def readable(self, snapshot):
        """The device path of a temporary volume with the content of a snapshot."""
        made = self.api.create_volume(snapshot['size'], name='look-into-' + snapshot['name'],
                                      snapshot_id=snapshot['id'])
        with self.attached(made['id']) as path:
            yield path
        self.api.delete_volume(made['id'])

    def look(self):
        """The content and the records as they are now, read like any consumer reads them."""
        with contextlib.ExitStack() as open_now, \
                concurrent.futures.ThreadPoolExecutor(2) as threads:
            paths = {item['name']: open_now.enter_context(self.readable(item))
                     for item in self.snapshots}
            paths[self.volume['name']] = open_now.enter_context(self.attached(self.volume['id']))
            digests = dict(zip(paths, threads.map(sha256, paths.values()), strict=True))
        return State(digests, self._records())

    def _records(self):
        found = [self.api.volume(self.volume['id'])]
        found += [self.api.snapshot(item['id']) for item in self.snapshots]
        return {item['name']: {field: item[field] for field in KEPT} for item in found}

    def retype(self, new_type):
        """Ask for the move; the id of the migration's record."""
        before = self.api.latest_migration(self.volume['id'])
        self.api.retype(self.volume['id'], new_type)
        latest = self.api.latest_migration(self.volume['id'])
        assert before is None or latest['id'] != before['id'], 'the request has made no record'
        return latest['id']

    def read_back(self, snapshot):
        """e2fsck's last line, the listing and the content of a snapshot's file system."""
        scratch = self._scratch / 'read-back'
        scratch.mkdir()
        with self.readable(snapshot) as device:
            found = ext4.check(device), ext4.listing(device), ext4.contents(device, scratch)
        shutil.rmtree(scratch)
        return found

    def shares_blocks(self, backend):
        """Whether the snapshots of a backend share blocks with their volume."""
        pools = self.api.get('/scheduler-stats/get_pools?detail=true')['pools']
        return any(pool['capabilities'].get('reflink') for pool in pools
                   if pool['capabilities'].get('volume_backend_name') == backend)

    def full_copies_bytes(self):
        """Bytes of a full copy of the volume and of each snapshot, holes filled."""
        sizes = [self.volume['size'], *(item['size'] for item in self.snapshots)]
        return sum(sizes) << 30

    def files(self, backend):
        """The files of all volumes and snapshots of a backend."""
        return set((self.service.state_dir / backend).rglob('*.raw'))


def used_bytes(files):
    """Bytes that files take.

    :returns: (shared blocks counted once, every file for itself)
    """
    apart = sum(path.stat().st_blocks * SECTOR for path in files)
    try:
        return _unique_bytes(files), apart
    except OSError:
        # No FIEMAP (tmpfs, overlayfs): nothing is shared there either.
        return apart, apart


def sha256(path):
    """SHA-256 of a file, whole; the zeros of its holes are not read but counted in."""
    total = hashlib.sha256()
    with open(path, 'rb', buffering=0) as stream:
        size, done = os.fstat(stream.fileno()).st_size, 0
        while done < size:
            start = _next_data(stream.fileno(), done, size)
            for _ in range(done, start, len(ZEROS)):
                total.update(ZEROS[:start - done])
                done = min(done + len(ZEROS), start)
            piece = os.pread(stream.fileno(), len(ZEROS), done)
            total.update(piece)
            done += len(piece)
    return total.hexdigest()


def _next_data(descriptor, offset, size):
    """Where data begins at or after an offset; the size when only a hole follows."""
    try:
        return os.lseek(descriptor, offset, os.SEEK_DATA)
    except OSError as fault:
        if fault.errno != errno.ENXIO:
            raise
        return size


def _unique_bytes(files):
    """Bytes that files take together; where extents are shared they count once."""
    taken = {}
    for path in files:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            for extent in extents.fiemap(descriptor):
                taken[extent.physical] = max(extent.length, taken.get(extent.physical, 0))
        finally:
            os.close(descriptor)
    total, end = 0, -1
    for start in sorted(taken):
        stop = start + taken[start]
        total += max(0, stop - max(start, end))
        end = max(end, stop)
    return total
