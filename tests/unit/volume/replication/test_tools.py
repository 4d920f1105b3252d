"""Which backends a service can work on, and with which driver."""
# SPDX-License-Identifier: Apache-2.0

import threading

import blank
import pytest

from cinder_ext import context as request_context
from cinder_ext import exceptions
from cinder_ext.conf import options
from cinder_ext.db import session
from cinder_ext.drivers import file, loader
from cinder_ext.volume.replication import tools as replication_tools


@pytest.fixture
def conf(tmp_path):
    path = tmp_path / 'service.conf'
    path.write_text(f'[DEFAULT]\nenabled_backends=alpha\n[alpha]\nfile_path={tmp_path}/alpha\n'
                    f'[beta]\nfile_path={tmp_path}/beta\n[gamma]\nfile_format=qcow2\n')
    made = options.new()
    options.parse(made, ['--config-file', str(path)])
    made.set_override('connection', f'sqlite:///{tmp_path}/test.db', 'database')
    blank.put(tmp_path / 'test.db')
    session.configure(made)
    yield made
    session.dispose()


@pytest.fixture
def tools(conf):
    return replication_tools.Tools(conf, 'here@alpha', None, None)


def test_own_backend_and_those_of_the_same_name_are_served(tools):
    assert tools.serves('here@alpha')
    assert tools.serves('there@alpha')
    assert tools.serves('there@beta')
    assert not tools.serves('there@delta')


def test_own_driver_is_the_one_that_was_handed_over(tools, conf):
    own = loader.load(conf, 'alpha')
    tools.hand_over(own)
    assert tools.loaded(request_context.admin_context(), 'here@alpha') is own


def test_backend_without_a_target_does_not_replicate_once_that_is_known(tools, conf):
    assert tools.replicates
    tools.hand_over(loader.load(conf, 'alpha'))
    assert not tools.replicates
    conf.register_opts(file.FileDriver.options(), group='beta')
    conf.set_override('replication_device', [{'backend_id': 'dr', 'path': '/srv/dr'}], 'beta')
    tools.hand_over(loader.load(conf, 'beta'))
    assert tools.replicates


def test_driver_of_another_home_is_loaded_once_and_not_started(tools):
    context = request_context.admin_context()
    made = tools.loaded(context, 'there@beta')
    assert made.settings.name == 'beta'
    assert tools.loaded(context, 'there@beta') is made


def test_section_that_is_not_there_is_misconfigured(tools):
    with pytest.raises(exceptions.Misconfigured, match='no such section'):
        tools.driver_of(request_context.admin_context(), 'there@delta')


def test_driver_that_does_not_replicate_is_not_capable(tools):
    with pytest.raises(exceptions.NotCapable, match='replicate'):
        tools.driver_of(request_context.admin_context(), 'there@gamma')


def test_volumes_are_shipped_by_one_at_a_time_in_whatever_order_they_are_named(tools):
    inside, seen = threading.Semaphore(1), []

    def ship(names):
        for _ in range(50):
            with tools.turn(names):
                seen.append(inside.acquire(blocking=False))
                inside.release()

    threads = [threading.Thread(target=ship, args=(names,)) for names in (['a', 'b'], ['b', 'a'])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert seen == [True] * 100
