"""The compute service fails in a snapshot's creation or deletion, in each way that it can."""
# SPDX-License-Identifier: Apache-2.0

import os
import random
import threading

import assisted_stage
import embedded
import pytest
import rest
from assisted_compute import Manner

GONE = assisted_stage.GONE
LONG = bool(os.environ.get('CINDER_EXT_LONG'))
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
        self.request_delete(snapshot_id, **manner)
        return self.stage.ends(snapshot_id)

    def request_delete(self, snapshot_id, **manner):
        """From now on the snapshot holds nothing to rely on: it may be half merged."""
        self.cuts.pop(snapshot_id, None)
        self._treated(manner, lambda: self.stage.api.delete(f'/snapshots/{snapshot_id}'),
                      snapshot_id)

    def _treated(self, manner, ask, snapshot_id=None):
        """Ask, and return when the compute service was asked; some deletions need nothing of it."""
        compute = self.stage.compute
        if not manner:
            return ask()
        compute.manners.append(Manner(**manner))
        found = ask()
        rest.wait_for(lambda: not compute.manners or (
            snapshot_id and self.stage.status(snapshot_id) == GONE), 'the request', interval=0.01)
        compute.manners.clear()
        return found

    def is_whole(self):
        """The guest has not noticed anything, and the snapshots hold what they held."""
        self.seat.is_whole()
        self.stage.no_layer_was_taken()
        for snapshot_id, cut in self.cuts.items():
            assert self.seat.log.cut_of(self.stage.layer('snapshot', snapshot_id)) == cut

    def has_spares(self):
        """Whether the backend keeps what was merged, since it may be lost."""
        return any(self.volume_id in name
                   for name in os.listdir(self.stage.layers.parent / 'spares'))

    def is_clear(self):
        """Only the volume is left of it all, and its server knows where it is."""
        self.is_whole()
        self.seat.is_known()
        rest.wait_for(lambda: sorted(self.seat.names()) == [
            name for name in self.stage.files() if self.volume_id in name], 'nothing to be left', 20)
        self.seat.leave()


@pytest.fixture
def case(stage):
    found = Case(stage)
    yield found
    found.seat.writer.stop()


@pytest.mark.parametrize(('manner', 'wanted'), [
    pytest.param({'reports': 2}, 'available', id='it reports twice'),
    pytest.param({'answers': False}, 'available', id='its answer is lost'),
    pytest.param({'refusal': 400}, 'error', id='it refuses'),
    pytest.param({'fails': True}, 'error', id='it fails')])
def test_a_creation_in_which(case, manner, wanted):
    before = case.seat.guest.path
    snapshot_id, status = case.create(**manner)
    assert status == wanted
    assert (case.seat.guest.path == before) == (wanted == 'error')
    case.is_whole()
    other, status = case.create()
    assert status == 'available'
    case.is_whole()
    assert case.delete(snapshot_id) == GONE
    case.is_whole()
    assert case.delete(other) == GONE
    case.is_clear()


@pytest.mark.parametrize(('manner', 'wanted'), [
    pytest.param({'reports': 2}, (GONE,), id='it reports twice'),
    pytest.param({'answers': False}, (GONE,), id='its answer is lost'),
    pytest.param({'refusal': 400}, ('available', 'error_deleting'), id='it refuses'),
    pytest.param({'fails': True}, ('error_deleting',), id='it fails')])
def test_a_deletion_in_which(case, manner, wanted):
    ids = [case.create()[0] for _ in range(3)]
    for each in (ids[1], ids[2], ids[0]):
        status = case.delete(each, **manner)
        assert status in wanted
        case.is_whole()
        assert status == GONE or case.delete(each) == GONE
        case.is_whole()
    case.is_clear()


def test_a_guest_that_dies_before_its_snapshot(case):
    snapshot_id, status = case.create(kills_guest=True)
    assert status == 'error'
    case.seat.reboot()
    case.is_whole()
    assert case.delete(snapshot_id) == GONE
    case.is_clear()


@pytest.mark.parametrize('number', [1, 2], ids=['commit', 'stream'])
def test_a_guest_that_dies_in_the_middle_of_a_merge(case, number):
    ids = []
    for _ in range(3):
        case.seat.writer.goes_on(150)
        ids.append(case.create()[0])
    case.seat.writer.goes_on(150)
    case.seat.guest.job_bytes_per_second = 2 ** 18
    assert case.delete(ids[number], kills_guest=True) == 'error_deleting'
    assert not case.seat.guest.is_alive
    case.seat.reboot()
    case.is_whole()
    for each in (ids[number], *(set(ids) - {ids[number]})):
        assert case.delete(each) == GONE
        case.is_whole()
    case.is_clear()


