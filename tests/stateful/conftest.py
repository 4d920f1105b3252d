"""A service for many histories, made anew after one that failed."""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import itertools
import pathlib
import time

import chronicle
import histories
import hypothesis
import pytest
from mortal_service import MortalService

from cinder_ext.drivers.conformance import media

GIB = 1024 ** 3
SHORTENING_SECONDS = 40
"""How long shorter histories are tried after one that failed."""


class Stage:
    """Where histories are run, one after the other.

    :ivar runs: histories that ended as they should
    :ivar kills: how often a service died in them
    """

    def __init__(self, place):
        self._places = (pathlib.Path(place) / f'state-{number}' for number in itertools.count())
        self._service = None
        self.runs = self.kills = 0
        self._fault = self._failed = self._until = None

    def run(self, history):
        """Run one; a service that failed in it is not used again."""
        if self._until is not None and time.monotonic() > self._until:
            self._answer_from_memory(history)
            return
        service = self._service or self._make()
        kills = service.kills
        try:
            chronicle.Chronicle(service).run(history)
        except Exception as fault:
            fault.add_note(service.log_tail(200))
            self.close()
            self._until = self._until or time.monotonic() + SHORTENING_SECONDS
            self._failed, self._fault = history, fault
            raise
        self.runs += 1
        self.kills += service.kills - kills

    def _answer_from_memory(self, history):
        """Let the shortening end: nothing but the last failure is a failure from now on."""
        if history == self._failed:
            raise self._fault

    def _make(self):
        self._service = MortalService(next(self._places))
        self._service.start()
        self._service.create_types()
        self._service.api.create_type(histories.TYPES[2], {})
        return self._service

    def close(self):
        if self._service is not None:
            self._service.close()
            self._service = None


@pytest.fixture
def run_all(request, is_long, record_property):
    """run_all(stage, count): as many histories as asked for, the same ones each time.

    A history that fails is made shorter and printed; pasted into a call of ``stage.run`` it is
    run again.
    """
    def run_all(stage, count):
        count *= 6 if is_long else 1

        @hypothesis.settings(max_examples=count, deadline=None, derandomize=True, database=None,
                             suppress_health_check=list(hypothesis.HealthCheck),
                             report_multiple_bugs=False, print_blob=False)
        @hypothesis.given(history=histories.histories(12 if is_long else 5))
        def check(history):
            stage.run(history)

        check()
        record_property('histories', stage.runs)
        record_property('kills', stage.kills)
        assert stage.runs >= count
        return stage.kills / stage.runs

    return run_all


@pytest.fixture
def on_plain(tmp_path):
    """Snapshots are copies."""
    with contextlib.closing(Stage(tmp_path)) as made:
        yield made


@pytest.fixture
def on_xfs(tmp_path):
    """Snapshots share blocks."""
    with (media.mounted_xfs(str(tmp_path), 6 * GIB) as place,
          contextlib.closing(Stage(place)) as made):
        yield made
