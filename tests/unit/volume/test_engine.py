"""Flows on a real store: ended, parked, and undone in vain."""
# SPDX-License-Identifier: Apache-2.0

import itertools

import pytest
from oslo_db import exception as oslo_db_exception
from sqlalchemy.engine import default
from taskflow import task
from taskflow.patterns import linear_flow

from cinder_ext import exceptions
from cinder_ext.conf import options
from cinder_ext.volume import engine


class Step(task.Task):
    """Appends what happens to ``seen``; raises what ``faults`` holds for it, once."""

    def __init__(self, name, seen, faults):
        super().__init__(name=name)
        self._seen, self._faults = seen, faults

    def _do(self, what):
        self._seen.append(f'{what} {self.name}')
        fault = self._faults.pop(self._seen[-1], None)
        if fault is not None:
            raise fault

    def execute(self):
        self._do('do')

    def revert(self, **kwargs):
        self._do('undo')


@pytest.fixture
def flows(tmp_path):
    conf = options.new()
    options.parse(conf, [])
    conf.set_override('state_path', str(tmp_path))
    made = engine.Engine(conf)
    yield made
    made.close()


@pytest.fixture
def run(flows):
    seen = []

    def go(**faults):
        faults = {name.replace('_', ' '): fault for name, fault in faults.items()}

        def build():
            flow = linear_flow.Flow('flow')
            return flow.add(Step('one', seen, faults), Step('two', seen, faults))
        seen.clear()
        try:
            return flows.run('flow', 'key', build, {'value': 1}), list(seen)
        except (engine.Parked, ValueError, OSError) as fault:
            return type(fault), list(seen)
    return go


def test_flow_that_succeeds_is_forgotten(run):
    assert run() == (True, ['do one', 'do two'])
    assert run() == (True, ['do one', 'do two'])


def test_flow_that_fails_is_undone_and_forgotten(run):
    assert run(do_two=ValueError()) == (False, ['do one', 'do two', 'undo two', 'undo one'])
    assert run() == (True, ['do one', 'do two'])


def test_parked_step_is_done_again_and_those_before_it_are_not(run):
    assert run(do_two=engine.Parked()) == (engine.Parked, ['do one', 'do two'])
    assert run() == (True, ['do two'])


def test_undoing_that_is_parked_goes_on(run):
    found = run(do_two=ValueError(), undo_two=engine.Parked())
    assert found == (engine.Parked, ['do one', 'do two', 'undo two'])
    assert run() == (False, ['undo two', 'undo one'])


def test_undoing_that_fails_begins_anew(run):
    """taskflow itself never leaves that state, whatever the store is run with."""
    found, seen = run(do_two=ValueError(), undo_two=OSError())
    assert found in (ValueError, OSError)
    assert seen == ['do one', 'do two', 'undo two']
    assert run() == (True, ['do one', 'do two'])


@pytest.mark.parametrize('fault', [oslo_db_exception.DBConnectionError(), exceptions.DatabaseAway()],
                         ids=['own', 'of another service'])
def test_step_waits_for_the_database(fault):
    with pytest.raises(engine.Parked), engine.parked_without_database('a step'):
        raise fault


def test_step_waits_for_nothing_else():
    with pytest.raises(exceptions.DriverError), engine.parked_without_database('a step'):
        raise exceptions.DriverError(reason='broken')


@pytest.mark.parametrize('number', range(6))
def test_flow_that_was_killed_at_its_first_stores_is_begun(flows, run, monkeypatch, number):
    """Each of taskflow's stores is a transaction of its own."""
    commits = itertools.count()

    def do_commit(dialect, connection, commit=default.DefaultDialect.do_commit):
        if next(commits) == number:
            raise KeyboardInterrupt
        commit(dialect, connection)

    flows.prepare()
    with monkeypatch.context() as patched:
        patched.setattr(default.DefaultDialect, 'do_commit', do_commit)
        with pytest.raises(KeyboardInterrupt):
            run()
    assert run() == (True, ['do one', 'do two'])
