"""A host's connection goes with its last user, and what fails undoes what it has done."""
# SPDX-License-Identifier: Apache-2.0

import pytest

from cinder_ext import exceptions
from cinder_ext.db import attachments, connections, volume_properties, volumes
from cinder_ext.drivers import values
from cinder_ext.volume.attachments.endpoint import AttachmentEndpoint
from cinder_ext.volume.backend import Backend

ONE, TWO = {'host': 'one', 'initiator': 'iqn.1'}, {'host': 'two', 'initiator': 'iqn.2'}
DOWN = exceptions.BackendDown(reason='it is away')
BROKEN = exceptions.DriverError(reason='it is broken')


@pytest.fixture
def url(tmp_path):
    """The rules are the same on every engine; what differs there is in test_attachments.py."""
    return f'sqlite:///{tmp_path}/test.db'


class Array:
    """A backend that exports to hosts, and fails when it is told to.

    :ivar fault: raised by the next call; a connect has done its work by then
    """

    def __init__(self):
        self.exports, self.calls, self.fault = {}, [], None

    def connect_volume(self, volume, connector):
        self.calls.append(('connect', connector))
        self.exports[connector.get('host')] = connector
        self._fail()
        return values.ConnectionInfo('fake', {'path': connector.get('host')})

    def disconnect_volume(self, volume, connector):
        self.calls.append(('disconnect', connector))
        self._fail()
        if connector.get('host') is None:
            self.exports.clear()
        self.exports.pop(connector.get('host'), None)

    def _fail(self):
        fault, self.fault = self.fault, None
        if fault is not None:
            raise fault


class Story:
    """A volume on an Array; each method is what a request does."""

    def __init__(self, ctxt, volume_id):
        self.context, self.volume_id, self.array = ctxt, volume_id, Array()
        self.backend = Backend('node@alpha', self.array)
        self.endpoint = AttachmentEndpoint(self.backend)

    def reserve(self, server='server'):
        return attachments.reserve(self.context, self.volume_id, server).id

    def connect(self, attachment_id, connector):
        attachments.connect(self.context, attachment_id, connector)
        return self.endpoint.connect_attachment(self.context, attachment_id)

    def attached(self, connector, server='server'):
        made = self.reserve(server)
        self.connect(made, connector)
        attachments.complete(self.context, made)
        return made

    def delete(self, attachment_id):
        attachments.begin_detach(self.context, attachment_id)
        self.endpoint.disconnect_attachment(self.context, attachment_id)

    def sweep(self):
        self.endpoint.resume()
        self.backend.pool.shutdown(wait=True)

    @property
    def hosts(self):
        return sorted(self.array.exports)

    @property
    def status(self):
        return volumes.get(self.context, self.volume_id).status

    @property
    def statuses(self):
        return [(each.attached_host, each.attach_status)
                for each in attachments.of_volume(self.context, self.volume_id)]


@pytest.fixture
def story(make_volume, ctxt):
    return Story(ctxt, make_volume())


@pytest.fixture
def shared(make_volume, ctxt):
    return Story(ctxt, make_volume(multiattach=True))


def test_the_hosts_of_a_moving_server_are_disconnected_one_by_one(story):
    old = story.attached(ONE)
    new = story.attached(TWO)
    story.delete(old)
    assert (story.hosts, story.status) == (['two'], 'in-use')
    assert story.array.calls[-1] == ('disconnect', ONE)
    story.delete(new)
    assert (story.hosts, story.status) == ([], 'available')


def test_a_host_stays_connected_until_its_last_attachment_goes(shared):
    first, second = shared.attached(ONE, 'a'), shared.attached(ONE, 'b')
    other = shared.attached(TWO, 'c')
    shared.delete(first)
    assert shared.hosts == ['one', 'two']
    shared.delete(second)
    assert shared.hosts == ['two']
    shared.delete(other)
    assert (shared.hosts, shared.status) == ([], 'available')


def test_an_attachment_that_could_not_be_detached_counts_as_a_user(shared):
    first = shared.attached(ONE, 'a')
    shared.array.fault = BROKEN
    with pytest.raises(exceptions.DriverError):
        shared.delete(first)
    assert (shared.statuses, shared.status) == ([('one', 'error_detaching')], 'in-use')
    second = shared.attached(ONE, 'b')
    shared.delete(second)
    assert shared.hosts == ['one']
    shared.delete(first)
    assert (shared.hosts, shared.status) == ([], 'available')


