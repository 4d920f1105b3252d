"""An ext4 file system inside a device or plain file: made, changed and read without mounting it.

Needs no privilege: mkfs.ext4 copies a directory into the new file system, debugfs
writes and reads files of it, e2fsck checks it.
"""
# SPDX-License-Identifier: Apache-2.0

import hashlib
import os
import pathlib
import random
import subprocess

PATH = os.environ.get('PATH', '') + ':/usr/local/sbin:/usr/sbin:/sbin'
FOLDER = 'documents'


class Broken(Exception):
    """A tool of e2fsprogs failed; the text is what it said."""


def _run(*words, stdin=None):
    """Standard output of a tool.

    :raises Broken: its exit code was not 0
    """
    done = subprocess.run(words, input=stdin, capture_output=True, text=True,
                          start_new_session=True, check=False,
                          env={**os.environ, 'PATH': PATH, 'DEBUGFS_PAGER': 'cat'})
    if done.returncode:
        raise Broken(f"{' '.join(words)}: {done.stdout}{done.stderr}")
    return done.stdout


class FileSystem:
    """An ext4 file system whose files are known.

    ``files`` maps the names in ``/documents`` to the SHA-256 of their content.

    :param scratch: directory for the files that are put in
    :param seed: the content follows from it
    """

    def __init__(self, scratch, seed):
        self._scratch = pathlib.Path(scratch)
        self._random = random.Random(seed)
        self.files = {}

    def _write(self, name, smallest=1024, largest=1 << 18):
        """A file of random bytes on this side; its content is noted as expected."""
        content = self._random.randbytes(self._random.randint(smallest, largest))
        path = self._scratch / FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self.files[name] = hashlib.sha256(content).hexdigest()
        return path

    def make(self, device, count):
        """Format a device with ``count`` files in it."""
        for number in range(count):
            self._write(f'report-{number:04}.dat')
        _run('mkfs.ext4', '-q', '-F', '-L', 'quickstart', '-d', str(self._scratch), device)

    def change(self, device, removed, rewritten, added):
        """Remove, rewrite and add so many files, chosen at random."""
        chosen = self._random.sample(sorted(self.files), removed + rewritten)
        new = [f'draft-{self._random.getrandbits(48):012x}.dat' for _ in range(added)]
        lines = [f'cd /{FOLDER}', *(f'rm {name}' for name in chosen)]
        for name in chosen[:removed]:
            del self.files[name]
        for name in (*chosen[removed:], *new):
            lines.append(f'write {self._write(name)} {name}')
        _run('debugfs', '-w', '-f', '-', device, stdin='\n'.join(lines) + '\n')


def check(device):
    """What e2fsck says of a file system that it only reads; raises Broken when it is not clean."""
    return _run('e2fsck', '-fn', device).strip().splitlines()[-1]


def listing(device):
    """Names in ``/documents``, sorted, as debugfs lists them.

    A name without an inode was removed: the first entry of a directory's block stays,
    empty, as there is none before it that could take its room, and debugfs prints it.
    """
    lines = _run('debugfs', '-R', f'ls -p /{FOLDER}', device).splitlines()
    entries = [line.split('/') for line in lines if line.startswith('/')]
    names = [entry[5] for entry in entries if entry[1] != '0']
    return sorted(name for name in names if name not in ('.', '..'))


def contents(device, scratch):
    """name -> SHA-256 of every file in ``/documents``, read back by debugfs.

    :param scratch: empty directory
    """
    _run('debugfs', '-R', f'rdump /{FOLDER} {scratch}', device)
    found = pathlib.Path(scratch) / FOLDER
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in found.iterdir()}
