"""How a test makes a directory fail like an array that is cut off, full, slow or lost.

A file of JSON, read at each call, of these keys; where it is absent all is well::

    {"cut": true, "lost": true, "full": true, "bytes_per_second": 1000000, "fail": ["NAME_ID"]}
"""
# SPDX-License-Identifier: Apache-2.0

import json

from cinder_ext import exceptions


def read(path):
    """What a control file says; nothing when there is none, or it is just being written."""
    if path is None:
        return {}
    try:
        with open(path, encoding='utf-8') as stream:
            return json.load(stream)
    except (FileNotFoundError, ValueError):
        return {}


def check(path, title, name_id=None, is_write=False):
    """Fail as a control file says.

    :param title: what the array is called in messages
    :raises BackendDown: it is cut off, or lost
    :raises NoSpace: it is full, and something is to be written
    :raises DriverError: this volume fails
    """
    said = read(path)
    for word, reason in (('cut', 'is cut off'), ('lost', 'is lost')):
        if said.get(word):
            raise exceptions.BackendDown(reason=f'{title} {reason}')
    if is_write and said.get('full'):
        raise exceptions.NoSpace(reason=f'{title} is full')
    if name_id is not None and name_id in said.get('fail', ()):
        raise exceptions.DriverError(reason=f'{title} fails for {name_id}')


def bytes_per_second(path):
    """What a control file slows a copy down to; 0: not at all."""
    return read(path).get('bytes_per_second', 0)
