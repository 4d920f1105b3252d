"""What an array tells that others have written to as well."""
# SPDX-License-Identifier: Apache-2.0

import json
import uuid

import pytest

from cinder_ext import exceptions
from cinder_ext.drivers import values
from cinder_ext.drivers.replica import arrays, looking, points, roles


@pytest.fixture
def array(tmp_path):
    made = arrays.Array('alpha', 'dr', str(tmp_path))
    made.prepare()
    return made


@pytest.fixture
def name_id(array):
    """A volume that receives, with a point."""
    name_id = str(uuid.uuid4())
    with array.held([name_id], make=True):
        roles.write(array, name_id, roles.Role(roles.SECONDARY, 3))
    made(array, name_id, 'one', 1)
    return name_id


def made(array, name_id, point_id, number):
    with open(points.content(array, name_id, point_id), 'wb') as stream:
        stream.truncate(1 << 20)
    points.write(array, points.Mark(point_id, 5.0 - number, number,
                                    {name_id: {'snapshots': []}}))


def test_points_are_told_in_the_order_in_which_they_were_taken_whatever_the_clock_said(
        array, name_id):
    made(array, name_id, 'two', 2)
    side = looking.side(array, name_id)
    assert [point.id for point in side.points] == ['one', 'two']
    assert (side.role, side.epoch, side.exists) == ('secondary', 3, True)


def test_content_without_a_mark_is_no_point(array, name_id, tmp_path):
    (tmp_path / 'replication/points/one.json').unlink()
    assert looking.side(array, name_id).points == ()


@pytest.mark.parametrize('content', ['', '{"role"', '[]', '{"unknown": 1}'],
                         ids=['empty', 'torn', 'list', 'unknown'])
def test_what_cannot_be_read_is_no_point_and_no_role(array, name_id, tmp_path, content):
    (tmp_path / 'replication/points/one.json').write_text(content)
    assert looking.side(array, name_id).points == ()
    (tmp_path / f'replication/volumes/{name_id}/role.json').write_text(content)
    with pytest.raises(exceptions.DriverError, match='cannot be read'):
        looking.side(array, name_id)


def test_what_is_no_volume_is_not_listed(array, name_id, tmp_path):
    for name in ('lost+found', '.hidden', str(uuid.uuid4())):
        (tmp_path / 'replication/volumes' / name).mkdir()
    found = looking.replicas(array)
    assert list(found) == [name_id]
    assert found[name_id][1:] == (1 << 20, [name_id], None)


def test_a_mark_cannot_name_a_snapshot_elsewhere(array, name_id, tmp_path):
    path = tmp_path / 'replication/points/one.json'
    mark = json.loads(path.read_text())
    mark['members'][name_id]['snapshots'] = ['../../../../secret']
    path.write_text(json.dumps(mark))
    with pytest.raises(exceptions.DriverError, match='not fit'):
        looking.snapshot(array, name_id, points.of(array, name_id)[0].snapshots(name_id)[0])


def test_an_array_without_replication_has_no_replicas(tmp_path):
    array = arrays.Array('alpha', None, str(tmp_path))
    assert looking.replicas(array) == {}
    assert looking.side(array, str(uuid.uuid4())) == values.Side()
