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
FAILED = 'failed'
"""It failed; the volume is where it was."""
REFUSED = 'refused'
"""It was not begun: no destination, or it needs a move that was not asked for."""
UNNEEDED = 'unneeded'
"""The type was changed in place; no byte had to move."""

ACTIVE = (SCHEDULING, PREFLIGHT, COPYING, VERIFYING, COMMITTING, REVERTING)
"""While in one of these the volume and its snapshots cannot be changed."""
ENDED = (FINISHED, FAILED, REFUSED, UNNEEDED)
"""Nothing will happen any more."""
MOVING = (PREFLIGHT, COPYING, VERIFYING, COMMITTING, REVERTING)
"""The source's volume service has work to do before the commit."""
TIDY = (COMMITTED, TIDYING, LEFTOVERS)
"""The source's volume service has work to do after the commit."""

MACHINE = Machine('migration', 'phase', (SCHEDULING,), (
    Row('schedule', (SCHEDULING,), PREFLIGHT),
    Row('refuse', (SCHEDULING,), REFUSED),
    Row('retype-in-place', (SCHEDULING,), UNNEEDED),
    Row('copy', (PREFLIGHT, COPYING), COPYING),
    Row('verify', (COPYING, VERIFYING), VERIFYING),
    Row('commit', (COPYING, VERIFYING, COMMITTING), COMMITTING),
    Row('committed', (COMMITTING,), COMMITTED),
    Row('tidy', (COMMITTED, TIDYING, LEFTOVERS), TIDYING),
    Row('leave', (TIDYING,), LEFTOVERS),
    Row('finish', (TIDYING,), FINISHED),
    Row('revert', (PREFLIGHT, COPYING, VERIFYING, COMMITTING, REVERTING), REVERTING),
    Row('fail', (SCHEDULING, PREFLIGHT, REVERTING), FAILED),
))

SHOWN = {
    SCHEDULING: 'starting', PREFLIGHT: 'starting',
    COPYING: 'migrating', VERIFYING: 'migrating', REVERTING: 'migrating',
    COMMITTING: 'completing',
    COMMITTED: 'success', TIDYING: 'success', LEFTOVERS: 'success', FINISHED: 'success',
    FAILED: 'error', REFUSED: None, UNNEEDED: None,
}
"""phase -> the volume's ``migration_status``."""
