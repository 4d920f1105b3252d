"""Real databases: SQLite always, and the servers of which tools/servers.py knows.

A schema takes alembic half a second: it is made once on each server, and
once for all the files of SQLite, which are copies of the first.
"""
# SPDX-License-Identifier: Apache-2.0

import shutil

import pytest
import replication_rows
import servers

from cinder_ext import context
from cinder_ext.conf import options
from cinder_ext.db import models, schema, session

URLS = ['sqlite', *servers.database_urls()]

_with_schema = set()
"""URLs of servers' databases that have the schema and no rows."""


def _bind(url):
    session.dispose()
    conf = options.new()
    options.parse(conf, [])
    conf.set_override('connection', url, 'database')
    for option in ('quota_volumes', 'quota_snapshots', 'quota_gigabytes', 'quota_groups'):
        conf.set_override(option, -1)
    session.configure(conf)


@pytest.fixture(params=URLS, ids=servers.kind)
def url(request, tmp_path):
    """URL of a database; its tables are left from the test before."""
    return f'sqlite:///{tmp_path}/test.db' if request.param == 'sqlite' else request.param


@pytest.fixture
def empty_database(url):
    """The package is bound to a database without tables; yields its URL."""
    if servers.kind(url) != 'sqlite':
        _with_schema.discard(url)
        servers.make_empty(url)
    _bind(url)
    yield url
    session.dispose()


@pytest.fixture
def own_database(empty_database):
    """The package is bound to a database whose schema the test may change."""
    schema.sync()
    return empty_database


@pytest.fixture(scope='session')
def sqlite_template(tmp_path_factory):
    """An SQLite file with the schema."""
    path = tmp_path_factory.mktemp('template') / 'template.db'
    _bind(f'sqlite:///{path}')
    schema.sync()
    session.dispose()
    return path


@pytest.fixture
def database(url, sqlite_template, tmp_path):
    """The package is bound to a database with the schema that alembic makes, and no rows."""
    if servers.kind(url) == 'sqlite':
        shutil.copy(sqlite_template, tmp_path / 'test.db')
    elif url not in _with_schema:
        servers.make_empty(url)
    _bind(url)
    if servers.kind(url) != 'sqlite' and url not in _with_schema:
        schema.sync()
        _with_schema.add(url)
    yield url
    if servers.kind(url) != 'sqlite':
        with session.get_engine().begin() as connection:
            servers.empty_tables(connection, models.Base.metadata)
    session.dispose()


@pytest.fixture
def bind():
    """bind(url): bind the package to a database, with connections of its own."""
    return _bind


@pytest.fixture
def ctxt():
    return context.RequestContext(user_id='user', project_id='project', roles=['member'],
                                  overwrite=False)


@pytest.fixture
def make_volume(database, ctxt):
    """make_volume(status='available', **columns) -> id of a new volume."""
    return lambda **columns: insert_volume(ctxt, **columns)


@pytest.fixture
def enabled(make_volume, ctxt):
    """enabled(**columns of the volume) -> a replication of scope volume that is enabled."""
    def make(**columns):
        row = replication_rows.protect(ctxt, make_volume(**columns))
        replication_rows.ship(ctxt, row)
        return row
    return make


def insert_volume(ctxt, **columns):
    """A volume in any status, put there by the fixture and not by the door."""
    values = {'project_id': 'project', 'user_id': 'user', 'size': 1, 'status': 'available',
              'attach_status': 'detached', 'host': 'node@alpha#alpha', **columns}

    @session.writer
    def insert(context):
        row = models.Volume(**values)
        context.session.add(row)
        context.session.flush()
        return row.id

    return insert(ctxt)
