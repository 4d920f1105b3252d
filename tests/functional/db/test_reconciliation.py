"""Attachments, statuses and exports that nobody stands behind: found, proven, put right."""
# SPDX-License-Identifier: Apache-2.0

import datetime
import uuid

import pytest
import sqlalchemy as sa
from oslo_utils import timeutils

from cinder_ext import compute, exceptions, metrics
from cinder_ext.conf import options
from cinder_ext.db import (
    attachments,
    connections,
    models,
    reconciliation,
    session,
    snapshots,
    transition,
    volume_migrations,
    volumes,
)
from cinder_ext.drivers import capabilities, values
from cinder_ext.drivers.conformance import workbench
from cinder_ext.states import migration as migration_states
from cinder_ext.states import volume as volume_states
from cinder_ext.volume.attachments import reconciler

ONE, TWO = {'host': 'one'}, {'host': 'two'}


@pytest.fixture
def url(tmp_path):
    """The rules are the same on every engine; what differs there is in test_attachments.py."""
    return f'sqlite:///{tmp_path}/test.db'


class FakeCompute:
    """Knows servers: id -> (State, host); and devices: (server, volume) -> attachment id."""

    is_known = True

    def __init__(self):
        self.servers, self.devices, self.when_asked = {}, {}, lambda: None

    def state_of(self, context, server_id):
        self.when_asked()
        return self.servers.get(server_id, (None, None))[0]

    def place_of(self, context, server_id):
        return self.servers[server_id][1], 'project'

    def device_of(self, context, server_id, volume_id):
        found = self.devices.get((server_id, volume_id))
        return found and compute.Device(found)

    def runs(self, server_id, volume_id, attachment_id, host='one', task_state=None):
        self.servers[server_id] = (compute.State('active', task_state), host)
        self.devices[server_id, volume_id] = attachment_id


class Shown(capabilities.Exports):
    """A backend that shows what it is told to."""

    def __init__(self):
        self.exports, self.fault = [], None

    def switched_off(self):
        return frozenset()

    def list_exports(self):
        if self.fault is not None:
            raise self.fault
        return list(self.exports)

    def withdraw_export(self, export):
        self.exports = [each for each in self.exports if each != export]


class Story:
    """A reconciler, and a volume that is attached as the test says."""

    def __init__(self, ctxt, make_volume):
        self.context, self.make_volume = ctxt, make_volume
        self.compute, self.driver = FakeCompute(), Shown()
        conf = options.new()
        options.parse(conf, [])
        conf.set_override('settle_seconds', 0, 'attachments')
        self.conf = conf
        self.reconciler = reconciler.Reconciler(conf, self.compute, {'alpha': self.driver})
        self.volume_id = make_volume(multiattach=True)

    def reserve(self, server='server'):
        return attachments.reserve(self.context, self.volume_id, server).id

    def attach(self, connector=ONE, server='server'):
        made = self.reserve(server)
        attachments.connect(self.context, made, connector)
        attachments.store_connection(self.context, made, {'path': 'here'})
        attachments.complete(self.context, made)
        return made

    def check(self):
        return self.reconciler.check(self.context)

    def kinds(self):
        return [(each.kind, each.id) for each in self.check()]

    def repair(self):
        return [self.reconciler.repair(self.context, each) for each in self.check()]

    def statuses(self):
        return [each.attach_status for each in attachments.of_volume(self.context, self.volume_id)]

    def age(self, model, row_id, seconds):
        _age(self.context, model, row_id, seconds)

    @property
    def status(self):
        return volumes.get(self.context, self.volume_id).status


@session.writer
def _age(context, model, row_id, seconds):
    then = timeutils.utcnow() - datetime.timedelta(seconds=seconds)
    context.session.execute(sa.update(model).where(model.id == row_id)
                            .values(created_at=then, updated_at=then))


@pytest.fixture
def story(ctxt, make_volume):
    return Story(ctxt, make_volume)


def test_what_is_used_is_not_found(story):
    made = story.attach()
    story.compute.runs('server', story.volume_id, made)
    assert story.kinds() == []


def test_a_reservation_of_a_server_that_is_gone_is_removed_at_once(story):
    made = story.reserve()
    assert story.kinds() == [('server-gone', made)]
    assert story.repair() == ['the attachment is being removed']
    assert (story.kinds(), story.statuses(), story.status) == ([], [], 'available')


def test_a_connected_one_is_left_to_the_volume_service(story):
    story.attach()
    story.repair()
    assert story.statuses() == ['detaching']
    assert attachments.unfinished(story.context, 'node@alpha') != []
    assert story.kinds() == []


def test_the_old_host_of_a_server_that_has_moved_is_found_and_the_new_one_kept(story):
    old, new = story.attach(), story.attach(TWO)
    story.compute.runs('server', story.volume_id, new, host='two')
    assert story.kinds() == [('server-has-another', old)]
    story.repair()
    assert story.statuses() == ['detaching', 'attached']


