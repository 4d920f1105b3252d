"""Block storage service; importing it selects real threads for oslo.service.

oslo.messaging looks at oslo.service's backend when it is imported, and
oslo.service requires eventlet as a package.  So the choice is made here,
before anything else can be imported, and eventlet is refused for good.
"""
# SPDX-License-Identifier: Apache-2.0

import sys

from oslo_service import backend


class _RefuseEventlet:
    """Meta path finder that keeps eventlet out of the process."""

    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] == 'eventlet':
            raise ImportError('cinder_ext runs on threads; eventlet is refused')


def _select_threads():
    if not any(isinstance(finder, _RefuseEventlet) for finder in sys.meta_path):
        sys.meta_path.insert(0, _RefuseEventlet())
    backend.init_backend(backend.BackendType.THREADING)


_select_threads()
