"""cinder-ext-manage attachments: its words, what it prints and its exit codes."""
# SPDX-License-Identifier: Apache-2.0

import datetime
import json

import pytest
import sqlalchemy as sa
from oslo_config import cfg
from oslo_utils import timeutils

from cinder_ext import context
from cinder_ext.cmd import manage, process
from cinder_ext.conf import options
from cinder_ext.db import attachments, models, schema, session, transition, volumes
from cinder_ext.drivers import values
from cinder_ext.drivers.conformance import workbench
from cinder_ext.states import volume as states

CONFIGURATION = """
[DEFAULT]
host = node
auth_strategy = noauth
enabled_backends = alpha
[database]
connection = sqlite:///{directory}/test.db
[attachments]
settle_seconds = 0
[alpha]
file_path = {directory}
file_format = qcow2
"""


@pytest.fixture
def run(tmp_path, capsys):
    """run('check', ...) -> (exit code, what it prints)."""
    file = tmp_path / 'cinder-ext.conf'
    file.write_text(CONFIGURATION.format(directory=tmp_path))

    def run(*words):
        conf = options.new()
        conf.register_cli_opts([cfg.SubCommandOpt('command', handler=manage._add_commands)])
        options.parse(conf, ['--config-file', str(file), 'attachments', *words])
        session.configure(conf)
        code = conf.command.function(conf)
        return code, capsys.readouterr().out

    conf = options.new()
    options.parse(conf, ['--config-file', str(file)])
    session.configure(conf)
    schema.sync()
    yield run
    session.dispose()


@pytest.fixture
def volume_id(run):
    """A volume that is in use by nobody."""
    ctxt = context.admin_context()
    row = volumes.create(ctxt, {'project_id': 'project', 'user_id': 'user', 'size': 1,
                                'host': 'node@alpha#alpha'})
    transition.force(ctxt, states.MACHINE, row.id, 'in-use')
    return row.id


def _status(volume_id):
    return volumes.get(context.admin_context(), volume_id).status


def test_what_is_found_is_shown_and_put_right_when_asked_for(run, volume_id):
    code, out = run('check')
    assert (code, out.splitlines()[1].split()[:3]) == (2, ['status-differs', volume_id, volume_id])
    code, out = run('repair', '--json')
    found, = json.loads(out)['findings']
    assert (code, found['result'], found['id']) == (2, 'would be repaired', volume_id)
    assert _status(volume_id) == 'in-use'
    code, out = run('repair', '--id', volume_id)
    assert (code, 'the status was set' in out, _status(volume_id)) == (0, True, 'available')
    assert run('check')[0] == 0
    with pytest.raises(process.Refused, match=volume_id):
        run('repair', '--id', volume_id)


def test_what_is_not_proven_stays_and_is_told(run, volume_id):
    ctxt = context.admin_context()
    attachments.settle(ctxt, volume_id)
    made = attachments.reserve(ctxt, volume_id).id
    _age(ctxt, made)
    for backend, code in (('node@alpha', 2), ('node@beta', 0)):
        found, out = run('repair', '--all', '--backend', backend)
        assert (found, made in out) == (code, code == 2)
    assert attachments.get(ctxt, made).attach_status == 'reserved'


@session.writer
def _age(ctxt, attachment_id):
    then = timeutils.utcnow() - datetime.timedelta(days=1)
    ctxt.session.execute(sa.update(models.Attachment).where(models.Attachment.id == attachment_id)
                         .values(created_at=then, updated_at=then))


def test_a_view_of_a_volume_that_nobody_needs_is_withdrawn_by_another_process(run, tmp_path):
    driver = workbench.started('file', file_path=tmp_path, file_format='qcow2')
    volume = values.Volume('11111111-1111-4111-8111-111111111111', 1 << 20)
    driver.create_volume(volume)
    driver.connect_volume(volume, {'host': 'one'})
    code, out = run('check')
    name = f'alpha/volume-{volume.name_id}'
    assert (code, name in out) == (2, True)
    assert run('repair', '--id', name)[0] == 0
    assert driver.list_exports() == []
    driver.delete_volume(volume)
    driver.stop()


def test_a_backend_whose_exports_cannot_be_asked_is_named(run, tmp_path):
    (tmp_path / 'views').write_text('no directory')
    code, out = run('check')
    assert (code, 'backend alpha cannot be looked at' in out) == (2, True)
