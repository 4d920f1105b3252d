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
