"""Objects: what they carry, and that a change of fields changes the version."""
# SPDX-License-Identifier: Apache-2.0

import hashlib
import json
import types

import pytest

from cinder_ext import context
from cinder_ext.drivers import values
from cinder_ext.objects import backend_report, backend_resource, base

FINGERPRINTS = {
    'BackendConnection': '1.0-4629decd277f',
    'BackendReport': '1.1-2e1d90d0258a',
    'BackendSnapshot': '1.0-6b063420ac84',
    'BackendVolume': '1.0-7489980006b2',
    'PoolReport': '1.1-cf7966c1cad3',
}


def _travelled(thing):
    """What arrives when ``thing`` was sent."""
    serializer = base.Serializer()
    ctxt = context.admin_context()
    wire = json.dumps(serializer.serialize_entity(ctxt, thing))
    return serializer.deserialize_entity(ctxt, json.loads(wire))


def _report():
    pool = values.PoolReport('gold', 10, 9, 1, 5, {'thin': True, 'n': 1.5})
    return backend_report.BackendReport.of(
        'h@gold', 'nova', ([pool], ['changed_ranges'], values.Promises(thin=True)),
        types.SimpleNamespace(max_over_subscription_ratio=20.0, reserved_percentage=5,
                              filter_function='1', goodness_function=None))


def _fingerprint(kind):
    """The version and a digest of the fields."""
    text = repr(sorted((name, repr(field)) for name, field in kind.fields.items()))
    return f'{kind.VERSION}-{hashlib.sha256(text.encode()).hexdigest()[:12]}'


def test_fields_changed_only_together_with_the_version():
    registered = base.base.VersionedObjectRegistry.obj_classes()
    found = {name: _fingerprint(classes[0]) for name, classes in registered.items()
             if classes[0].__module__.startswith('cinder_ext')}
    assert found == FINGERPRINTS


def _values(thing):
    return {name: getattr(thing, name) for name in thing.fields if name != 'pools'}


def test_report_arrives_as_it_was_sent():
    sent = _report()
    got = _travelled(sent)
    assert got.pools[0].capabilities == {'thin': True, 'n': 1.5}
    assert _values(got) == _values(sent)


def test_report_of_a_fault_has_no_pools():
    got = _travelled(backend_report.BackendReport.of_fault('h@gold', 'nova', 'gone'))
    assert (got.is_up, got.fault, got.pools) == (False, 'gone', [])


@pytest.mark.parametrize(('kind', 'value'), [
    (backend_resource.BackendVolume, values.Volume('a', 5)),
    (backend_resource.BackendSnapshot, values.Snapshot('a', 'b', 5, 'there')),
    (backend_resource.BackendConnection, values.ConnectionInfo('local', {'device_path': '/x'})),
])
def test_value_of_a_driver_survives_the_trip(kind, value):
    assert _travelled(kind.from_value(value)).to_value() == value


def test_document_refuses_what_json_cannot_carry():
    with pytest.raises(TypeError):
        backend_resource.BackendConnection(driver_volume_type='local', data={'x': object()})


def test_namespace_keeps_other_services_objects_out():
    wire = base.Serializer().serialize_entity(None, _report())
    wire['versioned_object.namespace'] = 'other'
    with pytest.raises(Exception, match='other') as refused:
        base.Serializer().deserialize_entity(None, wire)
    assert type(refused.value).__name__ == 'UnsupportedObjectError'


@pytest.mark.parametrize('size', [10, 'infinite', 'unknown'])
def test_capacity_is_a_number_or_says_that_there_is_none(size):
    report = _report()
    report.pools[0].free_bytes = size
    assert _travelled(report).pools[0].free_bytes == size


def test_capacity_is_no_other_word():
    with pytest.raises(ValueError):
        _report().pools[0].free_bytes = 'plenty'
