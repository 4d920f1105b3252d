"""Finds the driver of a backend by its name and builds it."""
# SPDX-License-Identifier: Apache-2.0

from oslo_config import cfg
from stevedore import driver as stevedore_driver
from stevedore import exception as stevedore_exception

from cinder_ext import exceptions
from cinder_ext.conf import backend as backend_conf
from cinder_ext.drivers import values

NAMESPACE = 'cinder_ext.drivers'
"""Entry point group in which drivers are registered."""


def load(conf, section, active_backend_id=None):
    """Build the driver of one backend; the caller starts it.

    :param conf: oslo.config's ConfigOpts, already called
    :param section: the backend's section (``alpha``)
    :param active_backend_id: the replication target that it was failed over to
    :returns: a base.Driver whose ``start()`` was not called
    :raises Misconfigured: no such driver, it cannot be imported, or a value has a wrong type

    Repeating a call gives another driver object for the same options.
    """
    backend_conf.register(conf, section)
    group = conf[section]
    try:
        kind = _find(group.volume_driver)
        conf.register_opts(kind.options(), group=section)
        _check_values(group)
    except stevedore_exception.NoMatches:
        raise exceptions.Misconfigured(
            backend=section, reason=f'there is no driver named {group.volume_driver}')
    except (ImportError, ValueError, cfg.Error) as fault:
        raise exceptions.Misconfigured(backend=section, reason=str(fault))
    name = group.volume_backend_name or section
    return kind.variant(group)(values.BackendSettings(
        name=section, backend_name=name, options=group, active_backend_id=active_backend_id))


def _find(name):
    """The driver class registered under a name."""
    return stevedore_driver.DriverManager(
        NAMESPACE, name, on_load_failure_callback=_refuse).driver


def _check_values(group):
    """Read every option once: oslo.config looks at the type of a value when it is read."""
    for option in group:
        getattr(group, option)


def _refuse(manager, entrypoint, fault):
    """Let the fault of an import reach the caller instead of 'no such driver'."""
    raise fault
