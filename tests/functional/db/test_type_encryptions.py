"""Encryption of volume types."""
# SPDX-License-Identifier: Apache-2.0

import pytest

from cinder_ext import exceptions
from cinder_ext.db import type_encryptions, volume_types

VALUES = {'provider': 'luks', 'control_location': 'front-end'}


@pytest.fixture
def type_id(database, ctxt):
    return volume_types.create(ctxt, {'name': 'fast'}).id


def test_it_is_made_changed_and_removed(type_id, ctxt):
    assert type_encryptions.get(ctxt, type_id) is None
    made = type_encryptions.create(ctxt, type_id, VALUES)
    assert made.encryption_id
    type_encryptions.update(ctxt, type_id, {'key_size': 256})
    found = type_encryptions.get(ctxt, type_id)
    assert (found.provider, found.key_size, found.cipher) == ('luks', 256, None)
    type_encryptions.delete(ctxt, type_id)
    assert type_encryptions.get(ctxt, type_id) is None


def test_there_is_one_at_most(type_id, ctxt):
    type_encryptions.create(ctxt, type_id, VALUES)
    with pytest.raises(exceptions.AlreadyExists):
        type_encryptions.create(ctxt, type_id, VALUES)


def test_what_there_is_not_is_neither_changed_nor_removed(type_id, ctxt):
    with pytest.raises(exceptions.EncryptionNotFound):
        type_encryptions.update(ctxt, type_id, {'key_size': 1})
    with pytest.raises(exceptions.EncryptionNotFound):
        type_encryptions.delete(ctxt, type_id)


def test_it_stays_while_volumes_have_the_type(type_id, make_volume, ctxt):
    type_encryptions.create(ctxt, type_id, VALUES)
    make_volume(volume_type_id=type_id)
    for change, values in ((type_encryptions.create, [VALUES]), (type_encryptions.delete, []),
                           (type_encryptions.update, [{'key_size': 1}])):
        with pytest.raises(exceptions.InvalidState):
            change(ctxt, type_id, *values)


def test_it_goes_with_the_type(type_id, ctxt):
    type_encryptions.create(ctxt, type_id, VALUES)
    volume_types.delete(ctxt, type_id)
    assert type_encryptions.get(ctxt, type_id) is None
