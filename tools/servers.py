"""Databases and virtual hosts on the servers that tools/services.sh runs, one for each test process.

The environment says which servers there are; without it there are none::

    CINDER_EXT_TEST_DATABASE_URLS    URLs separated by commas; each names an empty database that
                                     tests may write to, empty and drop
    CINDER_EXT_TEST_TRANSPORT_URLS   the same for messages, rabbit://user:password@host:port/

Tests that run side by side (pytest-xdist) get neighbours of what is named:
``cinder_ext_gw1`` beside the database ``cinder_ext``, and the virtual host
``worker-1`` of the broker.
"""
# SPDX-License-Identifier: Apache-2.0

import os

import sqlalchemy as sa

WORKER = os.environ.get('PYTEST_XDIST_WORKER', '')


def _named(variable):
    return [url for url in os.environ.get(variable, '').split(',') if url]


def kind(url):
    """What a URL is of, as a test names it: sqlite, mysql, postgresql, local, rabbit."""
    return url.partition(':')[0].partition('+')[0]


def database_urls():
    """URLs of this process's own databases, which may not exist yet."""
    named = _named('CINDER_EXT_TEST_DATABASE_URLS')
    return [neighbour(url, WORKER) for url in named] if WORKER else named


def transport_urls():
    """URLs of this process's own virtual hosts."""
    host = f"worker-{WORKER.removeprefix('gw')}" if WORKER else ''
    return [url.rstrip('/') + '/' + host for url in _named('CINDER_EXT_TEST_TRANSPORT_URLS')]


def neighbour(url, name):
    """The URL of another database on the same server: its name, an underscore, ``name``."""
    found = sa.make_url(url)
    return found.set(database=f'{found.database}_{name}').render_as_string(hide_password=False)


def make_empty(url):
    """Make a database without tables, whatever was there; nobody may be connected to it."""
    found = sa.make_url(url)
    server = found.set(database='postgres' if kind(url) == 'postgresql' else '')
    engine = sa.create_engine(server, isolation_level='AUTOCOMMIT', poolclass=sa.NullPool)
    force = ' WITH (FORCE)' if kind(url) == 'postgresql' else ''
    with engine.connect() as connection:
        connection.exec_driver_sql(f'DROP DATABASE IF EXISTS {found.database}{force}')
        connection.exec_driver_sql(f'CREATE DATABASE {found.database}')


def empty_tables(connection, metadata):
    """Remove every row of every table, and leave the tables."""
    for table in reversed(metadata.sorted_tables):
        connection.execute(table.delete())
