"""The runner of periodic jobs."""
# SPDX-License-Identifier: Apache-2.0

import contextlib
import queue
import threading
import time

import pytest

from cinder_ext import periodic

LONG_SECONDS = 3600


class Job:
    """Notes each run; may fail or take its time."""

    def __init__(self):
        self.runs = queue.Queue()
        self.error = None
        self.may_end = threading.Event()
        self.may_end.set()

    def __call__(self):
        self.runs.put(time.monotonic())
        self.may_end.wait(60)
        if self.error is not None:
            raise self.error

    def next_run(self, within_seconds=60):
        return self.runs.get(timeout=within_seconds)

    def has_run_again(self, within_seconds=0.2):
        try:
            self.next_run(within_seconds)
        except queue.Empty:
            return False
        return True


@pytest.fixture
def job():
    return Job()


@contextlib.contextmanager
def running(job, interval_seconds):
    runner = periodic.Periodic(interval_seconds, job, 'test job')
    runner.start()
    try:
        yield runner
    finally:
        job.may_end.set()
        runner.stop(60)


def test_job_runs_at_once_and_then_after_each_interval(job):
    with running(job, 0.1):
        first, second, third = (job.next_run() for _ in range(3))
    assert second - first >= 0.09
    assert third - second >= 0.09


def test_job_waits_for_its_interval(job):
    with running(job, LONG_SECONDS):
        job.next_run()
        assert not job.has_run_again()


def test_poked_job_runs_now(job):
    with running(job, LONG_SECONDS) as runner:
        job.next_run()
        runner.poke()
        job.next_run()


def test_pokes_during_a_run_lead_to_one_more_run(job):
    job.may_end.clear()
    with running(job, LONG_SECONDS) as runner:
        job.next_run()
        for _ in range(5):
            runner.poke()
        job.may_end.set()
        job.next_run()
        assert not job.has_run_again()


def test_failed_run_is_logged_and_the_job_goes_on(job, caplog):
    job.error = RuntimeError('the backend is away')
    with running(job, 0.05):
        job.next_run()
        job.next_run()
    assert 'Periodic job test job failed' in caplog.text
    assert 'the backend is away' in caplog.text


def test_stopped_job_runs_no_more(job):
    with running(job, 0.05) as runner:
        job.next_run()
        assert runner.stop()
        while not job.runs.empty():
            job.runs.get()
        assert not job.has_run_again()


def test_stop_wakes_a_sleeping_job_at_once(job):
    with running(job, LONG_SECONDS) as runner:
        job.next_run()
        began = time.monotonic()
        assert runner.stop()
    assert time.monotonic() - began < LONG_SECONDS / 60


def test_stop_says_that_a_run_has_not_ended_in_time(job):
    job.may_end.clear()
    with running(job, LONG_SECONDS) as runner:
        job.next_run()
        assert not runner.stop(timeout_seconds=0.1)
        job.may_end.set()
        assert runner.stop(timeout_seconds=60)


def test_job_may_stop_itself(job):
    ended = threading.Event()

    def stop_from_inside():
        runner.stop()
        ended.set()

    runner = periodic.Periodic(0.01, stop_from_inside, 'ends itself')
    runner.start()
    assert ended.wait(60)


def test_stopped_job_can_be_started_again(job):
    with running(job, LONG_SECONDS) as runner:
        job.next_run()
        runner.stop()
        runner.start()
        job.next_run()


def test_second_start_does_not_make_a_second_thread(job):
    with running(job, LONG_SECONDS) as runner:
        job.next_run()
        runner.start()
        assert not job.has_run_again()


def test_stop_of_a_job_that_never_started_is_harmless(job):
    assert periodic.Periodic(1, job, 'idle').stop()
    assert job.runs.empty()
