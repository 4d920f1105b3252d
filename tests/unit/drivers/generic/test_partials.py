"""Files appear whole, once, and leave nothing."""
# SPDX-License-Identifier: Apache-2.0

import os
import stat
import threading
import time

import pytest

from cinder_ext import exceptions
from cinder_ext.drivers.generic import directories, partials


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / 'volume-1.raw')


@pytest.fixture
def group(tmp_path):
    return [str(tmp_path / f'snapshot-{number}.raw') for number in range(3)]


def writes(content):
    """What fills one new file, or each of several."""
    def fill(descriptors):
        for descriptor in descriptors if isinstance(descriptors, list) else [descriptors]:
            os.write(descriptor, content)
    return fill


def fails(_descriptors):
    raise exceptions.NoSpace(reason='full')


def put(path, content=b''):
    with open(path, 'wb') as file:
        file.write(content)


def get(path):
    with open(path, 'rb') as file:
        return file.read()


def names(tmp_path):
    return sorted(os.listdir(tmp_path))


def names_of(group):
    return [os.path.basename(path) for path in group]


class Maker(threading.Thread):
    """A maker that stops in the middle: until then its partial is locked."""

    def __init__(self, made, *arguments):
        super().__init__()
        self._made, self._arguments = made, arguments
        self._is_at_it, self._may_end = threading.Event(), threading.Event()
        self.outcome = None

    def __enter__(self):
        self.start()
        assert self._is_at_it.wait(30)
        return self

    def __exit__(self, *_):
        self.end()

    def run(self):
        try:
            self.outcome = self._made(*self._arguments, self._fill)
        except exceptions.DriverError as fault:
            self.outcome = fault

    def _fill(self, descriptors):
        writes(b'slow')(descriptors)
        self._is_at_it.set()
        self._may_end.wait(30)

    def end(self):
        self._may_end.set()
        self.join()
        return self.outcome


def test_a_file_appears_whole_private_and_alone(tmp_path, path):
    seen = []

    def fill(descriptor):
        seen.append(os.path.lexists(path))
        os.write(descriptor, b'content')

    assert partials.create(path, fill) is True
    assert (seen, get(path), names(tmp_path)) == ([False], b'content', ['volume-1.raw'])
    status = os.stat(path)
    assert (stat.S_IMODE(status.st_mode), status.st_nlink) == (0o600, 1)


@pytest.mark.parametrize('is_flushed', [True, False])
def test_a_file_and_its_name_are_flushed_or_left_to_the_caller(tmp_path, path, monkeypatch,
                                                               is_flushed):
    flushed, fsync = [], os.fsync

    def note(descriptor):
        flushed.append(os.readlink(f'/proc/self/fd/{descriptor}'))
        fsync(descriptor)

    monkeypatch.setattr(os, 'fsync', note)
    assert partials.create(path, writes(b'content'), is_flushed)
    assert get(path) == b'content'
    assert [os.path.dirname(flushed[0]), flushed[1]] == [str(tmp_path)] * 2 if is_flushed \
        else flushed == []


def test_files_are_flushed_with_their_names(tmp_path, monkeypatch):
    flushed, fsync = set(), os.fsync

    def note(descriptor):
        flushed.add(os.readlink(f'/proc/self/fd/{descriptor}'))
        fsync(descriptor)

    monkeypatch.setattr(os, 'fsync', note)
    paths = [tmp_path / name for name in 'abc']
    opened = [os.open(path, os.O_RDWR | os.O_CREAT) for path in paths]
    directories.sync_all([], ())
    assert flushed == set()
    directories.sync_all(opened, {str(tmp_path)})
    assert flushed == {str(path) for path in (*paths, tmp_path)}
    monkeypatch.undo()
    for descriptor in opened:
        os.close(descriptor)
    with pytest.raises(OSError, match='Bad file descriptor'):
        directories.sync_all(opened, {str(tmp_path)})


def test_a_file_that_is_there_is_never_replaced_by_a_create(tmp_path, path):
    assert partials.create(path, writes(b'first'))
    assert partials.create(path, writes(b'second')) is False
    assert (get(path), names(tmp_path)) == (b'first', ['volume-1.raw'])


def test_two_makers_of_one_file_do_not_disturb_each_other(tmp_path, path):
    with Maker(partials.create, path) as slow:
        assert partials.create(path, writes(b'quick')) is True
        assert slow.end() is False
    assert (get(path), names(tmp_path)) == (b'quick', ['volume-1.raw'])


@pytest.mark.parametrize('make', [partials.create, partials.create_together])
def test_a_make_that_fails_leaves_nothing(tmp_path, path, make):
    with pytest.raises(exceptions.NoSpace):
        make([path] if make is partials.create_together else path, fails)
    assert names(tmp_path) == []


def test_a_replaced_file_is_the_old_one_until_the_end(tmp_path, path):
    put(path, b'old')
    with partials.replacing(path) as partial:
        os.write(partial.descriptor, b'new')
        assert get(path) == b'old'
        assert get(partial.path) == b'new'
    assert (get(path), names(tmp_path)) == (b'new', ['volume-1.raw'])


