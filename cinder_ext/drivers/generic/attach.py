"""Makes a volume a local path on this host; the only importer of os_brick."""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import platform
import socket
import sys

import os_brick
from os_brick import exception as brick_exception
from os_brick.initiator import connector as brick_connector
from oslo_concurrency import lockutils, processutils
from oslo_utils import netutils

from cinder_ext import exceptions

RAW_VIEW = 'raw_view'
"""A connector with this word asks for the bytes as they are, whatever consumers get."""

_FAULTS = (brick_exception.BrickException, processutils.ProcessExecutionError, OSError,
           ValueError)


def setup(conf):
    """Hand the configuration to os-brick.  Call once, after the options were read.

    os-brick looks at the process-wide configuration only, and its locks need
    ``[oslo_concurrency] lock_path``.

    :param conf: oslo.config's ConfigOpts, the process-wide one
    :raises Misconfigured: lock_path is not set
    """
    if not lockutils.get_lock_path(conf):
        raise exceptions.Misconfigured(
            backend='oslo_concurrency', reason='lock_path is not set')
    os_brick.setup(conf)


def connector_properties(host=None, ip=None, root_helper=None):
    """What a driver must know of this host to make a volume reachable from it.

    :param root_helper: prefix of a privileged command (``sudo``); without one only what an
        unprivileged process can tell is collected, enough for local files, NFS and RBD
    :returns: a dict as os-brick collects it
    :raises DriverError: os-brick cannot collect it
    """
    host = host or socket.gethostname()
    ip = ip or netutils.get_my_ipv4()
    if root_helper is None:
        return {'platform': platform.machine(), 'os_type': sys.platform, 'ip': ip,
                'host': host, 'multipath': False, 'do_local_attach': False, RAW_VIEW: True}
    try:
        found = brick_connector.get_connector_properties(
            root_helper, ip, multipath=False, enforce_multipath=False, host=host)
    except _FAULTS as fault:
        raise exceptions.DriverError(
            reason=f'the properties of host {host} cannot be collected: {fault}') from fault
    return {**found, RAW_VIEW: True}


@contextlib.contextmanager
def attached(connection_info, root_helper='sudo'):
    """A volume as a path on this host, for as long as the block runs.

    :param connection_info: values.ConnectionInfo of a driver's connect call
    :param root_helper: prefix of a privileged command, for connectors that need one
    :returns: the path of a block device or file
    :raises BackendDown: os-brick cannot reach it
    :raises NotCapable: os-brick has no connector for it, or it gives no path

    When both the block and the disconnecting fail, the fault of the block is raised.
    """
    protocol, data = connection_info.driver_volume_type, dict(connection_info.data)
    connector = _connector(protocol, root_helper)
    device = _asked(protocol, connector.connect_volume, data)
    with contextlib.ExitStack() as undo:
        undo.callback(_disconnect, connector, protocol, data, device)
        path = device.get('path')
        if not isinstance(path, str):
            raise exceptions.NotCapable(backend=protocol, capability='give a local path')
        yield path
        undo.pop_all()
    _asked(protocol, connector.disconnect_volume, data, device)


def _connector(protocol, root_helper):
    """os-brick's connector of a protocol."""
    try:
        return brick_connector.InitiatorConnector.factory(protocol, root_helper)
    except _FAULTS as fault:
        raise exceptions.NotCapable(
            backend=protocol, capability='be attached by os-brick') from fault


def _asked(protocol, call, *arguments):
    """What a connector's call returns; its fault in the words of the driver contract."""
    try:
        return call(*arguments)
    except _FAULTS as fault:
        raise exceptions.BackendDown(
            reason=f'os-brick, {protocol}: {type(fault).__name__}') from fault


def _disconnect(connector, protocol, data, device):
    """Disconnect after a fault, which matters more than this one's."""
    with contextlib.suppress(exceptions.BackendDown):
        _asked(protocol, connector.disconnect_volume, data, device)
