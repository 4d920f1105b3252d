"""The content of volumes as a model knows it: pages of a sparse space, the rest zeros."""
# SPDX-License-Identifier: Apache-2.0

import hashlib
import os
import random

PAGE = 65536
GIB = 1024 ** 3
_ZEROS = bytes(PAGE)


class Content:
    """What a volume or a snapshot holds: page number -> bytes, for the pages that are not zero.

    Pages are never changed in place, so a copy costs its dictionary only.
    """

    def __init__(self, size_gib, pages=()):
        self.size_gib = size_gib
        self.pages = dict(pages)

    def copy(self, size_gib=None):
        return Content(size_gib or self.size_gib, self.pages)

    def write(self, offset, data):
        """Note bytes that were written."""
        while data:
            number, start = divmod(offset, PAGE)
            part, data = data[:PAGE - start], data[PAGE - start:]
            page = self.pages.get(number, _ZEROS)
            self._put(number, page[:start] + part + page[start + len(part):])
            offset += len(part)

    def _put(self, number, page):
        if page == _ZEROS:
            self.pages.pop(number, None)
        else:
            self.pages[number] = page

    def difference(self, path):
        """One sentence when a file does not hold exactly this; None when it does."""
        size = os.stat(path).st_size
        if size != self.size_gib * GIB:
            return f'{path} has {size} bytes, not {self.size_gib} GiB'
        found = dict(_pages(path, size))
        wrong = sorted(number for number in found.keys() | self.pages.keys()
                       if found.get(number) != self.pages.get(number))
        if not wrong:
            return None
        return (f'{path} differs in {len(wrong)} pages of {PAGE}: ' + ', '.join(
            f'{number}: {_brief(found.get(number))} for {_brief(self.pages.get(number))}'
            for number in wrong[:8]))


def _brief(page):
    return 'zeros' if page is None else hashlib.sha256(page).hexdigest()[:8]


def _pages(path, size):
    """The pages of a file that are not zero."""
    with open(path, 'rb') as file:
        for begin, end in _between_holes(file.fileno(), size):
            for offset in range(begin - begin % PAGE, end, PAGE):
                page = os.pread(file.fileno(), PAGE, offset).ljust(PAGE, b'\0')
                if page != _ZEROS:
                    yield offset // PAGE, page


def parts(path, most_bytes):
    """What a file holds between its holes: (offset, bytes) of each part, in their order."""
    with open(path, 'rb') as file:
        for begin, end in _between_holes(file.fileno(), os.stat(path).st_size):
            for offset in range(begin, end, most_bytes):
                yield offset, os.pread(file.fileno(), min(most_bytes, end - offset), offset)


def _between_holes(descriptor, size):
    """Where a file has data: (begin, end) of each run, in their order."""
    end = 0
    while end < size:
        try:
            begin = os.lseek(descriptor, end, os.SEEK_DATA)
        except OSError:
            return
        end = os.lseek(descriptor, begin, os.SEEK_HOLE)
        yield begin, end


def noise(seed, length):
    """Bytes made from a number; zeros from 0."""
    return random.Random(seed).randbytes(length) if seed else bytes(length)
