"""An attachment's ``attach_status``, in the words of the Block Storage API."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext.states.table import Machine, Row

RESERVED = 'reserved'
"""It holds the volume for a consumer that has not given its connector."""
ATTACHING = 'attaching'
"""Connection info was given out."""
ATTACHED = 'attached'
"""The consumer has said that it is done."""
DETACHING = 'detaching'
"""Being taken back."""
ERROR_ATTACHING = 'error_attaching'
"""The backend could not connect it."""
ERROR_DETACHING = 'error_detaching'
"""The backend could not disconnect it."""

LEAVING = (DETACHING, ERROR_DETACHING)
"""Its consumer has let go; the backend may still show the volume to its host."""

MACHINE = Machine('attachment', 'attach_status', (RESERVED,), (
    Row('connect', (RESERVED, ATTACHING, ERROR_ATTACHING), ATTACHING),
    Row('connect-failed', (RESERVED, ATTACHING), ERROR_ATTACHING),
    Row('complete', (RESERVED, ATTACHING, ATTACHED), ATTACHED),
    Row('detach', (RESERVED, ATTACHING, ATTACHED, DETACHING, ERROR_ATTACHING, ERROR_DETACHING),
        DETACHING),
    Row('detach-failed', (DETACHING,), ERROR_DETACHING),
))
