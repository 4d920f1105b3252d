"""The transport of a process, its serializer, and errors on the wire."""
# SPDX-License-Identifier: Apache-2.0

import pathlib
import string
import subprocess
import sys

import oslo_messaging
import pytest
from oslo_config import cfg
from oslo_messaging._drivers import common

from cinder_ext import context, exceptions, objects
from cinder_ext.rpc import transport


@pytest.fixture
def conf():
    options = cfg.ConfigOpts()
    options([], project='cinder_ext', default_config_files=[], default_config_dirs=[])
    yield options
    transport.cleanup()


def test_transport_must_be_opened_before_it_is_used():
    with pytest.raises(RuntimeError, match='init'):
        transport.get_transport()


def test_second_init_keeps_the_open_transport(conf):
    first = transport.init(conf, 'local:///unit')
    assert transport.init(conf, 'local:///unit') is first
    assert transport.get_transport() is first


def test_transport_url_of_the_configuration_is_used(conf):
    oslo_messaging.TransportURL.parse(conf, 'local://')
    conf.set_override('transport_url', 'local:///from-the-options')
    assert transport.init(conf)._driver._url.virtual_host == 'from-the-options'


def test_own_exchange_is_the_default(conf):
    transport.init(conf, 'local:///unit')
    assert conf.control_exchange == 'cinder_ext'


def test_cleanup_may_be_repeated(conf):
    transport.init(conf, 'local:///unit')
    transport.cleanup()
    transport.cleanup()
    with pytest.raises(RuntimeError):
        transport.get_transport()


def test_unknown_kind_of_transport_is_refused(conf):
    with pytest.raises(oslo_messaging.transport.DriverLoadFailure):
        transport.init(conf, 'pigeon://')


def test_context_travels_without_its_token():
    sent = context.RequestContext(user_id='u', project_id='p', roles=['member'],
                                  auth_token='secret', overwrite=False)
    wire = transport.ContextSerializer().serialize_context(sent)
    assert 'secret' not in repr(wire)
    arrived = transport.ContextSerializer().deserialize_context(wire)
    assert (arrived.user_id, arrived.project_id, arrived.roles, arrived.request_id) == (
        'u', 'p', ['member'], sent.request_id)


def all_errors(root=exceptions.CinderExtError):
    return [root, *(error for child in root.__subclasses__() for error in all_errors(child))]


def on_the_wire(error):
    try:
        raise error
    except exceptions.CinderExtError:
        text = common.serialize_remote_exception(sys.exc_info())
    return common.deserialize_remote_exception(text, transport.ALLOWED_REMOTE_EXMODS)


@pytest.mark.parametrize('error_class', all_errors(), ids=lambda cls: cls.__name__)
def test_every_error_comes_back_as_what_it_was(error_class):
    fields = {name for _, name, _, _ in string.Formatter().parse(error_class.template) if name}
    error = error_class(**{name: f'the {name}' for name in fields})
    returned = on_the_wire(error)
    assert isinstance(returned, error_class)
    assert (returned.message, returned.code, returned.facts) == (
        error.message, error.code, error.facts)


@pytest.mark.parametrize(('fact', 'arrives'), [
    ({'available'}, ['available']), (('a', 1), ['a', 1]), (object, "<class 'object'>"),
    ([object], "[<class 'object'>]"), (None, None), ({'depth': {'n': 1}}, {'depth': {'n': 1}})])
def test_fact_arrives_in_a_form_that_json_knows(fact, arrives):
    assert on_the_wire(exceptions.InvalidInput(reason=fact)).facts == {'reason': arrives}


def test_text_of_a_returned_error_has_the_remote_traceback_and_message_has_not():
    returned = on_the_wire(exceptions.VolumeNotFound(id='v1'))
    assert 'Traceback' in str(returned)
    assert returned.message == 'Volume v1 could not be found.'


def test_every_process_with_a_transport_can_rebuild_every_object():
    """A scheduler on its own loads none of the modules that make the objects."""
    modules = {f'cinder_ext.objects.{path.stem}'
               for path in pathlib.Path(objects.__path__[0]).glob('*.py')
               if '.register' in path.read_text()}
    assert len(modules) > 1
    code = 'import sys; from cinder_ext.rpc import transport; print(*sys.modules)'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert modules <= set(done.stdout.split())
