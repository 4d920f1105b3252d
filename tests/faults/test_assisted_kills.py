"""The service dies anywhere in its work on snapshots of volumes in use; the compute service lives.

Whatever dies: a snapshot ends available and holds a cut of what its guest wrote, or it ends in
error; it can be deleted then; no layer that a guest has open loses its name; the volume's data
are whole, and in the end nothing is left.
"""
# SPDX-License-Identifier: Apache-2.0

import itertools
import os
import pathlib
import random

import assisted_stage
import mortal_service
import pytest
import requests

MORTAL = pathlib.Path(mortal_service.__file__).with_name('mortal_assisted.py')
LONG = bool(os.environ.get('CINDER_EXT_LONG'))
DEADLINE_SECONDS = 3
STRIDE = 8
"""Events between two deaths in the short variant."""


class Mortal(mortal_service.MortalService):
    """An embedded service that dies at a counted event of its work on snapshots."""

    def __init__(self, state_dir):
        super().__init__(state_dir)
        self.arguments = [str(MORTAL)]

    def unfinished(self):
        return self._query("SELECT id, status FROM snapshots WHERE deleted_at IS NULL "
                           "AND status IN ('creating', 'deleting')")


class Case:
    """A stage whose service dies, with one volume in use; a context.

    :ivar cuts: snapshot id -> how many writes it holds
    """

    def __init__(self, directory):
        self.service = Mortal(directory / 'state')
        self.stage = assisted_stage.Stage(self.service, directory, options={
            'nova': {'assisted_snapshot_deadline': DEADLINE_SECONDS}})
        self.api, self.cuts, self._number = self.stage.api, {}, 0

    def __enter__(self):
        self.stage.__enter__()
        self.seat = self.stage.seat()
        return self

    def __exit__(self, *exc_info):
        self.stage.__exit__()
        self.service.close()

    def create(self, deaths=()):
        """Have a snapshot made by a service that dies after so many events.

        :returns: its id, with how it ended
        """
        self._number += 1
        name, seat = f'snapshot-{self._number}', self.seat
        seat.writer.goes_on(20)
        least, found = seat.log.acknowledged, []
        self.service.arm(deaths)
        while not found:
            self._ask(lambda: self.stage.request_snapshot(seat, name))
            found = self.service.alive(
                lambda: self.api.get(f'/snapshots?name={name}')['snapshots'])
        snapshot_id = found[0]['id']
        self.service.settle()
        status = self.stage.status(snapshot_id)
        assert status in ('available', 'error')
        if status == 'available':
            self.cuts[snapshot_id] = seat.log.cut_of(
                self.stage.layer('snapshot', snapshot_id), least, seat.log.started)
        self.is_whole()
        return snapshot_id, status

    def delete(self, snapshot_id, deaths=()):
        """Have a snapshot deleted by a service that dies after so many events; how that ended.

        From now on it holds nothing to rely on: it may be half merged.
        """
        self.cuts.pop(snapshot_id, None)
        self.service.arm(deaths)
        while not self._ask(lambda: self.api.request('DELETE', f'/snapshots/{snapshot_id}')):
            pass
        self.service.settle()
        status = self.stage.status(snapshot_id)
        assert status in (assisted_stage.GONE, 'error_deleting')
        self.is_whole()
        return status

    def _ask(self, question):
        """Ask of a service that may die of it; whether there was an answer."""
        try:
            question()
        except requests.RequestException:
            self.service.succeed()
            return False
        return True

    def remove(self, snapshot_id, deaths=()):
        """Delete until it is gone, if need be with a server that was rebooted."""
        if self.delete(snapshot_id, deaths) == assisted_stage.GONE:
            return
        if self.delete(snapshot_id) != assisted_stage.GONE:
            self.seat.reboot()
            assert self.delete(snapshot_id) == assisted_stage.GONE

    def is_whole(self):
        """The guest has not noticed anything, and the snapshots hold what they held."""
        self.seat.is_whole()
        self.stage.no_layer_was_taken()
        for snapshot_id, cut in self.cuts.items():
            assert self.seat.log.cut_of(self.stage.layer('snapshot', snapshot_id)) == cut

    def is_clear(self):
        """Only the volume is left, and its server knows where it is."""
        self.seat.is_known()
        assert os.path.basename(self.seat.guest.path) in self.seat.names()
        self.stage.is_left(self.seat.names)


@pytest.mark.timeout(3600 if LONG else 300)
def test_killed_after_each_step(tmp_path, record_property):
    """Each time a bit later, until it does not die any more; deleted is any of three."""
    dice = random.Random(4)
    with Case(tmp_path) as case:
        standing, misses = [case.create()[0] for _ in range(2)], 0
        for after in itertools.count(1, 1 if LONG else STRIDE):
            kills = case.service.kills
            # A report that finds nobody is repeated, or forgotten.
            case.stage.compute.storage.patience_seconds = dice.choice((0, 20, 20))
            standing.append(case.create([after])[0])
            case.remove(standing.pop(dice.randrange(3)), [after])
            misses = misses + 1 if case.service.kills == kills else 0
            if misses == 2:
                break
        for each in standing:
            case.remove(each)
        case.is_clear()
        print(f'{case.service.kills} kills, {after} events')
        record_property('kills', case.service.kills)
        assert case.service.kills >= 6
