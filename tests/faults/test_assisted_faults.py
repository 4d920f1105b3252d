"""The compute service fails in a snapshot's creation or deletion, in each way that it can."""
# SPDX-License-Identifier: Apache-2.0

import threading

import assisted_stage
import embedded
import pytest
import rest
from assisted_compute import Manner

GONE = assisted_stage.GONE
DEADLINE_SECONDS = 2


@pytest.fixture(scope='module')
def stage(tmp_path_factory):
    """What all tests of this module share; each has a volume of its own."""
    directory = tmp_path_factory.mktemp('assisted')
    with assisted_stage.Stage(
            embedded.EmbeddedService(directory / 'state'), directory,
            options={'nova': {'assisted_snapshot_deadline': DEADLINE_SECONDS}}) as made:
        yield made


class Case:
    """A volume in use whose snapshots the compute service may fail in."""

    def __init__(self, stage):
        self.stage, self.seat, self.cuts = stage, stage.seat(), {}
        self.volume_id = self.seat.volume_id

    def request(self, **manner):
        """Ask for a snapshot; returns its id."""
        self.seat.writer.goes_on(30)
        self.least = self.seat.log.acknowledged
        return self._treated(manner, lambda: self.stage.request_snapshot(self.seat))

    def create(self, **manner):
        """Ask for a snapshot and wait; returns its id and how it ended."""
        found = self.request(**manner)
        status = self.stage.ends(found)
        if status == 'available':
            self.cuts[found] = self.seat.log.cut_of(
                self.stage.layer('snapshot', found), self.least, self.seat.log.started)
        return found, status

    def delete(self, snapshot_id, **manner):
        """Ask that a snapshot is deleted and wait; returns how it ended."""
        self._treated(manner, lambda: self.stage.api.delete(f'/snapshots/{snapshot_id}'))
        status = self.stage.ends(snapshot_id)
        if status == GONE:
            self.cuts.pop(snapshot_id, None)
        return status

    def _treated(self, manner, ask):
        """Ask, and return when the compute service has been asked, if it will be."""
        compute = self.stage.compute
        if not manner:
            return ask()
        compute.manners.append(Manner(**manner))
        found = ask()
        rest.wait_for(lambda: not compute.manners, 'the request', interval=0.01)
        return found

    def is_whole(self):
        """The guest has not noticed anything, and the snapshots hold what they held."""
        self.seat.is_whole()
        self.stage.no_layer_was_taken()
        for snapshot_id, cut in self.cuts.items():
            assert self.seat.log.cut_of(self.stage.layer('snapshot', snapshot_id)) == cut

    def is_clear(self):
        """Only the volume is left of it all, and its server knows where it is."""
        self.is_whole()
        self.seat.is_known()
        family = [name for name in self.stage.files() if self.volume_id in name]
        assert family == sorted([self.stage.layer('volume', self.volume_id).name,
                                 f'volume-{self.volume_id}'])
        self.seat.leave()
        self.stage.seats.remove(self.seat)


@pytest.fixture
def case(stage):
    found = Case(stage)
    yield found
    found.seat.writer.stop()


def _event():
    return threading.Event()
