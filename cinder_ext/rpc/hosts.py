"""The parts of a host's name: ``host@backend#pool``."""
# SPDX-License-Identifier: Apache-2.0


def backend_of(host):
    """``host@backend``: the name of the volume service."""
    return host.partition('#')[0]


def pool_of(host):
    """The pool, or None when the name has none."""
    return host.partition('#')[2] or None