def test_a_replacement_that_fails_leaves_the_old_file(tmp_path, path):
    put(path, b'old')
    with pytest.raises(exceptions.NoSpace), partials.replacing(path):
        raise exceptions.NoSpace(reason='full')
    assert (get(path), names(tmp_path)) == (b'old', ['volume-1.raw'])


@pytest.mark.parametrize('kind', ['old', 'new'])
def test_what_killed_makers_left_is_swept_and_replaced(tmp_path, path, kind):
    left = f'{path}.partial' if kind == 'old' else partials.new_name(path)
    other = str(tmp_path / 'volume-10.raw.partial')
    put(left)
    put(other)
    assert partials.create(path, writes(b'content'))
    assert names(tmp_path) == ['volume-1.raw', 'volume-10.raw.partial']
    put(left)
    partials.sweep(str(tmp_path), '.qcow2')
    assert len(names(tmp_path)) == 3
    partials.sweep(str(tmp_path), '.raw')
    assert names(tmp_path) == ['volume-1.raw']


def test_what_is_being_made_is_not_swept(tmp_path, path):
    with Maker(partials.create, path) as slow:
        partials.sweep(str(tmp_path))
        partials.remove_left(path)
        assert slow.end() is True
    assert (get(path), names(tmp_path)) == (b'slow', ['volume-1.raw'])


@pytest.mark.parametrize('make', ['create', 'together'])
def test_what_is_deleted_while_it_is_made_does_not_come_back(tmp_path, path, make):
    arguments = ((partials.create, path) if make == 'create'
                 else (partials.create_together, [path]))
    with Maker(*arguments) as slow:
        partials.remove(path)
        outcome = slow.end()
    assert type(outcome) is exceptions.DriverError
    assert 'deleted' in str(outcome)
    assert names(tmp_path) == []


def test_what_is_deleted_while_it_is_replaced_does_not_come_back(tmp_path, path):
    with pytest.raises(exceptions.DriverError, match='deleted'), partials.replacing(path):
        partials.remove(path)
    assert names(tmp_path) == []


def test_files_of_a_group_appear_together(tmp_path, group):
    assert partials.create_together(group, writes(b'content')) is True
    assert names(tmp_path) == names_of(group)
    assert partials.create_together(group, fails) is False
    assert [get(path) for path in group] == [b'content'] * 3


def test_who_names_the_first_file_of_a_group_names_them_all(tmp_path, group):
    with Maker(partials.create_together, group) as slow:
        assert partials.create_together(group, writes(b'quick')) is True
        assert slow.end() is False
    assert [get(path) for path in group] == [b'quick'] * 3
    assert names(tmp_path) == names_of(group)


@pytest.mark.parametrize('named', [0, 2])
def test_what_a_killed_maker_of_a_group_has_named_goes_first(tmp_path, group, named):
    put(group[named], b'half')
    for path in group:
        put(partials.new_name(path))
    began = time.monotonic()
    assert partials.create_together(group, writes(b'whole'), patience_seconds=600) is True
    # It is dead: it was not waited for.
    assert time.monotonic() - began < 300
    assert [get(path) for path in group] == [b'whole'] * 3
    assert names(tmp_path) == names_of(group)


def test_a_maker_that_is_naming_a_group_is_waited_for(tmp_path, group):
    """Its first file has a name, the others are being made; a moment later they have theirs."""
    put(group[0], b'slow')
    with Maker(partials.create_together, group[1:]) as slow:
        threading.Timer(0.2, slow.end).start()
        assert partials.create_together(group, fails) is False
    assert [get(path) for path in group] == [b'slow'] * 3
    assert names(tmp_path) == names_of(group)


def test_a_maker_that_is_frozen_while_it_names_a_group_is_succeeded(tmp_path, group):
    put(group[0], b'half')
    with Maker(partials.create_together, group[1:]) as frozen:
        assert partials.create_together(group, writes(b'whole'), patience_seconds=0.2) is True
        assert isinstance(frozen.end(), exceptions.DriverError)
    assert [get(path) for path in group] == [b'whole'] * 3
    assert names(tmp_path) == names_of(group)


def test_a_group_of_which_another_file_is_there_leaves_it_as_it_was(tmp_path, group):
    """It came while the group was made: neither it nor a half-named group is the result."""
    with Maker(partials.create_together, group) as slow:
        put(group[1], b'other')
        assert isinstance(slow.end(), exceptions.ResourceBusy)
    assert (names(tmp_path), get(group[1])) == ([os.path.basename(group[1])], b'other')


def test_a_vanished_directory_is_no_success(tmp_path):
    path = str(tmp_path / 'room' / 'volume-1.raw')
    with pytest.raises(FileNotFoundError):
        partials.create(path, writes(b'content'))
    with pytest.raises(FileNotFoundError):
        partials.remove(path)
