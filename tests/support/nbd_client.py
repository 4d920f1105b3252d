"""A client of an NBD server on a socket: one request at a time, each waited for.

Source: the NBD protocol (doc/proto.md of the nbd project): NBD_OPT_EXPORT_NAME, simple replies.
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import itertools
import socket
import struct

_GREETING = b'NBDMAGICIHAVEOPT'
_REQUEST, _REPLY = 0x25609513, 0x67446698
_READ, _WRITE, _DISCONNECT, _FLUSH = range(4)


class Connection:
    """:param path: of the socket; :param export: the name of what is served"""

    def __init__(self, path, export='disk', timeout_seconds=30):
        self._numbers = itertools.count(1)
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(timeout_seconds)
        self._socket.connect(path)
        assert self._take(16) == _GREETING
        self._take(2)
        name = export.encode()
        self._socket.sendall(struct.pack('>I', 3))
        self._socket.sendall(struct.pack('>8sII', b'IHAVEOPT', 1, len(name)) + name)
        self._take(10)

    def write(self, offset, content):
        """Return when it is acknowledged.

        :raises OSError: it is not, or the server is gone
        """
        self._ask(_WRITE, offset, len(content), content)

    def read(self, offset, length):
        """:raises OSError: it cannot be read, or the server is gone"""
        self._ask(_READ, offset, length)
        return self._take(length)

    def flush(self):
        """Return when all that was acknowledged is on the medium."""
        self._ask(_FLUSH, 0, 0)

    def close(self):
        with contextlib.suppress(OSError):
            self._socket.sendall(struct.pack('>IHHQQI', _REQUEST, 0, _DISCONNECT, 0, 0, 0))
        self._socket.close()

    def _ask(self, kind, offset, length, content=b''):
        number = next(self._numbers)
        self._socket.sendall(
            struct.pack('>IHHQQI', _REQUEST, 0, kind, number, offset, length) + content)
        magic, error, handle = struct.unpack('>IIQ', self._take(16))
        assert (magic, handle) == (_REPLY, number)
        if error:
            raise OSError(error, 'the disk refuses')

    def _take(self, length):
        found = b''
        while len(found) < length:
            part = self._socket.recv(length - len(found))
            if not part:
                raise ConnectionError('the disk is gone')
            found += part
        return found