def test_an_attachment_that_is_about_to_connect_counts_as_a_user(shared):
    first, second = shared.attached(ONE, 'a'), shared.reserve('b')
    attachments.connect(shared.context, second, ONE)
    shared.delete(first)
    assert shared.hosts == ['one']


def test_two_that_go_together_leave_nothing(shared):
    both = [shared.attached(ONE, 'a'), shared.attached(ONE, 'b')]
    for each in both:
        attachments.begin_detach(shared.context, each)
    shared.sweep()
    assert (shared.hosts, shared.statuses) == ([], [])


def test_a_backend_that_is_down_is_asked_again_by_the_sweep(story):
    made = story.attached(ONE)
    story.array.fault = DOWN
    with pytest.raises(exceptions.BackendDown):
        story.delete(made)
    assert (story.statuses, story.status) == ([('one', 'detaching')], 'in-use')
    story.sweep()
    assert (story.hosts, story.statuses, story.status) == ([], [], 'available')


def test_a_connection_that_fails_is_taken_back_and_may_be_tried_again(story):
    made = story.reserve()
    story.array.fault = BROKEN
    with pytest.raises(exceptions.DriverError):
        story.connect(made, ONE)
    assert (story.hosts, story.statuses) == ([], [('one', 'error_attaching')])
    assert story.connect(made, ONE)['path'] == 'one'
    attachments.complete(story.context, made)
    assert (story.hosts, story.status) == (['one'], 'in-use')


def test_a_connection_that_fails_leaves_that_of_another_attachment(shared):
    shared.attached(ONE, 'a')
    second = shared.reserve('b')
    shared.array.fault = BROKEN
    with pytest.raises(exceptions.DriverError):
        shared.connect(second, ONE)
    assert shared.hosts == ['one']
    shared.delete(second)
    assert (shared.hosts, shared.status) == (['one'], 'in-use')


def test_a_failed_second_connection_leaves_the_volume_in_use(story):
    story.attached(ONE)
    new = story.reserve()
    story.array.fault = BROKEN
    with pytest.raises(exceptions.DriverError):
        story.connect(new, TWO)
    assert (story.hosts, story.status) == (['one'], 'in-use')
    story.delete(new)
    assert (story.hosts, story.statuses) == (['one'], [('one', 'attached')])


def test_what_is_attached_may_be_connected_again_and_stays_attached(story):
    made = story.attached(ONE)
    story.connect(made, {**ONE, 'mountpoint': '/dev/vdc'})
    assert attachments.get(story.context, made).mountpoint == '/dev/vdc'
    story.array.fault = BROKEN
    with pytest.raises(exceptions.DriverError):
        story.connect(made, ONE)
    assert (story.hosts, story.statuses, story.status) == (
        ['one'], [('one', 'attached')], 'in-use')


def test_what_is_attached_does_not_leave_its_host(story):
    made = story.attached(ONE)
    with pytest.raises(exceptions.Conflict, match='attached to host one'):
        attachments.connect(story.context, made, TWO)
    assert attachments.get(story.context, made).connector == ONE


def test_what_was_only_connected_is_connected_to_another_host_and_leaves_the_first(story):
    made = story.reserve()
    for connector in (ONE, TWO, TWO):
        story.connect(made, connector)
    assert (story.hosts, story.statuses) == (['two'], [('two', 'attaching')])
    assert attachments.get(story.context, made).connection_info['path'] == 'two'


def test_a_host_that_was_left_is_disconnected_after_a_kill(story):
    made = story.reserve()
    story.connect(made, ONE)
    attachments.connect(story.context, made, TWO)
    assert sorted(story.statuses) == [('one', 'detaching'), ('two', 'attaching')]
    story.sweep()
    assert (story.hosts, story.statuses) == ([], [('two', 'attaching')])


