"""What the steps of all operations have in common.

What a step did is in the rows of the members, so it finds out by itself where a killed predecessor
stood, and repeating it is harmless.  A fault of one member is recorded with that member, and the
others go on; only what stops all of them is raised.
"""
# SPDX-License-Identifier: Apache-2.0

import contextlib

from oslo_log import log
from taskflow import task

from cinder_ext import exceptions
from cinder_ext.db import away
from cinder_ext.volume import engine
from cinder_ext.volume.replication import outcome

LOG = log.getLogger(__name__)

@contextlib.contextmanager
def parked_when_it_must_wait(work):
    """Leave a step as it stands, to be resumed, when what stops it is no fault of an array.

    :raises Parked: the database is away, or another process has taken the operation up
    """
    try:
        yield
    except away.FAULTS as fault:
        LOG.warning('operation %s waits for the database: %s', work.id, fault)
        raise engine.Parked from fault
    except exceptions.RecordLost as fault:
        raise engine.Parked from fault


class Step(task.Task):
    """A step that goes forward only."""

    def __init__(self, name, work):
        super().__init__(name=name)
        self.work = work

    def execute(self):
        with parked_when_it_must_wait(self.work):
            self.work.obey()
            self.do()

    def do(self):
        """Do the step; nothing by default."""


class UndoableStep(Step):
    """A step before anything is promoted: ``do`` and ``undo``.

    Its revert is refused from then on: nothing undoes a promotion.
    """

    def revert(self, flow_failures, **kwargs):
        with parked_when_it_must_wait(self.work):
            if self.work.is_promoting:
                LOG.error('operation %s promotes; its undoing is refused', self.work.id)
                return
            self.undo(outcome.of_failure(flow_failures))

    def undo(self, fault):
        """Take back what this step did; nothing by default."""


class OwnFailure(UndoableStep):
    """First of a flow, so the last to be reverted: ends the operation."""

    def undo(self, fault):
        outcome.settle_replications(self.work)
        outcome.close(self.work, fault)


class CloseOperation(Step):
    """Last of a flow: the members are at their ends, and so is the operation."""

    def do(self):
        outcome.close(self.work)


def own_failure(work):
    return OwnFailure('own-failure', work)


def close_operation(work):
    return CloseOperation('close-operation', work)