def test_a_guest_that_dies_after_a_merge(case):
    """It has not flushed since: what was merged is not on the medium, though QEMU says so.

    The service sees to it with its next report, before the server is started again.
    """
    ids = [case.create()[0] for _ in range(3)]
    for each in (ids[2], ids[0]):
        with case.seat.writer.held():
            assert case.delete(each) == GONE
            case.seat.guest.kill()
        rest.wait_for(lambda: not case.has_spares(), 'the data to be safe')
        case.seat.reboot()
        case.is_whole()
    assert case.delete(ids[1]) == GONE
    case.is_clear()


class Silence:
    """A creation of which nobody is told how it went: the deadline ends it.

    :param does_switch: whether the guest goes over to the new layer
    :param late: threading.Event that lets it do so later
    """

    def __init__(self, case, does_switch=False, late=None, **manner):
        self.case, self.does_switch, self.late = case, does_switch, late
        self.before = case.seat.guest.path
        self.snapshot_id = case.request(**manner)

    def ends(self):
        case = self.case
        assert case.stage.ends(self.snapshot_id) == 'error'
        case.is_whole()
        overlay = case.stage.layer('volume', case.volume_id)
        assert overlay.exists()
        assert str(overlay) != self.before
        assert case.seat.guest.path == (str(overlay) if self.does_switch else self.before)
        if self.late:
            self.late.set()
            rest.wait_for(lambda: case.seat.guest.path == str(overlay), 'the guest', interval=0.02)
            case.is_whole()
            case.seat.is_known()


def _six(stage):
    """A volume for each of the faults; the first snapshot of each went well."""
    found = [Case(stage) for _ in range(6)]
    for case in found:
        assert case.create()[1] == 'available'
    return found


def test_creations_that_nobody_reports(stage):
    late, late_report = threading.Event(), threading.Event()
    cases = _six(stage)
    silences = [
        Silence(cases[0], silent=True),
        Silence(cases[1], refusal=500),
        Silence(cases[2], reports=0, does_switch=True),
        Silence(cases[3], waits=late, late=late),
        Silence(cases[4], report_waits=late_report, does_switch=True),
        Silence(cases[5], silent=True, answers=False)]
    for silence in silences:
        silence.ends()
    late_report.set()
    assert cases[0].create()[1] == 'available'
    cases[1].seat.reboot()
    for silence in silences:
        case = silence.case
        assert case.delete(silence.snapshot_id) == GONE
        case.is_whole()
        for each in list(case.cuts):
            assert case.delete(each) == GONE
        case.is_clear()


def test_deletions_that_nobody_reports(stage):
    late = threading.Event()
    cases = _six(stage)
    manners = [{'silent': True}, {'refusal': 500}, {'reports': 0}, {'waits': late},
               {'report_waits': late}, {'silent': True, 'answers': False}]
    for case, manner in zip(cases, manners, strict=True):
        case.snapshot_id, = case.cuts
        case.request_delete(case.snapshot_id, **manner)
    for case in cases:
        assert stage.ends(case.snapshot_id) == 'error_deleting'
        case.is_whole()
    late.set()
    stage.compute.settle()
    assert len(cases[3].seat.guest.chain()) == 1
    asked = len(stage.compute.asked)
    for case in (cases[2], cases[3], cases[4]):
        assert case.delete(case.snapshot_id) == GONE
        case.is_clear()
    assert len(stage.compute.asked) == asked
    for case in (cases[0], cases[1], cases[5]):
        assert case.delete(case.snapshot_id) == GONE
        case.is_clear()


MANNERS = ({}, {}, {}, {'reports': 2}, {'answers': False}, {'refusal': 400}, {'refusal': 503},
           {'fails': True}, {'silent': True}, {'reports': 0})


@pytest.mark.timeout(1800 if LONG else 300)
def test_faults_in_random_order(case):
    """Whatever went wrong before, each snapshot can be deleted while the guest goes on."""
    dice = random.Random(9)
    standing = []
    for _ in range(80 if LONG else 8):
        manner = dice.choice(MANNERS)
        if len(standing) < 2 or (len(standing) < 6 and dice.random() < 0.5):
            standing.append(case.create(**manner)[0])
        else:
            victim = standing.pop(dice.randrange(len(standing)))
            if case.delete(victim, **manner) != GONE:
                standing.append(victim)
        case.is_whole()
    for each in standing:
        if case.delete(each) != GONE:
            case.seat.reboot()
            assert case.delete(each) == GONE
        case.is_whole()
    case.is_clear()
