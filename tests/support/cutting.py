"""A TCP proxy before a server, which cuts connections where a test says: at a commit, or all."""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import re
import socket
import threading

import sqlalchemy as sa

# The statement that commits a migration, as PyMySQL writes it and as PostgreSQL gets its values;
# who looks for what was committed asks for what is tidied too.
SWAP = re.compile(rb"phase='committed'|\x00\x00\x00\x09committed(?!\x00\x00\x00\x07tidying)")
BEFORE, AFTER = 'before', 'after'


class Proxy:
    """Forwards to one server; each connection has two threads.

    :param address: (host, port) of the server; may change, for connections that come later
    :ivar cut_commit: BEFORE or AFTER: cut the connection that commits a swap, once: before the
        commit reaches the server, or when the server has done it, and its answer is lost
    :ivar when_cut: called when that has happened
    :ivar cuts: connections that were cut
    :ivar watched: a compiled pattern of bytes; None for none
    :ivar fates: an iterator: for each statement that has what is watched, whether its connection
        is cut before the statement reaches the server; those after its end go through
    """

    def __init__(self, address):
        self.address = address
        self.cut_commit = None
        self.when_cut = lambda: None
        self.cuts = 0
        self.watched, self.fates = None, iter(())
        self._is_closed = False
        self._refuses = threading.Event()
        self._lock = threading.Lock()
        self._pairs = set()
        self._listener = socket.create_server(('127.0.0.1', 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, url):
        """A database's URL, or a broker's, by way of the proxy."""
        found = sa.make_url(url)
        return found.set(host='127.0.0.1', port=self.port).render_as_string(hide_password=False)

    def cut_all(self):
        """Cut every connection that there is."""
        with self._lock:
            pairs = tuple(self._pairs)
        for pair in pairs:
            self._cut(pair)

    @contextlib.contextmanager
    def away(self):
        """Cut all, and refuse new ones while the block runs."""
        self._refuses.set()
        self.cut_all()
        try:
            yield
        finally:
            self._refuses.clear()

    def close(self):
        self._is_closed = True
        self._listener.close()
        self.cut_all()

    def _accept(self):
        while not self._is_closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                if self._refuses.is_set():
                    raise ConnectionRefusedError
                server = socket.create_connection(self.address, timeout=5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            pair = _Pair(client, server)
            with self._lock:
                self._pairs.add(pair)
            for pump in (self._to_server, self._to_client):
                threading.Thread(target=pump, args=(pair,), daemon=True).start()

    def _cut(self, pair):
        with self._lock:
            if pair not in self._pairs:
                return
            self._pairs.discard(pair)
            self.cuts += 1
        pair.close()

    def _to_server(self, pair):
        for data in _received(pair.client):
            if SWAP.search(data):
                pair.swaps = True
            elif pair.swaps and b'COMMIT' in data:
                pair.swaps = False
                if self.cut_commit == BEFORE:
                    self._cut_at_commit(pair)
                    return
                pair.is_committing = self.cut_commit == AFTER
            if self.watched and self.watched.search(data) and next(self.fates, False):
                self._cut(pair)
                return
            if not pair.send(pair.server, data):
                break
        self._end(pair)

    def _to_client(self, pair):
        for data in _received(pair.server):
            if pair.is_committing:
                self._cut_at_commit(pair)
                return
            if not pair.send(pair.client, data):
                break
        self._end(pair)

    def _cut_at_commit(self, pair):
        self.cut_commit = None
        self._cut(pair)
        self.when_cut()

    def _end(self, pair):
        with self._lock:
            self._pairs.discard(pair)
        pair.close()


class _Pair:
    """The two sockets of one connection."""

    def __init__(self, client, server):
        self.client, self.server = client, server
        self.swaps = self.is_committing = False

    @staticmethod
    def send(target, data):
        try:
            target.sendall(data)
        except OSError:
            return False
        return True

    def close(self):
        for each in (self.client, self.server):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


def _received(source):
    """What a socket receives, until it is closed from either side."""
    while True:
        try:
            data = source.recv(65536)
        except OSError:
            return
        if not data:
            return
        yield data
