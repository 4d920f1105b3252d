"""A group's ``status``, in the words of the Block Storage API."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext.states.table import Machine, Row

CREATING = 'creating'
"""The record exists; a backend is being chosen, or its volumes are being made from a source."""
AVAILABLE = 'available'
"""Whole."""
UPDATING = 'updating'
"""Volumes come or go.  Here that is one transaction: only a reset shows this word."""
DELETING = 'deleting'
"""It is being removed, with its volumes."""
DELETED = 'deleted'
"""A word that a reset may set; a group that is gone is not shown."""
ERROR = 'error'
"""It could not be made, or not be removed."""
ERROR_DELETING = 'error_deleting'
"""A word that a reset may set; a removal that failed leaves ``error``."""

RESETTABLE = (ERROR, AVAILABLE, CREATING, DELETING, DELETED, UPDATING, ERROR_DELETING)
"""What an administrator may set with reset_status, of a group and of a group snapshot."""

DELETABLE = (AVAILABLE, ERROR, ERROR_DELETING)
"""From these a delete is accepted; a delete with the volumes from every state, as upstream."""

MACHINE = Machine('group', 'status', (CREATING,), (
    Row('created', (CREATING,), AVAILABLE),
    Row('create-failed', (CREATING,), ERROR),
    Row('delete', RESETTABLE, DELETING),
    Row('delete-failed', (DELETING,), ERROR),
))
