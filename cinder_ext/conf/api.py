"""Options of the API: [api], and auth_strategy in [DEFAULT]."""
# SPDX-License-Identifier: Apache-2.0

from oslo_config import cfg

DEFAULT_OPTS = [
    cfg.StrOpt('auth_strategy', default='keystone', choices=['keystone', 'noauth'],
               help='Who decides who a caller is. noauth: anybody is anybody; only for a '
                    'service that listens on the loopback interface.'),
    cfg.StrOpt('resource_query_filters_file',
               help='JSON file with the filters that projects may use: an object with a list of '
                    'names for each resource, as GET /resource_filters shows them; a name with a '
                    'tilde at its end also matches parts. By default those of the Block Storage '
                    'API.'),
]

OPTS = [
    cfg.HostAddressOpt('listen', default='127.0.0.1', help='Address to listen on.'),
    cfg.PortOpt('port', default=8776, help='Port to listen on.'),
    cfg.IntOpt('threads', default=10, min=1, help='Threads that answer requests.'),
    cfg.IntOpt('client_timeout_seconds', default=10, min=1,
               help='How long the built-in server waits for the next bytes of a request, or for a '
                    'client to take its answer.'),
    cfg.IntOpt('max_limit', default=1000, min=1, mutable=True,
               help='Most entries in one answer of a list.'),
    cfg.IntOpt('max_request_body_bytes', default=114688, min=1024,
               help='Largest body of a request, in bytes.'),
    cfg.StrOpt('public_endpoint', help='URL under which clients see the API, for links in answers; '
                                       'by default the URL of the request.'),
    cfg.BoolOpt('allow_noauth_beyond_loopback', default=False,
                help='With auth_strategy noauth, listen on other addresses than loopback too. '
                     'Everybody who reaches the port is an administrator then.'),
    cfg.BoolOpt('members_report_snapshots', default=False,
                help='Let every member of a project report with os-update_snapshot_status what the '
                     'compute service has done for its snapshots, as Cinder does. Only for a '
                     'compute service that reports with the token of a user and without a service '
                     'token: a member could end a merge of files that still runs.'),
    cfg.StrOpt('noauth_project_id', default='0123456789abcdef0123456789abcdef',
               help='Project of callers without a token when auth_strategy is noauth.'),
]


def register(conf):
    conf.register_opts(DEFAULT_OPTS)
    conf.register_opts(OPTS, 'api')