def test_a_server_on_its_way_is_left_alone(story):
    story.attach()
    new = story.attach(TWO)
    story.compute.runs('server', story.volume_id, new, task_state='migrating')
    assert story.kinds() == []


def test_what_is_not_proven_is_not_repaired(story):
    made = story.reserve()
    story.compute.runs('server', story.volume_id, made)
    story.age(models.Attachment, made, 4000)
    finding, = story.check()
    assert finding.kind == 'reserved-too-long'
    with pytest.raises(reconciler.NotRepaired, match='not proven'):
        story.reconciler.repair(story.context, finding)
    assert story.statuses() == ['reserved']


def test_it_is_asked_again_right_before(story):
    made = story.attach()
    finding, = story.check()
    story.compute.runs('server', story.volume_id, made)
    with pytest.raises(reconciler.NotRepaired, match='any more'):
        story.reconciler.repair(story.context, finding)
    assert story.statuses() == ['attached']


def test_what_changes_while_it_is_asked_is_left_alone(story):
    made = story.reserve()
    finding, = story.check()
    story.compute.when_asked = lambda: attachments.connect(story.context, made, ONE)
    with pytest.raises(reconciler.NotRepaired):
        story.reconciler.repair(story.context, finding)
    assert story.statuses() == ['attaching']


def test_a_repair_may_be_repeated(story):
    story.reserve()
    finding, = story.check()
    story.reconciler.repair(story.context, finding)
    with pytest.raises(reconciler.NotRepaired, match='any more'):
        story.reconciler.repair(story.context, finding)


def test_a_compute_service_that_is_silent_or_not_there_proves_nothing(story):
    def silent():
        raise exceptions.ServiceUnavailable(reason='it is away')

    story.reserve()
    story.compute.when_asked = silent
    assert story.kinds() == []
    story.compute.is_known = False
    assert story.kinds() == []


def test_what_was_changed_just_now_is_not_looked_at(story):
    made = story.reserve()
    story.conf.set_override('settle_seconds', 600, 'attachments')
    assert story.kinds() == []
    story.age(models.Attachment, made, 601)
    assert story.kinds() == [('server-gone', made)]


def test_a_server_is_asked_for_once(story):
    story.attach(ONE, 'server')
    story.attach(TWO, 'server')
    asked = []
    story.compute.when_asked = lambda: asked.append(1)
    assert len(story.check()) == 2
    assert len(asked) == 1


def test_only_the_backend_that_is_named_is_looked_at(story):
    made = story.reserve()
    for host, found in (('node@alpha', [made]), ('node@beta', []), ('node@alph', [])):
        looker = reconciler.Reconciler(story.conf, story.compute, {}, host)
        assert [each.id for each in looker.check(story.context)] == found


@pytest.mark.parametrize(('status', 'attach_status', 'wanted'), [
    ('in-use', 'attached', 'available'), ('reserved', 'detached', 'available'),
    ('available', 'attached', 'available')])
def test_a_status_that_no_attachment_explains_is_set(story, status, attach_status, wanted):
    story.volume_id = story.make_volume(status=status, attach_status=attach_status)
    assert story.kinds() == [('status-differs', story.volume_id)]
    assert story.repair() == ['the status was set']
    assert (story.kinds(), story.status) == ([], wanted)


@pytest.mark.parametrize('status', ['error', 'creating', 'retyping', 'deleting', 'maintenance'])
def test_a_status_that_says_something_else_is_right(story, status):
    story.make_volume(status=status)
    assert story.kinds() == []


def test_a_status_that_a_consumer_has_set_is_right_for_a_while(story):
    story.volume_id = story.make_volume(status='attaching')
    assert story.kinds() == []
    story.age(models.Volume, story.volume_id, 3601)
    assert story.kinds() == [('status-differs', story.volume_id)]


def test_a_multiattach_volume_that_is_reserved_once_more_is_right(story):
    for server, made in (('a', story.attach(ONE, 'a')), ('b', story.reserve('b'))):
        story.compute.runs(server, story.volume_id, made)
    assert (story.status, story.kinds()) == ('reserved', [])


def test_a_volume_is_not_settled_when_it_became_right(story):
    story.volume_id = story.make_volume(status='in-use')
    finding, = story.check()
    attachments.settle(story.context, story.volume_id)
    with pytest.raises(reconciler.NotRepaired):
        story.reconciler.repair(story.context, finding)


def test_a_host_that_the_old_calls_left_connected_is_told_and_kept(story):
    connections.note(story.context, story.volume_id, 'one')
    story.conf.set_override('settle_seconds', 600, 'attachments')
    assert story.check() == []
    story.conf.set_override('settle_seconds', 0, 'attachments')
    finding, = story.check()
    assert (finding.kind, finding.id, finding.host) == (
        'connected-without-attachment', f'{story.volume_id}/one', 'one')
    with pytest.raises(reconciler.NotRepaired):
        story.reconciler.repair(story.context, finding)


