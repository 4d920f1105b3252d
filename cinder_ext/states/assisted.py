"""Words of an assisted snapshot: what is kept of an operation that the compute service has a part in.

They are the snapshot's admin metadata.  A key that begins with ``PREFIX`` is this service's, and
``REPORT`` is what the compute service has said; all others are the driver's.  An operation is open
as long as its snapshot has a STAGE.  The status stays ``creating`` or ``deleting`` meanwhile, unless
an administrator has set another one: the operation is brought to its end all the same.
"""
# SPDX-License-Identifier: Apache-2.0

from cinder_ext.states import snapshot

PREFIX = 'cinder_ext:'
REPORT = 'compute_snapshot_status'
"""What the compute service has said, in the words of the Block Storage API."""
KIND = PREFIX + 'operation'
"""CREATE or DELETE."""
STAGE = PREFIX + 'stage'
"""How far it is; written before the deed."""
NUMBER = PREFIX + 'number'
"""Tells this operation from a later one on the same snapshot."""
DEADLINE = PREFIX + 'deadline'
"""When it is given up, as ISO 8601 in UTC."""
OUTCOME = PREFIX + 'outcome'
"""What has been decided of it; the first one counts."""
UNSETTLED = PREFIX + 'unsettled'
"""The kind of an operation that ended without anybody knowing what the consumer did."""
LATE = PREFIX + 'late'
"""A report on what is unsettled has come; its value is an outcome."""
OF_OPERATION = (KIND, STAGE, NUMBER, DEADLINE, OUTCOME, REPORT)
"""Go when the operation ends."""

CREATE = 'create'
DELETE = 'delete'
KINDS = {snapshot.CREATING: CREATE, snapshot.DELETING: DELETE}
"""Status of a snapshot -> what is to be done with it."""

BEGUN = 'begun'
"""The driver makes things ready; the compute service has certainly not been asked."""
ASKING = 'asking'
"""It is being asked; or this service was killed then, and it may have been asked."""
ASKED = 'asked'
"""It has answered that it does its part."""

DONE = 'done'
"""The compute service has done its part."""
FAILED = 'failed'
"""It says that it has not, or the files say so."""
EXPIRED = 'expired'
"""It has not said anything in time."""
REFUSED = 'refused'
"""It was not asked, or does not do it: certainly nothing has happened."""

CREATED_TOKEN = 'creating_compute_complete'
DELETED_TOKEN = 'deleting_compute_complete'
ERROR_TOKEN = 'error'
TOKENS = (CREATED_TOKEN, DELETED_TOKEN, ERROR_TOKEN)
"""What ``compute_snapshot_status`` may say."""
COMPLETE = '90%'
"""The ``progress`` by which a compute service without tokens says that it is done."""

_STATUSES = {
    CREATE: (snapshot.CREATING, {snapshot.AVAILABLE: DONE, snapshot.ERROR: FAILED}),
    DELETE: (snapshot.DELETING, {snapshot.ERROR_DELETING: FAILED}),
}
_TOKENS = {CREATE: {CREATED_TOKEN: DONE, ERROR_TOKEN: FAILED},
           DELETE: {DELETED_TOKEN: DONE, ERROR_TOKEN: FAILED}}


def outcome_of(kind, status, progress=None, token=None):
    """What a report says of an operation.

    :param kind: CREATE or DELETE
    :param token: one of TOKENS, or None
    :returns: DONE, FAILED, or None while it goes on
    :raises ValueError: no such report can be made of it
    """
    ongoing, ends = _STATUSES[kind]
    if status != ongoing and status not in ends:
        raise ValueError(f'{status} is no report on a {kind}')
    by_status = ends.get(status)
    if token is None:
        return DONE if by_status is None and progress == COMPLETE else by_status
    by_token = _TOKENS[kind].get(token)
    if by_token is None or by_status not in (None, by_token):
        raise ValueError(f'{token} is no report on a {kind} that is {status}')
    return by_token


def token_of(kind, outcome):
    """The word for an outcome that was reported without one."""
    return next(token for token, each in _TOKENS[kind].items() if each == outcome)
