"""Real databases: SQLite always, and those that CINDER_EXT_TEST_DATABASE_URLS names.

The variable holds URLs separated by commas; each names an empty database that
the tests may write to and empty again.
"""
# SPDX-License-Identifier: Apache-2.0

import os

import pytest
import sqlalchemy as sa

from cinder_ext import context
from cinder_ext.conf import options
from cinder_ext.db import models, schema, session

URLS = ['sqlite', *filter(None, os.environ.get('CINDER_EXT_TEST_DATABASE_URLS', '').split(','))]


def _empty(engine):
    found = sa.MetaData()
    found.reflect(engine)
    found.drop_all(engine)


@pytest.fixture(params=URLS, ids=lambda url: url.split(':')[0])
def empty_database(request, tmp_path):
    """The package is bound to a database without tables; yields its URL."""
    url = f'sqlite:///{tmp_path}/test.db' if request.param == 'sqlite' else request.param
    conf = options.new()
    options.parse(conf, [])
    conf.set_override('connection', url, 'database')
    for option in ('quota_volumes', 'quota_snapshots', 'quota_gigabytes'):
        conf.set_override(option, -1)
    session.configure(conf)
    _empty(session.get_engine())
    yield url
    _empty(session.get_engine())
    session.dispose()


@pytest.fixture
def database(empty_database):
    """The package is bound to a database with the schema that alembic makes."""
    schema.sync()
    return empty_database


@pytest.fixture
def ctxt():
    return context.RequestContext(user_id='user', project_id='project', roles=['member'],
                                  overwrite=False)


@pytest.fixture
def make_volume(database, ctxt):
    """make_volume(status='available', **columns) -> id of a new volume."""
    return lambda **columns: insert_volume(ctxt, **columns)


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