def _export(name_id, kind='volume'):
    return values.Export(kind, name_id)


def test_an_export_of_nothing_is_withdrawn(story):
    gone, idle = _export(str(uuid.uuid4())), _export(story.volume_id)
    story.driver.exports = [gone, idle]
    assert story.kinds() == [('export-without-attachment', f'alpha/volume-{each.name_id}')
                             for each in (gone, idle)]
    assert story.repair() == ['the export was withdrawn'] * 2
    assert (story.driver.exports, story.kinds()) == ([], [])


def test_exports_that_somebody_needs_are_kept(story):
    attached, noted = story.make_volume(), story.make_volume()
    story.volume_id = attached
    story.compute.runs('server', attached, story.attach())
    connections.note(story.context, noted, 'one')
    busy = story.make_volume(status='reverting')
    snapshot_id = snapshots.create(story.context, {'volume_id': story.make_volume()}).id
    origin = snapshots.create(story.context, {'volume_id': story.make_volume()})
    transition.force(story.context, volume_states.MACHINE, origin.volume_id, 'reverting')
    moving = story.make_volume()
    record = volume_migrations.start(story.context, moving, {'operation': 'migrate'}, None)
    transition.move(story.context, migration_states.MACHINE, record.id, 'schedule')
    story.driver.exports = [
        *(_export(each) for each in (attached, noted, busy, moving, record.destination_name_id,
                                     str(uuid.uuid5(uuid.UUID(origin.id), 'revert')))),
        _export(snapshot_id, 'snapshot')]
    assert [each for each, _ in story.kinds() if each == reconciler.EXPORT] == []
    transition.move(story.context, migration_states.MACHINE, record.id, 'revert')
    volume_migrations.fail(story.context, record.id, 'fail', 'it failed', 'code', 'remedy')
    assert sorted(each.detail for each in story.check() if each.kind == reconciler.EXPORT) == sorted(
        f'volume {each}' for each in (moving, record.destination_name_id))


def test_an_export_that_is_needed_by_now_is_kept(story):
    story.driver.exports = [_export(story.volume_id)]
    finding, = story.check()
    made = story.attach()
    story.compute.runs('server', story.volume_id, made)
    with pytest.raises(reconciler.NotRepaired):
        story.reconciler.repair(story.context, finding)
    assert story.driver.exports != []


def test_a_backend_that_does_not_answer_is_named(story):
    story.driver.fault = exceptions.BackendDown(reason='it is away')
    assert story.check() == []
    assert story.reconciler.silent == {'alpha': 'The backend cannot be reached: it is away'}


def test_views_of_layers_that_nobody_needs_are_withdrawn(story, tmp_path):
    driver = workbench.started('file', file_path=tmp_path, file_format='qcow2')
    volume = values.Volume(str(uuid.uuid4()), 1 << 20)
    driver.create_volume(volume)
    info = driver.connect_volume(volume, {'host': 'one'})
    looker = reconciler.Reconciler(story.conf, story.compute, {'alpha': type(driver)(driver.settings)})
    finding, = looker.check(story.context)
    assert looker.repair(story.context, finding) == 'the export was withdrawn'
    assert looker.check(story.context) == []
    with pytest.raises(FileNotFoundError):
        open(info.data['device_path'], 'rb').close()
    driver.delete_volume(volume)
    driver.stop()


def test_the_service_tells_what_is_found_and_changes_nothing(story, caplog):
    made = story.reserve()
    reporter = reconciler.Reporter(story.conf, 'node@alpha', story.driver)
    reporter.report(story.check())
    assert made in caplog.text
    found = metrics.ATTACHMENT_FINDINGS.labels('node@alpha', 'server-gone')
    assert (found._value.get(), story.statuses()) == (1, ['reserved'])
    reporter.report([])
    assert found._value.get() == 0


def said(caplog):
    """What the service logged; another test may have had the database log its statements too."""
    return '\n'.join(record.getMessage() for record in caplog.records
                     if record.name.startswith('cinder_ext.volume.attachments'))


def test_the_service_looks_first_when_everything_has_settled(story, caplog):
    story.volume_id = story.make_volume(status='in-use')
    reporter = reconciler.Reporter(story.conf, 'node@alpha', story.driver)
    reporter.look()
    assert story.volume_id not in said(caplog)
    story.conf.set_override('check_interval', 0, 'attachments')
    reporter.look()
    assert story.volume_id not in said(caplog)
    story.conf.set_override('check_interval', 60, 'attachments')
    reporter.look()
    assert story.volume_id in said(caplog)
    assert reconciliation.differing(story.context) != []
