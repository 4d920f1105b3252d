"""A large file that arrives piece by piece: what has arrived is kept when it breaks off.

Its bytes follow from its key alone, so whoever writes to it writes the same ones; a checkpoint
says up to where they are on the medium.
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import fcntl
import json
import os

from cinder_ext import exceptions
from cinder_ext.drivers.generic import directories, partials

ENDING = '.staged'
NOTE_ENDING = '.staged.json'
CHECKPOINT_BYTES = 64 * 1024 ** 2
"""So much is moved again at most."""


class Staged:
    """A file on its way.

    :ivar descriptor: open for reading and writing
    :ivar done: offset up to which it is whole
    """

    def __init__(self, path, key, descriptor, done):
        self.descriptor, self.done = descriptor, done
        self._path, self._key = path, key
        self._unsafe_bytes = 0

    def moved(self, part):
        """All up to the end of a range has been written, so much of it just now."""
        self._unsafe_bytes += part.length
        if self._unsafe_bytes >= CHECKPOINT_BYTES:
            os.fdatasync(self.descriptor)
            note = self._path + NOTE_ENDING
            new = partials.new_name(note)
            with open(new, 'w', encoding='utf-8') as stream:
                json.dump({'key': self._key, 'done': part.end}, stream)
                stream.flush()
                os.fsync(stream.fileno())
            os.rename(new, note)
            self._unsafe_bytes, self.done = 0, part.end


@contextlib.contextmanager
def staged(path, key, fill):
    """A Staged that gets its name when the block ends well; else it is kept, unless there is no room.

    :param key: a list of JSON values that say what it will hold and what it was begun with
    :param fill: function(descriptor) that begins it
    """
    descriptor = _locked(path)
    try:
        made = Staged(path, key, descriptor, _done(path, key, descriptor))
        if not made.done:
            os.ftruncate(descriptor, 0)
            fill(descriptor)
        try:
            yield made
        except exceptions.NoSpace:
            _remove(path)
            raise
        os.fsync(descriptor)
        os.rename(path + ENDING, path)
        _drop(path + NOTE_ENDING)
        directories.sync(os.path.dirname(path))
    finally:
        os.close(descriptor)


def sweep(room):
    """Remove what is staged in a directory."""
    for name in os.listdir(room):
        if name.endswith((ENDING, NOTE_ENDING)):
            _drop(os.path.join(room, name))


def _locked(path):
    """The file of a name, which nobody else is at; another's loses the name."""
    while True:
        descriptor = os.open(path + ENDING, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW,
                             0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except BlockingIOError:
            os.close(descriptor)
            _remove(path)


def _done(path, key, descriptor):
    """Up to where a file of this key is whole; 0 when it is another one, or new."""
    try:
        with open(path + NOTE_ENDING, encoding='utf-8') as stream:
            note = json.load(stream)
    except (FileNotFoundError, ValueError):
        return 0
    is_ours = note['key'] == key and os.fstat(descriptor).st_size
    return note['done'] if is_ours else 0


def _remove(path):
    for ending in (NOTE_ENDING, ENDING):
        _drop(path + ending)


def _drop(path):
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
