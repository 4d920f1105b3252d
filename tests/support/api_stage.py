"""The API on a database that two projects share, each with one of everything.

What it tells other services is taken and not done: after an answer nothing changes any more, so
what is in the database then was done by the request.
"""
# SPDX-License-Identifier: Apache-2.0

import hashlib
import re
import shutil
import sqlite3
import tempfile
import types
import uuid

import oslo_messaging
import replica_answers
import webob
from api_rows import GLOBAL, HOST, Rows

from cinder_ext import context
from cinder_ext.api import app, auth, dispatch, microversion, policy
from cinder_ext.conf import options
from cinder_ext.db import models, schema, services, session
from cinder_ext.rpc import control, replication, scheduler, transport, volume

FIRST = '0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f'
OTHER = 'abababababababababababababababab'
MARK = 'zebra'
"""In every name of the first project."""
BODY_BYTES = 114688
PAGE_ENTRIES = ({'reference': {'source-name': 'b'}, 'size': 1, 'safe_to_manage': True,
                 'reason_not_safe': None, 'cinder_id': None, 'extra_info': None},)


class _Scheduler:
    """Takes what it is told, and knows one pool."""

    target = oslo_messaging.Target(version='1.1')

    def get_pools(self, ctxt, detail, filters):
        told = {'free_capacity_gb': 10, 'replication_targets': ['dr'],
                'replication_target_details': [{'backend_id': 'dr', 'modes': ['async'],
                                                'cross_os': False, 'availability_zone': None}]}
        return [{'name': HOST, 'capabilities': told}] if detail else [{'name': HOST}]

    def preview_migration(self, ctxt, request):
        return {'passed': True, 'destination_host': HOST, 'method': 'copy', 'bytes_total': 1,
                'checks': []}


class _Backend:
    """Takes what it is told, and answers what it is asked."""

    target = oslo_messaging.Target(version='1.0')

    def get_capabilities(self, ctxt):
        return {'vendor_name': 'nobody'}

    def get_manageable_volumes(self, ctxt, page):
        return list(PAGE_ENTRIES)

    def get_manageable_snapshots(self, ctxt, page):
        return [{**entry, 'source_reference': {}} for entry in PAGE_ENTRIES]

    def connect_attachment(self, ctxt, attachment_id):
        return {'driver_volume_type': 'local', 'device_path': '/volumes/it'}

    def disconnect_attachment(self, ctxt, attachment_id):
        """There is nothing to take back."""

    def initialize_connection(self, ctxt, volume_id, connector):
        return {'driver_volume_type': 'local', 'data': {}}

    def terminate_connection(self, ctxt, volume_id, connector):
        """There is nothing to take back."""


def _taking(endpoint, client):
    """The endpoint with a method that does nothing for every other cast of a client."""
    for name in vars(client):
        if not name.startswith('_') and not hasattr(endpoint, name):
            setattr(endpoint, name, lambda _context, **_arguments: None)
    return endpoint


