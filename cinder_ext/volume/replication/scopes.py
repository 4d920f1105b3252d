"""What can be failed over as a whole: one row per scope."""
# SPDX-License-Identifier: Apache-2.0

import dataclasses

from cinder_ext.db import operation_members


@dataclasses.dataclass(frozen=True)
class Scope:
    """One row.

    :ivar fallback: scopes whose replications may serve it one after the other, widest first; there
        is no common moment then, so that takes the consistency ``best-effort``
    :ivar is_together: its volumes have their points in common, and are moved all or none
    :ivar is_backend: new volumes go to the other side too, and what is not replicated is left
        behind in error
    """

    name: str
    fallback: tuple = ()
    is_together: bool = False
    is_backend: bool = False

    def serves(self, replication, protected_id):
        """Whether a replication is the one of just this thing."""
        return (replication.scope, replication.protected_id) == (self.name, protected_id)


ROWS = {row.name: row for row in (
    Scope('volume'),
    Scope('group', fallback=('volume',), is_together=True),
    Scope('pool', fallback=('group', 'volume')),
    Scope('backend', fallback=('pool', 'group', 'volume'), is_backend=True),
)}
"""By the word of the API.  The members are those of db.replication_claims.is_of, and the capability is
the same for all: drivers.replication.Replication."""


def of(operation):
    """The row of an operation."""
    return ROWS[operation.scope]


def members(context, operation):
    """The ids of the volumes that an operation is about.

    A selector is a list of volumes, or the project whose volumes at the operation's home are
    meant.
    """
    selector = operation.selector or {}
    if selector.get('volume_ids'):
        return sorted(selector['volume_ids'])
    if selector.get('project_id'):
        return operation_members.of_project(context, selector['project_id'], operation.home)
    if operation.protected_id is None:
        return []
    return operation_members.in_scope(context, operation.scope, operation.protected_id)


def may_serve(operation, replication):
    """Whether a replication may be used for an operation: its own one, or one that is narrower."""
    if operation.selector:
        return replication.scope == 'volume'
    row = of(operation)
    return row.serves(replication, operation.protected_id) or replication.scope in row.fallback


def needs_best_effort(operation, used):
    """Whether an operation has no common moment for what it is about.

    :param used: the replications that serve it
    """
    row = of(operation)
    is_looped = any(not row.serves(each, operation.protected_id) for each in used)
    return (is_looped and len(used) > 1 and not operation.selector
            and operation.consistency != 'best-effort')
