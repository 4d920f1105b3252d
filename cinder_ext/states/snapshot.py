"""A snapshot's ``status``, in the words of the Block Storage API."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext.states.table import Machine, Row

CREATING = 'creating'
"""The record exists; the backend is freezing the content."""
AVAILABLE = 'available'
"""Whole."""
DELETING = 'deleting'
"""The backend is removing it."""
ERROR = 'error'
"""It could not be made."""
ERROR_DELETING = 'error_deleting'
"""It could not be removed."""
UNMANAGING = 'unmanaging'
"""It is being let go; its content stays on the backend."""

RESTORING = 'restoring'
"""Its volume is being reverted to it."""

DELETABLE = (AVAILABLE, ERROR, ERROR_DELETING)
"""From these a delete is accepted: upstream's, and error_deleting, to try again."""

RESETTABLE = (AVAILABLE, CREATING, DELETING, ERROR, ERROR_DELETING)
"""What an administrator may set with os-reset_status."""

MACHINE = Machine('snapshot', 'status', (CREATING,), (
    Row('created', (CREATING,), AVAILABLE),
    Row('create-failed', (CREATING,), ERROR),
    Row('delete', DELETABLE, DELETING),
    Row('delete-failed', (DELETING,), ERROR_DELETING),
    Row('delete-refused', (DELETING,), AVAILABLE),
    Row('unmanage', (AVAILABLE, ERROR), UNMANAGING),
    Row('unmanage-failed', (UNMANAGING,), ERROR_DELETING),
    Row('restore', (AVAILABLE,), RESTORING),
    Row('restored', (RESTORING,), AVAILABLE),
))
