"""What is told of volumes costs the same few statements, however many they are."""
# SPDX-License-Identifier: Apache-2.0

from sqlalchemy import event

from cinder_ext.db import (
    group_types,
    groups,
    models,
    qos_specs,
    replica_facts,
    session,
    snapshots,
    transition,
    volume_types,
    volumes,
)
from cinder_ext.states import snapshot as snapshot_states


def _statements(work):
    found = []
    engine = session.get_engine()

    def note(_conn, _cursor, statement, *_rest):
        found.append(statement)

    event.listen(engine, 'before_cursor_execute', note)
    try:
        return work(), [each for each in found if each.startswith('SELECT')]
    finally:
        event.remove(engine, 'before_cursor_execute', note)


def _told(ctxt, volume_ids):
    return replica_facts.of_volumes(ctxt, [volumes.get(ctxt, each) for each in volume_ids])


def _furnish(ctxt, make_volume, count):
    kind = volume_types.create(ctxt, {'name': 'gold'}, {'replication_enabled': '<is> True'})
    limits = qos_specs.create(ctxt, 'fast', 'back-end', {'iops': '100'})
    qos_specs.associate(ctxt, limits.id, kind.id)
    of_groups = group_types.create(ctxt, {'name': 'together'}, {'a': 'b'})
    group = groups.create(ctxt, {'project_id': 'project', 'user_id': 'user', 'name': 'g',
                                 'group_type_id': of_groups.id}, [kind.id])
    made = [make_volume(volume_type_id=kind.id, group_id=group.id, name=f'v{number}')
            for number in range(count)]
    for volume_id in made:
        snapshot = snapshots.create(ctxt, {'volume_id': volume_id, 'name': 's'}, {'k': 'v'})
        transition.move(ctxt, snapshot_states.MACHINE, snapshot.id, 'created')
        snapshots.create(ctxt, {'volume_id': volume_id, 'name': 'not whole'})

        @session.writer
        def put(context, volume_id=volume_id):
            context.session.add(models.VolumeMetadata(volume_id=volume_id, key='m', value='1'))
        put(ctxt)
    return made, group.id


def test_everything_is_told(ctxt, make_volume):
    made, group_id = _furnish(ctxt, make_volume, 1)
    found = _told(ctxt, made)[made[0]]
    assert found['name_id'] == made[0]
    assert found['volume']['metadata'] == {'m': '1'}
    assert found['type'] == {
        'name': 'gold', 'extra_specs': {'replication_enabled': '<is> True'},
        'qos': {'name': 'fast', 'consumer': 'back-end', 'specs': {'iops': '100'}}}
    assert found['group'] == {
        'id': group_id, 'name': 'g', 'description': None, 'availability_zone': None,
        'type': {'name': 'together', 'specs': {'a': 'b'}}, 'volume_types': ['gold']}
    assert [(each['name'], each['metadata']) for each in found['snapshots']] == [('s', {'k': 'v'})]


def test_a_plain_volume_costs_two_statements(ctxt, make_volume):
    plain = make_volume()
    row = volumes.get(ctxt, plain)
    found, asked = _statements(lambda: replica_facts.of_volumes(ctxt, [row]))
    assert len(asked) == 2
    assert (found[plain]['type'], found[plain]['group'], found[plain]['snapshots']) == (None, None, [])


def test_many_cost_what_one_costs(ctxt, make_volume):
    made, _group_id = _furnish(ctxt, make_volume, 20)
    rows = [volumes.get(ctxt, volume_id) for volume_id in made]
    one, few = _statements(lambda: replica_facts.of_volumes(ctxt, rows[:1]))
    all_of_them, many = _statements(lambda: replica_facts.of_volumes(ctxt, rows))
    assert (len(one), len(all_of_them)) == (1, 20)
    assert len(many) == len(few) == 10


def test_no_volumes_cost_nothing(database, ctxt):
    assert _statements(lambda: replica_facts.of_volumes(ctxt, [])) == ({}, [])
