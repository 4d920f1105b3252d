"""The order of services in one process."""
# SPDX-License-Identifier: Apache-2.0

import pytest

from cinder_ext.cmd import all as everything


class Service:
    def __init__(self, name, calls, fails_at=None):
        self._name, self._calls, self._fails_at = name, calls, fails_at

    def __getattr__(self, deed):
        def call():
            self._calls.append(f'{deed} {self._name}')
            if deed == self._fails_at:
                raise OSError(self._name)
        return call


def _together(*faults):
    calls = []
    return calls, everything.Together(
        [Service(name, calls, fault) for name, fault in zip('abc', faults, strict=True)])


def test_services_start_reload_and_stop_in_one_order():
    calls, together = _together(None, None, None)
    together.start()
    together.reload()
    together.stop()
    assert calls == ['start a', 'start b', 'start c', 'reload a', 'reload b', 'reload c',
                     'stop a', 'stop b', 'stop c']


def test_failed_start_stops_what_was_started():
    calls, together = _together(None, 'start', None)
    with pytest.raises(OSError, match='b'):
        together.start()
    assert calls == ['start a', 'start b', 'stop a']


def test_failed_stop_does_not_keep_the_others_from_stopping():
    calls, together = _together('stop', None, None)
    together.start()
    with pytest.raises(OSError, match='a'):
        together.stop()
    assert calls[-3:] == ['stop a', 'stop b', 'stop c']


def test_later_service_is_not_loaded_before_its_start():
    later = everything.Later('cinder_ext.there_is_no_such:thing', object())
    with pytest.raises(ModuleNotFoundError):
        later.start()
