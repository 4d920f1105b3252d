"""What the tests of the sequences rest on: a cut path is noticed, and a call fails as it is said to."""
# SPDX-License-Identifier: Apache-2.0

import exporting_driver
import nova_player
import nova_sequences
import path_reader
import pytest
from oslo_config import cfg

from cinder_ext import exceptions
from cinder_ext.drivers import values

ONE, TWO = {'host': 'one'}, {'host': 'two'}
STATUSES = (('reserve', 'in-use'), ('delete', 'reserved'), ('update', 'attaching'),
            ('show', 'attaching'), ('complete', 'in-use'))
"""Status of a volume after each call of a cold migration, as the Block Storage API has it."""


@pytest.fixture
def driver(tmp_path):
    conf = cfg.ConfigOpts()
    conf.register_opts(exporting_driver.ExportingDriver.options())
    for name in ('file', 'export'):
        (tmp_path / name).mkdir()
        conf.set_override(f'{name}_path', str(tmp_path / name))
    made = exporting_driver.ExportingDriver(values.BackendSettings('alpha', 'alpha', conf))
    made.start()
    return made


@pytest.fixture
def volume(driver):
    made = values.Volume('volume-1', values.MIB)
    driver.create_volume(made)
    return made


def _hosts(tmp_path):
    return sorted(path.parent.name for path in (tmp_path / 'export').glob('*/*'))


def test_a_host_has_an_export_of_its_own(driver, volume, tmp_path):
    paths = [driver.connect_volume(volume, each).data['device_path'] for each in (ONE, TWO, ONE)]
    assert (len(set(paths)), _hosts(tmp_path)) == (2, ['one', 'two'])
    for _ in range(2):
        driver.disconnect_volume(volume, ONE)
        assert _hosts(tmp_path) == ['two']
    driver.connect_volume(volume, ONE)
    driver.disconnect_volume(volume, {})
    assert _hosts(tmp_path) == []


def test_exports_stay_while_the_backend_is_away(driver, volume, tmp_path):
    driver.connect_volume(volume, ONE)
    (tmp_path / 'file').rename(tmp_path / 'away')
    for call, host in ((driver.connect_volume, TWO), (driver.disconnect_volume, ONE)):
        with pytest.raises(exceptions.BackendDown):
            call(volume, host)
    assert _hosts(tmp_path) == ['one']


@pytest.mark.parametrize('deed', ['removed', 'replaced'])
def test_a_path_that_is_cut_is_noticed(tmp_path, deed):
    path, stamp = tmp_path / 'export', b'stamp'.ljust(path_reader.STAMP_BYTES)
    path.write_bytes(stamp)
    with path_reader.PathReader() as reader:
        reader.hold('guest', str(path), stamp)
        reader.pass_round()
        assert reader.faults == []
        path.unlink()
        if deed == 'replaced':
            path.write_bytes(b'another volume')
        nova_player.settled(lambda: reader.faults)
        reader.release('guest')
        assert (bool(reader.clear()), reader.clear()) == (True, [])


def test_the_volume_says_how_far_a_cold_migration_is(stage):
    played = stage(nova_sequences.Case(nova_sequences.COLD, 'confirm'))
    server, seen = played.server, []
    server.attach()
    for step in nova_sequences.COLD.stages[0].steps:
        server.play(nova_sequences.Stage((step,)))
        if step[0] in nova_sequences.ASKS:
            seen.append((step[0], played.cloud.state(played.volume_ids[0])[0]))
    assert tuple(seen) == STATUSES
    played.ends(server.host)


@pytest.mark.parametrize(('kind', 'asked', 'is_there'), [
    (nova_sequences.NEVER, 0, False), (nova_sequences.LOST, 1, True),
    (nova_sequences.TWICE, 2, True)])
def test_a_call_fails_as_it_is_said_to(cloud, stage, kind, asked, is_there):
    played = stage(nova_sequences.Case(nova_sequences.ATTACHING, 'confirm'))
    cloud.wire.plan(1, kind)
    try:
        played.server.play(nova_sequences.ATTACH, may_fail=True)
    except nova_player.Broken:
        assert kind in (nova_sequences.NEVER, nova_sequences.LOST)
    assert [call[:2] for call in cloud.wire.calls].count(('POST', '/attachments')) == asked
    assert bool(cloud.state(played.volume_ids[0])[2]) == is_there
    played.server.destroy()
    assert cloud.state(played.volume_ids[0]) == ('available', [], [], [])


def test_a_backend_that_is_away_refuses(cloud, stage):
    played = stage(nova_sequences.Case(nova_sequences.ATTACHING, 'confirm'))
    cloud.wire.plan(2, nova_sequences.REFUSED)
    with pytest.raises(nova_player.Erred):
        played.server.play(nova_sequences.ATTACH, may_fail=True)
    assert cloud.wire.calls[2][0] == 'PUT'
    played.server.destroy()
    assert cloud.state(played.volume_ids[0]) == ('available', [], [], [])
