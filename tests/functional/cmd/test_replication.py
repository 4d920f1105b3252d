"""cinder-ext-manage replication, as an operator runs it on a site that lost its database."""
# SPDX-License-Identifier: Apache-2.0

import json
import types
import uuid

import blank
import pytest
import two_clouds
from oslo_config import cfg

from cinder_ext.cmd import manage, process
from cinder_ext.conf import options
from cinder_ext.db import session
from cinder_ext.drivers import values
from cinder_ext.volume import values as row_values
from cinder_ext.volume.replication import manifest


@pytest.fixture
def run(capsys):
    """run(cloud, 'list', ...) -> (exit code, what it prints)."""
    def run(cloud, *words):
        conf = options.new()
        conf.register_cli_opts([cfg.SubCommandOpt('command', handler=manage._add_commands)])
        options.parse(conf, ['--config-file', str(cloud.directory / 'cinder-ext.conf'),
                             'replication', *words])
        session.configure(conf)
        try:
            return conf.command.function(conf), capsys.readouterr().out
        finally:
            session.dispose()
    return run


@pytest.fixture
def shipped(tmp_path):
    """Cloud a with a volume whose point is on the array of cloud b, without its record."""
    pair = two_clouds.Pair(tmp_path)
    with pair.a.bound():
        row = pair.a.volume(b'content')
        member = values.Member(row_values.volume_value(row))
        record = types.SimpleNamespace(scope='volume', mode='async', rpo_seconds=10, epoch=1)
        point_id = str(uuid.uuid4())
        manifests = manifest.of(pair.a.conf, pair.a.context, record, [row], point_id,
                                pair.a.driver.replication_targets()[0])
        pair.a.driver.pair([member], None, pair.a.target, 1)
        pair.a.driver.ship([member], None, pair.a.target, point_id, 3, manifests)
    (pair.a.directory / 'test.db').unlink()
    blank.put(pair.a.directory / 'test.db')
    with pair.a.bound():
        pair.a.prepare()
    yield pair, row.id
    session.dispose()


def test_what_the_arrays_know_is_shown(run, shipped):
    pair, volume_id = shipped
    code, text = run(pair.a, 'list', 'alpha')
    assert code == 0
    assert [line.split()[1:3] for line in text.splitlines() if volume_id in line] == [
        ['alpha-dr', 'secondary'], ['home', 'primary']]
    pair.b.control(cut=True)
    code, text = run(pair.a, 'list', 'alpha', '--json')
    assert code == 2
    told = json.loads(text)
    assert [(each['name_id'], each['side']) for each in told['replicas']] == [(volume_id, 'home')]
    assert list(told['silent']) == ['alpha-dr']


def test_records_are_rebuilt_once_asked_for(run, shipped):
    pair, volume_id = shipped
    before = pair.a.state()
    code, text = run(pair.a, 'rebuild', 'alpha', '--dry-run')
    assert (code, 'rebuilt' in text) == (0, True)
    assert pair.a.state() == before
    code, text = run(pair.a, 'rebuild', 'alpha', '--json')
    row, = json.loads(text)['volumes']
    assert (code, row['volume_id'], row['name'], row['result']) == (0, volume_id, 'data', 'rebuilt')
    assert pair.a.state() != before
    code, text = run(pair.a, 'rebuild', 'alpha')
    assert (code, 'present' in text) == (0, True)


def test_what_needs_an_operator_is_told_by_the_exit_code(run, shipped):
    pair, volume_id = shipped
    pair.b.control(cut=True)
    code, text = run(pair.a, 'rebuild', 'alpha')
    assert (code, volume_id in text, 'alpha-dr does not answer' in text) == (2, True, True)


@pytest.mark.parametrize('verb', ['list', 'rebuild'])
@pytest.mark.parametrize('section', ['nowhere', 'DEFAULT'])
def test_a_section_that_is_no_backend_is_refused(run, tmp_path, verb, section):
    pair = two_clouds.Pair(tmp_path)
    with pytest.raises(process.Refused, match='no backend of that name'):
        run(pair.a, verb, section)


def test_a_backend_that_does_not_replicate_is_refused(run, tmp_path):
    pair = two_clouds.Pair(tmp_path)
    path = pair.a.directory / 'cinder-ext.conf'
    path.write_text('\n'.join(line for line in path.read_text().splitlines()
                              if not line.startswith('replication_device')))
    with pytest.raises(process.Refused, match='does not replicate'):
        run(pair.a, 'list', 'alpha')