def test_an_answer_that_comes_after_another_host_was_named_is_not_kept(story):
    made = story.reserve()
    attachments.connect(story.context, made, ONE)
    attachments.connect(story.context, made, TWO)
    with pytest.raises(exceptions.AttachmentNotFound):
        attachments.store_connection(story.context, made, {'path': 'one'}, ONE)
    assert attachments.get(story.context, made).connection_info is None
    attachments.connect_failed(story.context, made, ONE)
    assert attachments.get(story.context, made).attach_status == 'attaching'


def test_what_is_removed_while_it_connects_is_disconnected(story):
    made = story.reserve()
    attachments.connect(story.context, made, ONE)
    array = story.array

    class Slow(Array):
        def connect_volume(self, volume, connector):
            attachments.detached(story.context, made)
            return array.connect_volume(volume, connector)

        disconnect_volume = array.disconnect_volume

    endpoint = AttachmentEndpoint(Backend('node@alpha', Slow()))
    with pytest.raises(exceptions.AttachmentNotFound):
        endpoint.connect_attachment(story.context, made)
    assert story.hosts == []


def test_a_removal_that_a_sweep_has_tried_in_vain_is_tried_again(story):
    made = story.attached(ONE)
    attachments.begin_detach(story.context, made)
    story.array.fault = BROKEN
    story.sweep()
    assert (story.statuses, story.hosts) == ([('one', 'error_detaching')], ['one'])
    story.endpoint.disconnect_attachment(story.context, made)
    assert (story.hosts, story.status) == ([], 'available')


def test_a_removal_that_a_sweep_has_done_is_done(story):
    made = story.attached(ONE)
    attachments.begin_detach(story.context, made)
    story.sweep()
    story.endpoint.disconnect_attachment(story.context, made)
    assert (story.hosts, story.status) == ([], 'available')


def test_what_is_going_is_not_connected_any_more(story):
    made = story.reserve()
    attachments.connect(story.context, made, ONE)
    attachments.begin_detach(story.context, made)
    with pytest.raises(exceptions.AttachmentNotFound):
        story.endpoint.connect_attachment(story.context, made)
    assert story.array.calls == []


def test_a_host_connected_by_the_old_calls_keeps_its_connection(story):
    story.endpoint.initialize_connection(story.context, story.volume_id, ONE)
    made = story.attached(ONE)
    story.delete(made)
    assert (story.hosts, connections.noted(story.context, story.volume_id)) == (['one'], ['one'])
    story.endpoint.terminate_connection(story.context, story.volume_id, ONE)
    assert (story.hosts, connections.noted(story.context, story.volume_id)) == ([], [])


def test_the_old_calls_leave_a_host_that_an_attachment_uses(story):
    made = story.attached(ONE)
    story.endpoint.initialize_connection(story.context, story.volume_id, ONE)
    for connector in (ONE, {}):
        story.endpoint.terminate_connection(story.context, story.volume_id, connector)
    assert (story.hosts, connections.noted(story.context, story.volume_id)) == (['one'], [])
    story.delete(made)
    assert story.hosts == []


def test_without_a_host_all_are_disconnected_when_no_attachment_uses_one(story):
    for connector in (ONE, TWO):
        story.endpoint.initialize_connection(story.context, story.volume_id, connector)
    story.endpoint.terminate_connection(story.context, story.volume_id, {})
    assert (story.hosts, connections.noted(story.context, story.volume_id)) == ([], [])


def test_an_old_call_that_fails_is_not_noted(story):
    story.array.fault = BROKEN
    with pytest.raises(exceptions.DriverError):
        story.endpoint.initialize_connection(story.context, story.volume_id, ONE)
    assert connections.noted(story.context, story.volume_id) == []
    story.endpoint.initialize_connection(story.context, story.volume_id, ONE)
    story.array.fault = BROKEN
    with pytest.raises(exceptions.DriverError):
        story.endpoint.initialize_connection(story.context, story.volume_id, ONE)
    assert connections.noted(story.context, story.volume_id) == ['one']


def test_a_long_name_of_a_host_is_noted(ctxt, make_volume):
    volume_id = make_volume()
    connections.note(ctxt, volume_id, 'h' * 255)
    assert len(connections.noted(ctxt, volume_id)) == 1
    connections.forget(ctxt, volume_id, 'h' * 255)
    assert volume_properties.admin(ctxt, volume_id) == {}
