"""Migrations as a resource (3.74): started, watched, slowed, stopped and ended.

By default all of it is for administrators.  A policy may open it to the
owners of the volumes: they see their own only, without what names a backend.
"""
# SPDX-License-Identifier: Apache-2.0

import webob

from cinder_ext import exceptions
from cinder_ext.api import filters, microversion, pagination, rules, validation
from cinder_ext.api.operation import Operation
from cinder_ext.api.resources import migration_rules
from cinder_ext.api.resources import volume_migration_view as view
from cinder_ext.db import listing, migration_actions, models, volume_migrations, volumes
from cinder_ext.states import migration as states

BASE = 'volume_extension:volume_migrations'
GET_ALL, GET, CREATE, UPDATE = (f'{BASE}:{word}' for word in ('get_all', 'get', 'create', 'update'))
ONE = '/volume-migrations/{migration_id}'

POLICIES = (
    rules.rule(GET_ALL, rules.ADMIN, 'List volume migrations.', 'GET /volume-migrations'),
    rules.rule(GET, rules.ADMIN, 'Show a volume migration.', f'GET {ONE}'),
    rules.rule(CREATE, rules.ADMIN, 'Start a volume migration, or try its preflight.',
               'POST /volume-migrations'),
    rules.rule(UPDATE, rules.ADMIN, 'Change the bandwidth of a volume migration.', f'PUT {ONE}'),
    *(rules.rule(f'{BASE}:{rule}', rules.ADMIN, description, f'POST {ONE}/action ({action})')
      for rule, action, description in (
          ('cancel', 'cancel', 'Cancel a volume migration.'),
          ('pause', 'pause', 'Pause a volume migration.'),
          ('resume', 'resume', 'Resume a paused volume migration.'),
          ('retry', 'retry', 'Begin a volume migration again that did not happen.'),
          ('retry_cleanup', 'retry-cleanup', 'Try again to remove what a volume migration left.'),
          ('acknowledge', 'acknowledge', 'Take what a volume migration left as it is.'))),
)

# SCHEMAS

BANDWIDTH = {'type': ['integer', 'null'], 'minimum': 0, 'maximum': 2 ** 63 - 1}
"""Bytes per second; 0 and null for no limit."""
CREATE_BODY = validation.schemas({'3.74': validation.wrapped('volume_migration', {
    'volume_id': validation.UUID,
    'destination_host': validation.HOST, 'destination_type': validation.NAME,
    'include_snapshots': validation.BOOLEAN, 'lock_volume': validation.BOOLEAN,
    'yield_to_attach': validation.BOOLEAN, 'force_copy': validation.BOOLEAN,
    'verify': {'enum': [None, 'written', 'full', 'off']}, 'bandwidth': BANDWIDTH,
    'dry_run': validation.BOOLEAN}, ['volume_id'])})
UPDATE_BODY = validation.schemas({'3.74': validation.wrapped(
    'volume_migration', {'bandwidth': BANDWIDTH}, ['bandwidth'])})
NOTHING = validation.schemas({'3.74': {'type': ['object', 'null'], 'additionalProperties': False}})
"""What stands under an action's name."""

# filters


def _by_status(_name, column, value):
    if value not in ('active', 'ended'):
        raise exceptions.InvalidInput(reason=f'status is active or ended, not {value[:255]!r}.')
    going = tuple(state for state in states.MACHINE.states if state not in states.ENDED)
    return [listing.Condition(column, 'in', states.ENDED if value == 'ended' else going)]


FILTERS = {
    'volume_id': filters.text('volume_id'),
    'project_id': filters.text('project_id'),
    'operation': filters.text('operation'),
    'phase': filters.text('phase'),
    'status': filters.Filter('phase', _by_status),
    'retry_of': filters.text('retry_of'),
    'server_id': filters.text('server_id'),
    'error_code': filters.text('error_code'),
    'created_at': filters.time('created_at'),
    'updated_at': filters.time('updated_at'),
    'finished_at': filters.time('finished_at'),
    'host': filters.text('source_host', admin=True),
    'source_host': filters.text('source_host', admin=True),
    'destination_host': filters.text('destination_host', admin=True),
}
SORTABLE = frozenset({'id', 'created_at', 'updated_at', 'volume_id', 'phase', 'operation',
                      'percent', 'started_at', 'finished_at'})
PLACES = frozenset({'source_host', 'destination_host'})
"""Administrators may sort by these too."""
WITH_COUNT = microversion.ByVersion({'3.0': False, '3.45': True})

# targets


def load(call):
    """The record of the path, if the caller may know of it."""
    return volume_migrations.get(call.context, call.path['migration_id'], call.scope)


# handlers


def index(call):
    """List migrations, newest first; of all projects for administrators."""
    page = pagination.page(call, SORTABLE | PLACES if call.context.is_admin else SORTABLE)
    wanted = filters.conditions(call, FILTERS)
    rows = listing.rows(call.context, models.VolumeMigration, page, wanted, call.scope,
                        exceptions.MigrationNotFound)
    document = pagination.body(call, 'volume_migrations', view.records(call, rows),
                               rows[-1].id if rows else None, page)
    if call.at(WITH_COUNT) and pagination.truth('with_count', call.query.get('with_count', '0')):
        document['count'] = listing.count(call.context, models.VolumeMigration, wanted, call.scope)
    return document


