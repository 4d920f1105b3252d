"""One backend's replication as a service of its own: it runs whether the backend does or not."""
# SPDX-License-Identifier: Apache-2.0

import threading

import oslo_messaging

from cinder_ext.rpc import transport
from cinder_ext.volume.replication import manifest
from cinder_ext.volume.replication.clouds import CloudsEndpoint
from cinder_ext.volume.replication.endpoint import ReplicationEndpoint
from cinder_ext.volume.replication.tools import Tools


class ReplicationServer:
    """Takes messages from its start on; the driver may come later, or never be started.

    :param conf: options; database and transport must be open before ``start()``
    :param host: ``host@backend``
    :param engine: volume.engine.Engine of the process
    :param ownership: volume.ownership.Ownership of the process
    """

    def __init__(self, conf, host, engine, ownership):
        self._stopping = threading.Event()
        self._tools = Tools(conf, host, engine, ownership, self._stopping)
        self._ownership = ownership
        self._endpoint = None
        self._server = None

    def start(self):
        """Take messages, and look for what is recorded."""
        self._endpoint = ReplicationEndpoint(self._tools, manifest.of)
        target = oslo_messaging.Target(topic=transport.REPLICATION_TOPIC, server=self._tools.host)
        self._server = transport.get_server(target, [self._endpoint, CloudsEndpoint(self._tools)])
        self._server.start()
        self._endpoint.start()

    def hand_over(self, driver):
        """The backend's driver was loaded; it may not start."""
        self._tools.hand_over(driver)
        self.resume()

    def resume(self):
        """Take up what was recorded and is not being done; called periodically."""
        if self._endpoint is not None:
            self._endpoint.resume()

    def park(self):
        """Begin nothing more, and let what runs come to its end for a few seconds."""
        if self._endpoint is not None:
            self._endpoint.stop()

    def stop(self):
        """Take no more messages."""
        self.park()
        if self._server is not None:
            self._server.stop()
            self._server.wait()
            self._server = None
