"""What the owners of volumes see and do of migrations when an operator's policy lets them."""
# SPDX-License-Identifier: Apache-2.0

import api_stage
import pytest

from cinder_ext import context
from cinder_ext.api import policy
from cinder_ext.db import volume_migrations

RULES = """
"volume_extension:volume_migrations:get_all": "rule:xena_system_admin_or_project_reader"
"volume_extension:volume_migrations:get": "rule:xena_system_admin_or_project_reader"
"volume_extension:volume_migrations:create": "rule:xena_system_admin_or_project_member"
"volume_extension:volume_migrations:cancel": "rule:xena_system_admin_or_project_member"
"""
ONE = '/v3/volume-migrations/{}'
PLACES = ('source', 'destination', 'checks', 'leftovers', 'error', 'remedy', 'method', 'attempt')


@pytest.fixture(scope='module')
def stage(tmp_path_factory):
    path = tmp_path_factory.mktemp('policy') / 'policy.yaml'
    path.write_text(RULES)
    found = api_stage.Stage()
    policy.Enforcer(found.conf)
    found.conf.set_override('policy_file', str(path), 'oslo_policy')
    found.start()
    yield found
    found.stop()


@pytest.fixture(autouse=True)
def _as_before(stage):
    yield
    if stage.read_digest() != stage.digest:
        stage.restore()


def test_owner_sees_how_far_it_is_and_no_backend(stage):
    answer = stage.send('GET', ONE.format(stage.other['migration']))
    assert answer.status_int == 200, answer.text
    shown = answer.json['volume_migration']
    assert (shown['volume_id'], shown['phase'], shown['migration_status']) == (
        stage.other['migrating'], 'scheduling', 'starting')
    assert {'percent', 'bytes', 'links', 'duration_seconds'} <= set(shown)
    assert not set(PLACES) & set(shown)
    assert 'node@' not in answer.text
    of_admin = stage.send('GET', ONE.format(stage.other['migration']), user='admin')
    assert set(PLACES) <= set(of_admin.json['volume_migration'])


def test_owner_sees_the_own_ones_only(stage):
    listed = stage.send('GET', '/v3/volume-migrations', query='with_count=true').json
    own = {stage.other[name] for name in stage.other if 'migration' in name}
    assert {each['id'] for each in listed['volume_migrations']} == own
    assert listed['count'] == len(own)
    assert stage.send('GET', ONE.format(stage.first['migration'])).status_int == 404


@pytest.mark.parametrize('query', [
    'host=node@alpha%23alpha', 'source_host=x', 'destination_host=node@beta%23beta',
    'sort=destination_host', 'sort_key=source_host'])
def test_owner_does_not_find_out_where_it_is(stage, query):
    assert stage.send('GET', '/v3/volume-migrations', query=query).status_int == 400
    of_admin = stage.send('GET', '/v3/volume-migrations', query=query, user='admin')
    assert of_admin.status_int == 200


def test_owner_starts_one_of_the_own_volumes_only(stage):
    body = {'volume_id': stage.other['volume'], 'destination_type': 'beta'}
    answer = stage.send('POST', '/v3/volume-migrations', {'volume_migration': body})
    assert answer.status_int == 202, answer.text
    made = volume_migrations.get(context.admin_context(), answer.json['volume_migration']['id'])
    assert (made.volume_id, made.project_id) == (stage.other['volume'], api_stage.OTHER)
    body['volume_id'] = stage.first['volume']
    answer = stage.send('POST', '/v3/volume-migrations', {'volume_migration': body})
    assert answer.status_int == 404



def test_owner_cancels_the_own_one_only(stage):
    path = ONE.format('{}/action')
    own = stage.send('POST', path.format(stage.other['migration']), {'cancel': {}})
    assert own.status_int == 202, own.text
    assert own.json['volume_migration']['phase'] == 'cancelled'
    assert not set(PLACES) & set(own.json['volume_migration'])
    assert stage.send('POST', path.format(stage.first['migration']), {'cancel': {}}).status_int == 404


def test_what_no_policy_opens_stays_closed(stage):
    one = ONE.format(stage.other['migration'])
    assert stage.send('GET', one, roles=[]).status_int == 403
    assert stage.send('POST', f'{one}/action', {'pause': {}}).status_int == 403
    limit = {'volume_migration': {'bandwidth': 1}}
    assert stage.send('PUT', one, limit).status_int == 403
