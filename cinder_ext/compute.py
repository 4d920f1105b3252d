"""What the compute service (Nova) is asked.

With ``[nova] auth_type`` the service asks with an account of its own, which must be one that sees
every server; else with the token of the caller.  keystoneauth is loaded when it is first asked.
"""
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import functools
import urllib.parse

import orjson
from oslo_log import log
from oslo_utils import importutils

from cinder_ext import exceptions
from cinder_ext.conf import nova

LOG = log.getLogger(__name__)

MICROVERSION = '2.89'
"""The first that tells the attachment_id of a server's volume."""
SWAPPABLE = ('active', 'paused', 'resized')
"""States (``vm_state``) of a server that can swap a volume."""
STOPPED = ('stopped', 'shelved_offloaded', 'soft-delete', 'deleted')
"""States in which no guest of the server runs."""
_ASSISTED = 'os-assisted-volume-snapshots'
_GATEWAY_FAULTS = (502, 503, 504)
_LOADING = 'keystoneauth1.loading'
_FAULTS = 'keystoneauth1.exceptions'
_CATALOG = 'keystoneauth1.access.service_catalog'
_TOKEN = 'keystoneauth1.token_endpoint'


@dataclasses.dataclass(frozen=True)
class State:
    """What a server does.

    :ivar task_state: None when nothing is being done with it
    """

    vm_state: str
    task_state: str | None

    @property
    def can_swap(self):
        return self.vm_state in SWAPPABLE and self.task_state is None


@dataclasses.dataclass(frozen=True)
class Device:
    """How a server has a volume.

    :ivar attachment_id: None when it was attached before attachments were a resource
    :ivar swap_percent: how far the swap of it is; None when the compute service does not tell
    """

    attachment_id: str | None
    swap_percent: int | None = None


