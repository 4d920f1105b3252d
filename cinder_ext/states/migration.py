"""The phases of a volume migration and what the API's ``migration_status`` shows of them.

``migration_status`` knows only the words that Nova and Tempest compare
literally; the phase says the rest.
"""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext.states.table import Machine, Row

SCHEDULING = 'scheduling'
"""The record is written; a destination is being chosen or checked."""
PREFLIGHT = 'preflight'
"""A destination is named; both ends are being examined.  Nothing was changed."""
COPYING = 'copying'
"""The chain is being built at the destination."""
VERIFYING = 'verifying'
"""What was written is being read back."""
SWAPPING = 'swapping'
"""A server is asked to move its guest to the destination: from here on only forward, or back
when the compute service says that the server still uses the source."""
PAUSED = 'paused'
"""An administrator stopped it; what was copied stays.  Nobody works on it."""
COMMITTING = 'committing'
"""The records are about to be swapped."""
COMMITTED = 'committed'
"""The volume is at its destination; the source is still there."""
TIDYING = 'tidying'
"""The source is being removed."""
LEFTOVERS = 'leftovers'
"""The volume is at its destination; something at the source could not be removed yet."""
FINISHED = 'finished'
"""The volume is at its destination and the source is gone."""
REVERTING = 'reverting'
"""It failed; the destination is being removed.  The source was never touched."""
CANCELLING = 'cancelling'
"""An administrator ended it; the destination is being removed.  The source was never touched."""
YIELDING = 'yielding'
"""A consumer has taken the volume; the destination is being removed.  Nothing is kept away from
the volume any more: the source was only read."""
CANCELLED = 'cancelled'
"""It was ended by an administrator, or by a consumer that it yielded to; the volume is where it
was."""
FAILED = 'failed'
"""It failed; the volume is where it was."""
REFUSED = 'refused'
"""It was not begun: no destination, or it needs a move that was not asked for."""
UNNEEDED = 'unneeded'
"""The type was changed in place; no byte had to move."""

ACTIVE = (SCHEDULING, PREFLIGHT, COPYING, VERIFYING, SWAPPING, PAUSED, COMMITTING, REVERTING,
          CANCELLING)
"""While in one of these the volume and its snapshots cannot be changed."""
ENDED = (FINISHED, FAILED, REFUSED, UNNEEDED, CANCELLED)
"""Nothing will happen any more."""
RUNNING = (PREFLIGHT, COPYING, VERIFYING)
"""It may be paused, and cancelled."""
MOVING = (PREFLIGHT, COPYING, VERIFYING, SWAPPING, COMMITTING, REVERTING, CANCELLING, YIELDING)
"""The source's volume service has work to do before the commit."""
UNDOING = (REVERTING, CANCELLING, YIELDING)
"""The destination is being removed."""
CALLED_OFF = (CANCELLING, YIELDING)
"""As undoing, and not because of a fault."""
TIDY = (COMMITTED, TIDYING, LEFTOVERS)
"""The source's volume service has work to do after the commit."""

MACHINE = Machine('migration', 'phase', (SCHEDULING,), (
    Row('schedule', (SCHEDULING,), PREFLIGHT),
    Row('refuse', (SCHEDULING,), REFUSED),
    Row('retype-in-place', (SCHEDULING,), UNNEEDED),
    Row('copy', (PREFLIGHT, COPYING, VERIFYING), COPYING),
    Row('verify', (COPYING, VERIFYING), VERIFYING),
    Row('swap', (COPYING, VERIFYING, SWAPPING), SWAPPING),
    Row('commit', (COPYING, VERIFYING, SWAPPING, COMMITTING), COMMITTING),
    Row('committed', (COMMITTING,), COMMITTED),
    Row('tidy', (COMMITTED, TIDYING, LEFTOVERS), TIDYING),
    Row('leave', (TIDYING,), LEFTOVERS),
    Row('finish', (TIDYING,), FINISHED),
    Row('acknowledge', (LEFTOVERS,), FINISHED),
    Row('pause', RUNNING, PAUSED),
    Row('resume', (PAUSED,), COPYING),
    Row('resume-unplanned', (PAUSED,), PREFLIGHT),
    Row('cancel', (*RUNNING, PAUSED), CANCELLING),
    Row('cancel-unplaced', (SCHEDULING,), CANCELLED),
    Row('yield', (*RUNNING, PAUSED), YIELDING),
    Row('cancelled', CALLED_OFF, CANCELLED),
    Row('revert', (*RUNNING, PAUSED, SWAPPING, COMMITTING, REVERTING), REVERTING),
    Row('fail', (SCHEDULING, PREFLIGHT, REVERTING), FAILED),
))

SHOWN = {
    SCHEDULING: 'starting', PREFLIGHT: 'starting',
    COPYING: 'migrating', VERIFYING: 'migrating', SWAPPING: 'migrating', PAUSED: 'migrating',
    REVERTING: 'migrating', CANCELLING: 'migrating',
    COMMITTING: 'completing',
    COMMITTED: 'success', TIDYING: 'success', LEFTOVERS: 'success', FINISHED: 'success',
    FAILED: 'error', REFUSED: None, UNNEEDED: None, YIELDING: None, CANCELLED: None,
}
"""phase -> the volume's ``migration_status``."""
