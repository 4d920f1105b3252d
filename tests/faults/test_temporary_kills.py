"""Killed around and in temporary volumes: one at a time, and none is left."""
# SPDX-License-Identifier: Apache-2.0

import os
import pathlib

import pytest

MIB = 1024 ** 2
SCRIPT = pathlib.Path(__file__).with_name('temporary.py')
SHORT = ['noted:1', f'bytes:{3 * MIB}', 'kept:1', 'kept:1', 'kept:1']
"""One process dies at each: twice in the first link, then when it and the next one are copied, and
when the first one was read back."""
POINTS = SHORT if not os.environ.get('CINDER_EXT_LONG') else [
    *SHORT[:2], 'made:1', 'gone:1', 'kept:1', 'noted:1', 'made:1', 'kept:1', 'gone:1', 'made:1']


@pytest.mark.parametrize('service', ['plain'], indirect=True)
def test_killed_in_temporary_volumes(service, tell, monkeypatch, record_property):
    most = service.state_dir / 'most'
    monkeypatch.setenv('MOST', str(most))
    service.arguments = [str(SCRIPT)]
    story = tell()
    assert story.retype_until_killed(POINTS[0])
    for point in POINTS[1:]:
        service.begin(point)
        assert service.dies(story.is_over), f'nothing died at {point}'
    story.ends_well()
    assert service.kills == len(POINTS)
    # The volume, and what one snapshot is read through.
    assert {int(count) for count in most.read_text().split()} == {2}
    assert os.listdir(service.state_dir / 'alpha' / 'volumes') == []
    record_property('kills', service.kills)