class Compute:
    """The compute service, as the configuration knows it.

    :param conf: parsed options
    :param retries: how often a question is repeated that finds nobody, or a gateway that does not
        find the service; what changes something is never repeated here
    """

    def __init__(self, conf, retries=0):
        self._conf = conf
        self._patience = {'connect_retries': retries, 'status_code_retries': retries,
                          'retriable_status_codes': _GATEWAY_FAULTS}

    @property
    def is_known(self):
        """Whether there is one to ask: always, but with ``noauth`` only when its URL is given."""
        return (self._conf.auth_strategy != 'noauth'
                or self._conf[nova.GROUP].endpoint_override is not None)

    def attachment_of(self, context, server_id, volume_id):
        """The id of the attachment by which a server has a volume; None when it has not.

        :raises ServiceUnavailable: there is no answer, or one that cannot be relied on
        """
        found = self._said(
            context, ('servers', server_id, 'os-volume_attachments', volume_id),
            f'whether server {server_id} uses volume {volume_id}',
            lambda document: document['volumeAttachment']['attachment_id'])
        if found is None:
            LOG.info('server %s does not exist or does not have volume %s', server_id, volume_id)
        return found

    def device_of(self, context, server_id, volume_id):
        """How a server has a volume: Device; None when it has not.

        :raises ServiceUnavailable: as attachment_of
        """
        return self._said(
            context, ('servers', server_id, 'os-volume_attachments', volume_id),
            f'how server {server_id} uses volume {volume_id}',
            lambda document: Device(document['volumeAttachment']['attachment_id'],
                                    _percent(document['volumeAttachment'].get('swap_progress'))))

    def state_of(self, context, server_id):
        """What a server does: State; None when there is no such server.

        :raises ServiceUnavailable: as place_of
        """
        return self._said(
            context, ('servers', server_id), f'in which state server {server_id} is',
            lambda document: State(document['server']['OS-EXT-STS:vm_state'],
                                   document['server']['OS-EXT-STS:task_state']))

    def swap_volume(self, context, server_id, volume_id, new_volume_id):
        """Ask that a server uses another volume from now on: it copies its guest's disk and pivots.

        Only the request is answered; what comes of it shows in the attachments, and ends with
        ``os-migrate_volume_completion``.

        :raises SwapRefused: the compute service does not do it
        :raises ServiceUnavailable: there is no answer; it may be done or not

        Safe to repeat as long as the new volume can be attached once.
        """
        faults = importutils.import_module(_FAULTS)
        try:
            self._ask(context, 'PUT', _path(('servers', server_id, 'os-volume_attachments',
                                             volume_id)),
                      json={'volumeAttachment': {'volumeId': new_volume_id}})
        except faults.HTTPClientError as fault:
            raise exceptions.SwapRefused(server_id=server_id, reason=_reason(fault)) from fault
        except faults.ClientException as fault:
            LOG.warning('the compute service did not say whether server %s swaps volume %s: %s',
                        server_id, volume_id, fault)
            raise exceptions.ServiceUnavailable(
                reason=f'the compute service did not answer: {_reason(fault)}') from fault

    def create_assisted_snapshot(self, context, volume_id, create_info):
        """Ask that a server goes over to another file of a volume that it has open.

        :param create_info: ``snapshot_id``, ``type`` and ``new_file``
        :raises AssistanceRefused: certainly nothing was done, and nothing will be
        :raises ServiceUnavailable: it may be done or not

        Never repeated here.  What comes of it is reported by ``os-update_snapshot_status``.
        """
        self._assist(context, 'POST', f'/{_ASSISTED}', json={
            'snapshot': {'volume_id': volume_id, 'create_info': create_info}})

    def delete_assisted_snapshot(self, context, snapshot_id, delete_info):
        """Ask that a server merges files of a volume that it has open.

        :param delete_info: ``volume_id``, ``type``, ``file_to_merge`` and ``merge_target_file``
        :raises AssistanceRefused, ServiceUnavailable: as create_assisted_snapshot
        """
        self._assist(context, 'DELETE', _path((_ASSISTED, snapshot_id)),
                     params={'delete_info': orjson.dumps(delete_info).decode()})

    def _assist(self, context, method, path, **more):
        if not self.is_known:
            raise exceptions.AssistanceRefused(
                reason='no compute service is configured ([nova] endpoint_override).')
        if self._conf.auth_strategy != 'noauth' and self._account is None:
            raise exceptions.AssistanceRefused(
                reason='this service has no account of its own ([nova] auth_type), and that of a '
                       'user will not do.')
        faults = importutils.import_module(_FAULTS)
        try:
            self._ask(context, method, path, **more)
        except (faults.HTTPClientError, faults.CatalogException,
                faults.AuthPluginException) as fault:
            if isinstance(fault, faults.RequestTimeout):
                raise _unanswered(fault) from fault
            raise exceptions.AssistanceRefused(reason=_reason(fault)) from fault
        except faults.ClientException as fault:
            if _was_never_sent(fault):
                raise exceptions.AssistanceRefused(reason=_reason(fault)) from fault
            raise _unanswered(fault) from fault

    def place_of(self, context, server_id):
        """Where a server runs: (name of its host, id of its project); None when it is unknown.

        :raises ServiceUnavailable: there is no answer, or one that cannot be relied on, also when
            the account may not see the host
        """
        return self._said(
            context, ('servers', server_id), f'where server {server_id} is',
            lambda document: (document['server']['OS-EXT-SRV-ATTR:host'],
                              document['server']['tenant_id']))

    def _said(self, context, words, what, read):
        """What an answer says; None when there is no such thing.

        :param words: of the path
        :param what: was asked, for the refusal
        :param read: takes it out of the answer's document
        """
        faults = importutils.import_module(_FAULTS)
        try:
            answer = self._ask(context, 'GET', _path(words), **self._patience)
        except faults.NotFound:
            return None
        except faults.NotAcceptable as fault:
            raise exceptions.ServiceUnavailable(
                reason=f'the compute service does not speak version {MICROVERSION}, which says '
                       f'{what}.') from fault
        except faults.ClientException as fault:
            LOG.warning('the compute service did not say %s: %s', what, fault)
            raise exceptions.ServiceUnavailable(
                reason=f'the compute service did not say {what}.')
        try:
            return read(answer.json())
        except (ValueError, KeyError, TypeError):
            LOG.warning('the compute service gave an answer that does not say %s', what)
            raise exceptions.ServiceUnavailable(
                reason='the compute service gave an answer that is not understood.')

    def _ask(self, context, method, path, **more):
        options = self._conf[nova.GROUP]
        where = {'endpoint_filter': {'service_type': 'compute', 'interface': options.interface,
                                     'region_name': options.region_name}}
        if options.endpoint_override:
            where['endpoint_override'] = options.endpoint_override
        return self._session.request(
            path, method, auth=self._account or self._caller(context), microversion=MICROVERSION,
            microversion_service_type='compute', headers={'Accept': 'application/json'},
            timeout=options.answer_timeout, **where, **more)

    @functools.cached_property
    def _session(self):
        loading = importutils.import_module(_LOADING)
        loading.register_session_conf_options(self._conf, nova.GROUP)
        return loading.load_session_from_conf_options(self._conf, nova.GROUP)

    @functools.cached_property
    def _account(self):
        """The service's own account; None: the caller's token is used."""
        loading = importutils.import_module(_LOADING)
        loading.register_auth_conf_options(self._conf, nova.GROUP)
        return loading.load_auth_from_conf_options(self._conf, nova.GROUP)

    def _caller(self, context):
        endpoint = self._conf[nova.GROUP].endpoint_override or self._from_catalog(context)
        token = context.auth_token
        if token is None and self._conf.auth_strategy == 'noauth':
            token = 'noauth'
        return importutils.import_module(_TOKEN).Token(endpoint, token)

    def _from_catalog(self, context):
        """The endpoint in the catalog that came with the caller's token.

        :raises keystoneauth1.exceptions.EndpointNotFound: it names none
        """
        options = self._conf[nova.GROUP]
        catalog = orjson.loads(context.service_catalog or '[]')
        return importutils.import_module(_CATALOG).ServiceCatalogV2(catalog).url_for(
            service_type='compute', interface=options.interface, region_name=options.region_name)


def _unanswered(fault):
    return exceptions.ServiceUnavailable(
        reason=f'the compute service did not answer: {_reason(fault)}')


def _was_never_sent(fault):
    """Whether nobody took the connection, so that nobody has read the request either.

    keystoneauth has one error for that and for a connection that was lost later; what it was made
    from tells.
    """
    unconnected = (importutils.import_class('requests.exceptions.ConnectTimeout'),
                   importutils.import_class('urllib3.exceptions.NewConnectionError'))
    cause = fault.__context__
    while cause is not None:
        if isinstance(cause, unconnected):
            return True
        cause = getattr(cause, 'reason', None) or next(
            (each for each in cause.args if isinstance(each, Exception)), None)
    return False


def _path(words):
    return ''.join('/' + urllib.parse.quote(word, safe='') for word in words)


def _percent(value):
    """A figure of another service, if it is one: 0 to 100."""
    try:
        found = int(value)
    except (TypeError, ValueError):
        return None
    return found if 0 <= found <= 100 else None


def _reason(fault):
    """What the compute service said: ``{'conflictingRequest': {'message': ...}}``, say."""
    try:
        document, = fault.response.json().values()
        found = document['message']
    except (AttributeError, ValueError, KeyError, TypeError):
        found = str(fault)
    return str(found)[:255]