class Stage:
    """Both projects' rows; ``first`` and ``other`` are name -> id of what each has."""

    def __init__(self, query=''):
        """:param query: of the database's URL"""
        self.directory = tempfile.mkdtemp(prefix='cinder-ext-hostile-')
        self.conf = options.new()
        options.parse(self.conf, [])
        self.conf.set_override('auth_strategy', 'noauth')
        self.conf.set_override('max_request_body_bytes', BODY_BYTES, 'api')
        for option in ('quota_volumes', 'quota_snapshots', 'quota_gigabytes', 'quota_groups'):
            self.conf.set_override(option, -1)
        self.conf.set_override('connection', f'sqlite:///{self.directory}/api.db{query}', 'database')
        self._servers = []

    def start(self):
        session.configure(self.conf)
        schema.sync()
        transport.init(self.conf, f'local:///{uuid.uuid4()}')
        rpc = types.SimpleNamespace(scheduler=scheduler.SchedulerAPI(self.conf),
                                    volume=volume.VolumeAPI(self.conf),
                                    control=control.ControlAPI(self.conf),
                                    replication=replication.ReplicationAPI(self.conf))
        self._serve(transport.SCHEDULER_TOPIC, 'node',
                    _taking(_Scheduler(), scheduler.SchedulerAPI))
        for backend in ('alpha', 'beta'):
            self._serve(transport.VOLUME_TOPIC, f'node@{backend}',
                        _taking(_Backend(), volume.VolumeAPI))
        self._serve(transport.REPLICATION_TOPIC, 'node@alpha', replica_answers.Replicas())
        self.application = app.build(self.conf, rpc)
        self._inner = dispatch.Dispatcher(self.conf, rpc, policy.Enforcer(self.conf))
        self._seed()
        # A connection of its own: what it copies back is seen by the service's connections.
        self._live = sqlite3.connect(f'{self.directory}/api.db', check_same_thread=False)
        self._live.execute('PRAGMA synchronous=OFF')
        self._kept = sqlite3.connect(':memory:', check_same_thread=False)
        self._live.backup(self._kept)
        self._tables = [name for name, in self._live.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table'")]
        self.digest = self.read_digest()

    def _serve(self, topic, server, endpoint):
        self._servers.append(transport.get_server(
            oslo_messaging.Target(topic=topic, server=server),
            [endpoint, control.ControlEndpoint(lambda: None)]))
        self._servers[-1].start()

    def _seed(self):
        ctxt = context.admin_context()
        for binary, host, topic in (
                ('cinder-volume', 'node@alpha', transport.VOLUME_TOPIC),
                ('cinder-volume', 'node@beta', transport.VOLUME_TOPIC),
                ('cinder-scheduler', 'node', transport.SCHEDULER_TOPIC)):
            services.heartbeat(ctxt, binary, host, topic, 'nova')
        shared = GLOBAL(ctxt, self.conf)
        self.first = Rows(FIRST, MARK, shared, self._offer).made
        self.other = Rows(OTHER, 'other', shared, self._offer).made
        self.shared = shared
        self.secrets = frozenset(self.first.values()) - frozenset(shared.values()) - {
            self.first['key']}

    def _offer(self, project_id, volume_id):
        answer = self.send('POST', '/v3/volume-transfers', project_id=project_id, body={
            'transfer': {'volume_id': volume_id, 'name': 'offer'}})
        assert answer.status_int == 202, answer.body
        return answer.json['transfer']

    def stop(self):
        for server in self._servers:
            server.stop()
            server.wait()
        transport.cleanup()
        self._live.close()
        session.dispose()
        shutil.rmtree(self.directory)

    def restore(self):
        """Put the database back to what it was after start()."""
        self._kept.backup(self._live)
        assert self.read_digest() == self.digest

    def read_digest(self):
        """Of all rows of all tables."""
        found = hashlib.sha256()
        for table in self._tables:
            rows = sorted(map(repr, self._live.execute(f'SELECT * FROM {table}')))
            found.update(repr((table, rows)).encode('utf-8', 'surrogatepass'))
        return found.hexdigest()

    def too_long(self):
        """What SQLite keeps and other databases do not: (table, column, length or number)."""
        found = []
        for table in models.Base.metadata.sorted_tables:
            for column in table.c:
                length = getattr(column.type, 'length', None)
                what = 'length' if length else 'abs'
                if not length and type(column.type).__name__ != 'Integer':
                    continue
                most = self._live.execute(
                    f'SELECT max({what}("{column.name}")) FROM {table.name}').fetchone()[0] or 0
                if most > (length or 0x7FFFFFFF):
                    found.append((table.name, column.name, most))
        return found

    def send(self, method, path, body=None, project_id=OTHER, user='member', query='',
             version='latest', headers=None, roles=None):
        """One request; ``body`` is bytes, or data; with ``roles`` it comes from their holder."""
        request = webob.Request.blank('/')
        request.environ.update({'REQUEST_METHOD': method, 'QUERY_STRING': query, 'PATH_INFO': path})
        request.headers[microversion.HEADER] = f'volume {version}'
        request.headers['X-Auth-Token'] = f'{user}:{project_id}'
        if isinstance(body, bytes):
            request.body = body
        elif body is not None:
            request.json_body = body
        request.headers.update(headers or {})
        if roles is None:
            return request.get_response(self.application)
        request.environ[auth.ENVIRON_KEY] = context.RequestContext(
            user_id=user, project_id=project_id, roles=roles, is_admin='admin' in roles,
            overwrite=False)
        return request.get_response(self._inner)

    def leaks(self, text, told=()):
        """What of the first project's stands in a text, beside what the caller has said."""
        found = {each for each in self.secrets - set(told) if each in text}
        return found | set(re.findall(MARK, text))
