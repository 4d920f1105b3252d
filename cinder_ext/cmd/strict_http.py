"""The built-in server's reading of HTTP, where cheroot is more lenient than is safe.

Behind a proxy that reads the same bytes in another way, a second request could hide in a body.  So
what two readers could understand differently is refused, and a connection on which a body was not
read to its end is closed.
"""
# SPDX-License-Identifier: Apache-2.0

import re

from cheroot import server

MAX_HEADER_BYTES = 65536
"""Of the first line and all headers of a request; cheroot has no limit of its own."""
MAX_UNREAD_BYTES = 65536
"""What is left of a body is read and thrown away up to so much, in one piece."""

_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_ONCE = frozenset({b'Content-Length', b'Transfer-Encoding', b'Host'})


class _Headers(dict):
    """Header -> value, from which nothing is lost that says where a request ends."""

    def __setitem__(self, name, value):
        if name in _ONCE and name in self:
            raise ValueError(f'Header {name.decode()} must not be repeated.')
        super().__setitem__(name, value)


class _HeaderReader(server.HeaderReader):

    def __call__(self, rfile, hdict=None):
        found = super().__call__(rfile, _Headers())
        if b'Content-Length' in found and b'Transfer-Encoding' in found:
            raise ValueError('Content-Length and Transfer-Encoding exclude each other.')
        length = found.get(b'Content-Length', b'0')
        if not (length.isdigit() and len(length) < 16):
            raise ValueError('Malformed Content-Length Header.')
        if hdict is not None:
            hdict.update(found)
        return found

    def _transform_key(self, key_name):
        if not _NAME.fullmatch(key_name):
            raise ValueError('Malformed header name.')
        return super()._transform_key(key_name)


class _Request(server.HTTPRequest):
    header_reader = _HeaderReader()

    def send_headers(self):
        unread = getattr(self.rfile, 'remaining', 0) > MAX_UNREAD_BYTES
        if unread or (self.chunked_read and not self.rfile.closed):
            self.close_connection = True
        super().send_headers()


class Connection(server.HTTPConnection):
    """For ``ConnectionClass`` of a cheroot server."""

    RequestHandlerClass = _Request