def show(call):
    """Show a migration with the links of its chain, oldest first."""
    return _shown(call, call.target)


def _shown(call, record):
    links = volume_migrations.links(call.context, record.id)
    return {'volume_migration': view.detail(call, record, links)}


def create(call):
    """Start a migration to a named backend, or to one that a new volume type fits.

    With dry_run only the preflight is made: 200, and nothing is recorded or changed.
    """
    body = call.body['volume_migration']
    volume = volumes.get(call.context, body['volume_id'], call.scope)
    call.authorize(CREATE, volume)
    wanted = _wanted(call, volume, body)
    options = {'force_copy': _flag(body, 'force_copy'), 'verify': body.get('verify'),
               'yield_to_attach': _flag(body, 'yield_to_attach'),
               'bandwidth': _bandwidth(body)}
    if _flag(body, 'dry_run'):
        answer = call.ask(call.rpc.scheduler.preview_migration,
                          {'volume_id': volume.id, **wanted.values, **options})
        return webob.Response(status=200, json_body={'preflight': answer})
    return _shown(call, migration_rules.begin(call, volume, wanted, **options))


def _wanted(call, volume, body):
    """migration_rules.Wanted.

    :raises InvalidInput: options that do not go together, or what the rules refuse
    """
    host, new_type = body.get('destination_host'), body.get('destination_type')
    if (host is None) == (new_type is None):
        raise exceptions.InvalidInput(
            reason='name either destination_host or destination_type.')
    include, lock = _flag(body, 'include_snapshots'), _flag(body, 'lock_volume')
    yields = _flag(body, 'yield_to_attach')
    if host is not None:
        if lock and yields:
            raise exceptions.InvalidInput(
                reason='yield_to_attach: a volume that is locked is not attached meanwhile.')
        return migration_rules.to_host(call, volume, host, include, lock)
    if lock or yields:
        raise exceptions.InvalidInput(
            reason='lock_volume and yield_to_attach go with destination_host only: a volume that '
                   'is retyped is always locked.')
    return migration_rules.by_type(call, volume, new_type,
                                   migration_rules.INCLUDE_WORD if include else 'on-demand')


def _flag(body, name):
    return pagination.truth(name, str(body.get(name, False)))


def _bandwidth(body):
    """Bytes per second; None for no limit.  A whole number may be written as 1.0."""
    return int(body.get('bandwidth') or 0) or None


def update(call):
    """Change how many bytes per second a migration may copy, also while it runs."""
    return _shown(call, migration_actions.set_bandwidth(
        call.context, call.target.id, _bandwidth(call.body['volume_migration'])))


def cancel(call):
    """End a migration before its commit: the volume stays where it is, as it was.

    Cancelling again changes nothing.
    """
    record = migration_actions.cancel(call.context, call.target.id)
    return _shown(call, record) if record.phase in states.ENDED else _woken(call, record)


def pause(call):
    """Have a migration stand still; what was copied stays.  The volume stays locked."""
    # Nobody is woken: who works on it looks by itself.
    return _shown(call, migration_actions.pause(call.context, call.target.id))


def resume(call):
    """Let a paused migration go on from its last checkpoint."""
    return _woken(call, migration_actions.resume(call.context, call.target.id))


def retry(call):
    """Begin a migration again that failed, was refused or cancelled; the answer is the new one."""
    made = migration_actions.retry(call.context, call.target.id)
    call.tell(call.rpc.scheduler.place_migration, made.id)
    return _shown(call, made)


def retry_cleanup(call):
    """Try now to remove what a migration left at a backend."""
    return _woken(call, migration_actions.retry_cleanup(call.context, call.target.id))


def acknowledge(call):
    """Take what a migration left as it is: it stays in the list and is never tried again."""
    return _shown(call, migration_actions.acknowledge(call.context, call.target.id))


def _woken(call, record):
    """The record; the service of its source looks at it now and not at its next sweep."""
    call.tell(call.rpc.volume.run_migration, record.source_host, record.id)
    return _shown(call, record)


# OPERATIONS

LIST = Operation('volume_migrations.list', policy=GET_ALL, handler=index, since='3.74')
SHOW = Operation('volume_migrations.show', target=load, policy=GET, handler=show, since='3.74')
START = Operation('volume_migrations.create', policy=CREATE, body=CREATE_BODY, handler=create,
                  success=202, since='3.74')
UPDATE_ONE = Operation('volume_migrations.update', target=load, policy=UPDATE, body=UPDATE_BODY,
                       handler=update, since='3.74')


def _action(rule, handler):
    return Operation(f'volume_migrations.{rule}', target=load, policy=f'{BASE}:{rule}', body=NOTHING,
                     handler=handler, success=202, since='3.74')


ACTIONS = {
    'cancel': _action('cancel', cancel),
    'pause': _action('pause', pause),
    'resume': _action('resume', resume),
    'retry': _action('retry', retry),
    'retry-cleanup': _action('retry_cleanup', retry_cleanup),
    'acknowledge': _action('acknowledge', acknowledge),
}
