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
    found = replica_facts.of_volumes(ctxt, made)[made[0]]
    assert found['name_id'] == made[0]
    assert found['volume']['metadata'] == {'m': '1'}
    assert found['type'] == {
        'name': 'gold', 'extra_specs': {'replication_enabled': '<is> True'},
        'qos': {'name': 'fast', 'consumer': 'back-end', 'specs': {'iops': '100'}}}
    assert found['group'] == {
        'id': group_id, 'name': 'g', 'description': None, 'availability_zone': None,
        'type': {'name': 'together', 'specs': {'a': 'b'}}, 'volume_types': ['gold']}
    assert [(each['name'], each['metadata']) for each in found['snapshots']] == [('s', {'k': 'v'})]


def test_a_plain_volume_and_one_that_is_gone(ctxt, make_volume):
    plain, gone = make_volume(), make_volume()
    volumes.mark_deleted(ctxt, gone)
    found = replica_facts.of_volumes(ctxt, [plain, gone])
    assert list(found) == [plain]
    assert (found[plain]['type'], found[plain]['group'], found[plain]['snapshots']) == (None, None, [])


def test_many_cost_what_one_costs(ctxt, make_volume):
    made, _group_id = _furnish(ctxt, make_volume, 20)
    one, few = _statements(lambda: replica_facts.of_volumes(ctxt, made[:1]))
    all_of_them, many = _statements(lambda: replica_facts.of_volumes(ctxt, made))
    assert (len(one), len(all_of_them)) == (1, 20)
    assert len(many) == len(few) <= 13
