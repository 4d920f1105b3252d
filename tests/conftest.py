"""Options and fixtures of the whole suite.

The package is imported before oslo.messaging: it selects threads for oslo.service.
"""
# SPDX-License-Identifier: Apache-2.0

import os

import embedded
import pytest

import cinder_ext  # noqa: F401


def pytest_addoption(parser):
    parser.addoption('--long', action='store_true', default=bool(os.environ.get('CINDER_EXT_LONG')),
                     help='run the long variants: more kills, bigger volumes '
                          '(the environment variable CINDER_EXT_LONG=1 says the same)')


class Kills:
    """Counts the processes that the tests have killed, and wants enough of a whole run.

    A test says how many with ``record_property('kills', count)``.
    """

    whole = 20
    """So many tests that kill are more than any part of the suite has without servers."""

    def __init__(self, wanted):
        self._wanted = wanted
        self._counts = []

    @property
    def are_too_few(self):
        return len(self._counts) >= self.whole and sum(self._counts) < self._wanted

    def pytest_runtest_logreport(self, report):
        if report.when == 'call':
            self._counts += [count for name, count in report.user_properties if name == 'kills']

    def pytest_sessionfinish(self, session):
        if self.are_too_few:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter):
        if self._counts:
            terminalreporter.write_line(
                f'{sum(self._counts)} processes were killed in {len(self._counts)} tests'
                + (f'; {self._wanted} are wanted' if self.are_too_few else ''))


def pytest_configure(config):
    if not hasattr(config, 'workerinput'):
        config.pluginmanager.register(Kills(200 if config.getoption('--long') else 60))


def pytest_collection_modifyitems(items):
    """The file that takes longest first: at the end the other process would wait for it."""
    items.sort(key=lambda item: item.path.name != 'test_tempest.py')


@pytest.fixture(scope='session')
def is_long(request):
    """True when the long variants are asked for."""
    return request.config.getoption('--long')


@pytest.fixture
def service(tmp_path):
    """A running embedded service with the types alpha and beta, on a state directory of its own."""
    running = embedded.EmbeddedService(tmp_path / 'state')
    running.start()
    try:
        running.create_types()
        yield running
    finally:
        running.stop()
