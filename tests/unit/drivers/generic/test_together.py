"""Copies of several files at one moment: on an XFS, with writers that come in between."""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import os

import pytest

from cinder_ext import exceptions
from cinder_ext.drivers.conformance import media
from cinder_ext.drivers.generic import reflink, together

MIB = 1024 ** 2


@pytest.fixture(scope='module')
def directory(tmp_path_factory):
    """A directory whose files can share blocks."""
    if os.geteuid() != 0:
        pytest.skip('mounting an XFS needs root')
    with media.mounted_xfs(tmp_path_factory.mktemp('medium')) as point:
        yield point


class Files:
    """``count`` files of 4 MiB with zeros on the medium, and new ones to copy them to."""

    def __init__(self, directory, count, opened):
        self.directory = directory
        self.pairs = []
        for number in range(count):
            source, target = (os.open(os.path.join(directory, f'{kind}{number}'),
                                      os.O_RDWR | os.O_CREAT | os.O_TRUNC)
                              for kind in ('source', 'target'))
            opened.callback(os.close, source)
            opened.callback(os.close, target)
            os.pwrite(source, bytes(4 * MIB), 0)
            # The first is the one that was written last: it is copied in the middle.
            os.utime(source, (0, count - number))
            self.pairs.append((source, target))
        os.sync()

    def write(self, number, content, offset=MIB):
        os.pwrite(self.pairs[number][0], content, offset)
        os.utime(self.pairs[number][0], (0, len(self.pairs) - number))

    def copied(self, length=1, offset=MIB):
        return [os.pread(target, length, offset) for _source, target in self.pairs]

    def share(self, copy=reflink.share, limit_seconds=0):
        together.share(self.pairs, limit_seconds, self.directory, copy)


@pytest.fixture
def files(directory):
    with contextlib.ExitStack() as opened:
        yield Files(directory, 3, opened)


class Disturbed:
    """Shares blocks as reflink does, and lets somebody write after some of the calls.

    :param writes: number of the call -> (number of the file, content) to write after it
    """

    def __init__(self, files, writes):
        self._files, self._writes = files, writes
        self.calls = 0

    def __call__(self, source, target):
        reflink.share(source, target)
        self.calls += 1
        for number, content in self._writes.get(self.calls, ()):
            self._files.write(number, content)


def test_files_at_rest_are_copied_in_one_attempt(files):
    copy = Disturbed(files, {})
    files.write(1, b'x')
    files.share(copy)
    assert files.copied() == [b'\0', b'x', b'\0']
    assert copy.calls == 5


def test_no_copy_has_what_was_written_after_what_another_lacks(files):
    """After its copy one file is written to, and after that one that is copied later."""
    files.share(Disturbed(files, {1: [(2, b'1'), (0, b'2')]}), limit_seconds=5)
    assert files.copied() == [b'2', b'\0', b'1']


@pytest.mark.parametrize('call', [1, 2, 3, 4])
def test_a_write_at_any_time_is_in_all_copies_or_in_none(files, call):
    files.share(Disturbed(files, {call: [(number, b'w') for number in range(3)]}),
                limit_seconds=5)
    assert files.copied() in ([b'w'] * 3, [b'\0'] * 3)


def test_a_write_of_the_same_bytes_is_seen_too(files):
    copy = Disturbed(files, {1: [(2, b'\0')]})
    files.share(copy, limit_seconds=5)
    assert copy.calls == 10


def test_the_file_written_last_may_be_written_to_after_its_copy(files):
    copy = Disturbed(files, {3: [(0, b'w')]})
    files.share(copy)
    assert files.copied() == [b'\0', b'\0', b'\0']
    assert copy.calls == 5


def test_files_that_are_written_to_all_the_time_are_not_copied(files):
    copy = Disturbed(files, {number: [(number % 3, b'w')] for number in range(100_000)})
    with pytest.raises(exceptions.ResourceBusy, match='without a pause'):
        files.share(copy, limit_seconds=0.2)
    assert copy.calls > 5


def test_a_file_that_grows_is_seen(files):
    def grow(source, target):
        reflink.share(source, target)
        if target == files.pairs[2][1] and os.fstat(source).st_size == 4 * MIB:
            os.ftruncate(source, 5 * MIB)

    files.share(grow, limit_seconds=5)
    assert os.fstat(files.pairs[2][1]).st_size == 5 * MIB


def test_a_single_file_is_copied_once(files):
    copy = Disturbed(files, {})
    together.share(files.pairs[:1], 0, files.directory, copy)
    assert copy.calls == 1


def test_nothing_to_copy_is_nothing(directory):
    together.share([], 0, directory)


def test_the_file_system_says_whether_it_can_tell(directory):
    assert together.is_served_by(directory)


def test_a_file_system_that_cannot_tell_is_not_served():
    assert not together.is_served_by('/dev/shm')


def test_no_file_without_a_name_stays(files):
    files.share()
    assert sorted(os.listdir(files.directory)) == [
        f'{kind}{number}' for kind in ('source', 'target') for number in range(3)]
