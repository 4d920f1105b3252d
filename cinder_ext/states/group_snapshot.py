"""A group snapshot's ``status``, in the words of the Block Storage API."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext.states.table import Machine, Row

CREATING = 'creating'
"""The records of it and of its members exist; the backend is freezing their content."""
AVAILABLE = 'available'
"""Whole, as all its members are."""
DELETING = 'deleting'
"""The backend is removing the members."""
ERROR = 'error'
"""A member could not be made, or not be removed."""
ERROR_DELETING = 'error_deleting'
"""A word that a reset may set; a removal that failed leaves ``error``."""

MACHINE = Machine('group_snapshot', 'status', (CREATING,), (
    Row('created', (CREATING,), AVAILABLE),
    Row('create-failed', (CREATING,), ERROR),
    Row('delete', (AVAILABLE, ERROR, ERROR_DELETING), DELETING),
    Row('delete-failed', (DELETING,), ERROR),
))
