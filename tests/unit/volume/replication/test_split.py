"""What two sides that are not of one mind have become, and which of them is kept from harm."""
# SPDX-License-Identifier: Apache-2.0

import types

import pytest

from cinder_ext.drivers import values
from cinder_ext.volume.replication import split

ROW = types.SimpleNamespace(id='r', source_side=None, destination_side='dr', epoch=3)
MEMBER = values.Member(values.Volume('11111111-2222-4333-8444-555555555555', values.GIB))


class Fences:
    """What a driver is asked to fence."""

    def __init__(self):
        self.asked = []

    def fence(self, member, side, epoch):
        self.asked.append((member.volume.name_id, side, epoch))


@pytest.mark.parametrize(('here', 'there', 'is_lost'), [
    (values.Side('primary', 3), values.Side(None, 0), True),
    (values.Side('primary', 3), values.Side('secondary', 2), True),
    (values.Side(None, 0), values.Side('secondary', 3), True),
    (values.Side('primary', 3), values.Side('primary', 4), False),
    (values.Side('primary', 3), values.Side('secondary', 4), False),
    (values.Side('fenced', 3), values.Side('secondary', 3), False),
    (values.Side('primary', 4), values.Side('secondary', 3), False)])
def test_replica_is_made_anew_only_where_nobody_uses_or_decided_anything(here, there, is_lost):
    assert split.is_lost([(here, there)], ROW) is is_lost


@pytest.mark.parametrize(('here', 'there', 'epochs'), [
    (values.Side('primary', 3), values.Side('primary', 4), [4]),
    (values.Side('primary', 4), values.Side('primary', 4), []),
    (values.Side('primary', 5), values.Side('primary', 4), []),
    (values.Side('primary', 3), values.Side('secondary', 4), []),
    (values.Side('fenced', 3), values.Side('primary', 4), [])])
def test_source_is_fenced_only_when_its_successor_is_in_use(here, there, epochs):
    fences = Fences()
    split.fence(fences, ROW, [MEMBER], [(here, there)])
    assert fences.asked == [(MEMBER.volume.name_id, None, epoch) for epoch in epochs]
