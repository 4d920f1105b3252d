"""A database with the schema that alembic makes, and no rows: made once, then copied."""
# SPDX-License-Identifier: Apache-2.0

import functools
import pathlib
import shutil
import tempfile

from cinder_ext.conf import options
from cinder_ext.db import schema, session


@functools.cache
def _template():
    # Removed when the last reference goes: with the process.
    directory = tempfile.TemporaryDirectory(prefix='cinder-ext-blank-')
    conf = options.new()
    options.parse(conf, [])
    path = pathlib.Path(directory.name) / 'blank.db'
    conf.set_override('connection', f'sqlite:///{path}', 'database')
    session.configure(conf)
    schema.sync()
    session.dispose()
    return directory, path


def put(path):
    """Make such a file, unless there is one.  The package is bound to no database afterwards."""
    if not pathlib.Path(path).exists():
        shutil.copy(_template()[1], path)
