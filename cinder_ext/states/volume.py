"""A volume's ``status``, in the words of the Block Storage API."""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext.states.table import Machine, Row

CREATING = 'creating'
"""The record exists; a backend is being chosen or is making it."""
AVAILABLE = 'available'
"""Whole, and attached to nothing."""
RESERVED = 'reserved'
"""An attachment without a connector holds it."""
ATTACHING = 'attaching'
"""Connected for a consumer that has not said that it is done."""
DETACHING = 'detaching'
"""A consumer is letting it go."""
IN_USE = 'in-use'
"""Attached."""
EXTENDING = 'extending'
"""The backend is making it larger."""
RETYPING = 'retyping'
"""Its type is being changed, its bytes perhaps moved."""
MAINTENANCE = 'maintenance'
"""Locked for a migration that an administrator started with lock_volume."""
AWAITING_TRANSFER = 'awaiting-transfer'
"""Offered to another project."""
DELETING = 'deleting'
"""The backend is removing it."""
ERROR = 'error'
"""It could not be made."""
ERROR_DELETING = 'error_deleting'
"""It could not be removed."""
ERROR_EXTENDING = 'error_extending'
"""It could not be made larger; its content is whole."""

MANAGING = 'managing'
"""What lies on a backend already is becoming it."""
ERROR_MANAGING = 'error_managing'
"""It could not be managed; what was to become it lies where it was."""
ERROR_MANAGING_DELETING = 'error_managing_deleting'
"""Only its record is being removed."""
UNMANAGING = 'unmanaging'
"""It is being let go; its content stays on the backend."""
ERROR_UNMANAGING = 'error_unmanaging'
"""It could not be let go."""
REVERTING = 'reverting'
"""Its content is being replaced by that of its latest snapshot."""

DELETABLE = (AVAILABLE, ERROR, ERROR_DELETING, ERROR_EXTENDING)
"""From these a delete is accepted: upstream's, and error_deleting, to try again."""

RESETTABLE = (CREATING, AVAILABLE, ERROR, ERROR_DELETING, ATTACHING, DETACHING, IN_USE,
              MAINTENANCE, RESERVED, RETYPING, EXTENDING, ERROR_EXTENDING, AWAITING_TRANSFER)
"""What an administrator may set with os-reset_status; not ``deleting``, which would delete it."""

STRANDABLE = (AVAILABLE, RESERVED, ATTACHING, DETACHING, IN_USE, AWAITING_TRANSFER)
"""From these a volume that is not replicated goes to ``error`` when its whole backend is failed
over, and back to them by the failback."""

MACHINE = Machine('volume', 'status', (CREATING, MANAGING, AVAILABLE), (
    Row('created', (CREATING,), AVAILABLE),
    Row('create-failed', (CREATING,), ERROR),
    Row('group-failed', (CREATING, AVAILABLE), ERROR),
    Row('delete', DELETABLE, DELETING),
    Row('delete-failed', (DELETING,), ERROR_DELETING),
    Row('delete-refused', (DELETING,), AVAILABLE),
    Row('extend', (AVAILABLE,), EXTENDING),
    Row('extend-attached', (IN_USE,), EXTENDING),
    Row('extended', (EXTENDING,), AVAILABLE),
    Row('extended-attached', (EXTENDING,), IN_USE),
    Row('extend-failed', (EXTENDING,), ERROR_EXTENDING),
    Row('retype', (AVAILABLE,), RETYPING),
    Row('retype-attached', (IN_USE,), RETYPING),
    Row('lock', (AVAILABLE,), MAINTENANCE),
    Row('offer', (AVAILABLE,), AWAITING_TRANSFER),
    Row('withdraw', (AWAITING_TRANSFER,), AVAILABLE),
    Row('accept', (AWAITING_TRANSFER,), AVAILABLE),
    Row('release', (RETYPING, MAINTENANCE), AVAILABLE),
    Row('release-attached', (RETYPING, MAINTENANCE), IN_USE),
    Row('release-attaching', (RETYPING,), ATTACHING),
    Row('release-reserved', (RETYPING,), RESERVED),
    Row('managed', (MANAGING,), AVAILABLE),
    Row('manage-failed', (MANAGING,), ERROR_MANAGING),
    Row('forget', (ERROR_MANAGING,), ERROR_MANAGING_DELETING),
    Row('unmanage', (AVAILABLE, ERROR, ERROR_EXTENDING, ERROR_MANAGING, ERROR_UNMANAGING),
        UNMANAGING),
    Row('unmanage-failed', (UNMANAGING,), ERROR_UNMANAGING),
    Row('reserve', (AVAILABLE, RESERVED, ATTACHING, IN_USE), RESERVED),
    Row('connect', (AVAILABLE, RESERVED, ATTACHING, DETACHING, IN_USE), ATTACHING),
    Row('attached', (AVAILABLE, RESERVED, ATTACHING, DETACHING, IN_USE), IN_USE),
    Row('begin-attaching', (AVAILABLE,), ATTACHING),
    Row('begin-attaching-again', (AVAILABLE, IN_USE), ATTACHING),
    Row('unreserve', (ATTACHING,), AVAILABLE),
    Row('begin-detaching', (IN_USE,), DETACHING),
    Row('roll-detaching', (DETACHING,), IN_USE),
    Row('detached', (RESERVED, ATTACHING, DETACHING, IN_USE), AVAILABLE),
    Row('revert', (AVAILABLE,), REVERTING),
    Row('reverted', (REVERTING,), AVAILABLE),
    Row('revert-failed', (REVERTING,), ERROR),
    Row('still-reserved', (ATTACHING, DETACHING, IN_USE, RESERVED), RESERVED),
    Row('strand', STRANDABLE, ERROR),
    *(Row(f'restore-{status}', (ERROR,), status) for status in STRANDABLE),
))

GUARDED = frozenset({
    'delete', 'extend', 'extend-attached', 'retype', 'retype-attached', 'lock', 'offer', 'accept',
    'forget', 'unmanage', 'revert', 'reserve', 'begin-attaching', 'begin-attaching-again'})
"""Events that begin something, and do not happen while the volume is failed over or back.

What follows from attachments (``connect``, ``attached``) is not among them: letting go is always
allowed, and it is the attachment that is refused."""

ATTACH = Machine('volume', 'attach_status', ('detached',), (
    Row('attached', ('detached', 'attached', 'attaching', 'reserved'), 'attached'),
    Row('detached', ('attached', 'attaching', 'reserved', 'detached'), 'detached'),
))
