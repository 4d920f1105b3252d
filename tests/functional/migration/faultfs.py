"""A file system in user space that mirrors a directory and fails on demand.

Run as a command: ``python faultfs.py SOURCE MOUNT CONTROL``.  The file CONTROL
holds JSON: ``{"eio": [start, end]}`` makes writes that touch these offsets
(bytes, in any file) fail with EIO.
"""
# SPDX-License-Identifier: Apache-2.0

import errno
import json
import os
import sys

import mfusepy


class FaultFS(mfusepy.Operations):
    """Passes everything on to the mirrored directory but what CONTROL forbids."""

    use_ns = True

    def __init__(self, source, control):
        self._source = source
        self._control = control

    def _at(self, path):
        return os.path.join(self._source, path.lstrip('/'))

    def _faults(self):
        with open(self._control, encoding='utf-8') as stream:
            return json.load(stream)

    def getattr(self, path, fh=None):
        found = os.lstat(self._at(path))
        return {key: getattr(found, key) for key in (
            'st_mode', 'st_nlink', 'st_uid', 'st_gid', 'st_size', 'st_blocks',
            'st_atime_ns', 'st_mtime_ns', 'st_ctime_ns')} | {
                'st_atime': found.st_atime_ns, 'st_mtime': found.st_mtime_ns,
                'st_ctime': found.st_ctime_ns}

    def readdir(self, path, fh):
        return ['.', '..', *os.listdir(self._at(path))]

    def statfs(self, path):
        found = os.statvfs(self._at(path))
        return {key: getattr(found, key) for key in (
            'f_bavail', 'f_bfree', 'f_blocks', 'f_bsize', 'f_favail', 'f_ffree', 'f_files',
            'f_flag', 'f_frsize', 'f_namemax')}

    def open(self, path, flags):
        return os.open(self._at(path), flags & ~os.O_DIRECT)

    def create(self, path, mode, fi=None):
        return os.open(self._at(path), os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)

    def read(self, path, size, offset, fh):
        return os.pread(fh, size, offset)

    def write(self, path, data, offset, fh):
        start, end = self._faults().get('eio', (0, 0))
        if offset < end and offset + len(data) > start:
            raise mfusepy.FuseOSError(errno.EIO)
        return os.pwrite(fh, data, offset)

    def truncate(self, path, length, fh=None):
        os.truncate(self._at(path), length)
        return 0

    def fsync(self, path, datasync, fh):
        os.fsync(fh)
        return 0

    def release(self, path, fh):
        os.close(fh)
        return 0

    def mkdir(self, path, mode):
        os.mkdir(self._at(path), mode)
        return 0

    def unlink(self, path):
        os.unlink(self._at(path))
        return 0

    def link(self, target, source):
        os.link(self._at(source), self._at(target))
        return 0

    def rename(self, old, new):
        os.rename(self._at(old), self._at(new))
        return 0


if __name__ == '__main__':
    mfusepy.FUSE(FaultFS(sys.argv[1], sys.argv[3]), sys.argv[2], foreground=True)
