"""Operation: one call of the API, declared; Call: one request to it.

A resource declares its operations as constants at the end of its file; the
page ``routes.py`` says under which path and method they are found.  The
docstring of the handler is the documentation of the operation.
"""
# SPDX-License-Identifier: Apache-2.0

import dataclasses
from collections import abc

import oslo_messaging
from oslo_log import log

from cinder_ext import exceptions
from cinder_ext.api import microversion

LOG = log.getLogger(__name__)


MIGRATING = microversion.ByVersion({
    '3.0': lambda refusal: exceptions.VolumeIsMigrating(reason=refusal.message),
    '3.72': lambda refusal: refusal})
"""For ``Operation.migrating``, where upstream has a 400: so at its own versions; from ours on 409."""


@dataclasses.dataclass(frozen=True)
class Operation:
    """One call, as data; dispatch.py carries it out in the order of the fields.

    ``name``     resource.verb, unique
    ``since``    the version that brought it; below it there is no such call (404)
    ``target``   function(call) -> the row that the call is about, or None when it is about none;
                 raises NotFound for what the caller may not know of
    ``policy``   the rule that is asked, with the target's project and user; None: no token needed
    ``body``     validation.schemas by version, of an action for what stands under its name;
                 None: a body is ignored
    ``variant``  ByVersion table of what the handler does differently by version (``call.variant``)
    ``migrating``  ByVersion table of function(MigrationActive) -> what is raised in its place
    ``handler``  function(call) -> the answer's body as plain data, or None
    ``success``  status of the answer
    ``reads``    whether target and handler read the database and nothing else: one transaction
    """

    name: str
    policy: str | None
    handler: abc.Callable
    success: int = 200
    target: abc.Callable | None = None
    body: microversion.ByVersion | None = None
    variant: microversion.ByVersion | None = None
    migrating: microversion.ByVersion | None = None
    since: str = microversion.MIN
    reads: bool = False

    @property
    def documentation(self):
        return (self.handler.__doc__ or '').strip()


@dataclasses.dataclass(eq=False)
class Call:
    """One request, as a handler sees it.

    ``compute`` compute.Compute: what the compute service is asked
    ``path``    variables of the path, without the project id
    ``query``   parameters of the query, name -> last value
    ``body``    the validated body; of an action what stands under its name
    ``target``  what the operation's target loader has found
    ``links``   pagination.Links: URLs for the answer
    ``headers`` headers to add to the answer
    ``if_match``  Etags of which the resource must have one; empty: it may have any
    """

    conf: object
    rpc: object
    enforcer: object
    context: object
    version: str
    operation: Operation | None = None
    path: dict = dataclasses.field(default_factory=dict)
    query: dict = dataclasses.field(default_factory=dict)
    links: object = None
    body: object = None
    target: object = None
    headers: dict = dataclasses.field(default_factory=dict)
    if_match: tuple = ()
    compute: object = None
    _allowed: dict = dataclasses.field(default_factory=dict)

    @property
    def scope(self):
        """The project whose rows the caller sees; None for administrators: all."""
        return None if self.context.is_admin else self.context.project_id

    @property
    def variant(self):
        """The entry of the operation's variant table for this request."""
        return self.operation.variant.at(self.version)

    def at(self, table):
        """The entry of a ByVersion table for this request."""
        return table.at(self.version)

    def allowed(self, rule, target=None):
        """Whether a policy allows it; asked once per request and owner."""
        owner = self._owner(target)
        key = (rule, owner['project_id'], owner['user_id'])
        if key not in self._allowed:
            self._allowed[key] = self.enforcer.allows(self.context, rule, owner)
        return self._allowed[key]

    def authorize(self, rule, target=None):
        """
        :raises PolicyNotAuthorized: the policy does not allow it
        """
        if not self.allowed(rule, target):
            raise exceptions.PolicyNotAuthorized(action=rule)

    def _owner(self, target):
        row = self.context if target is None else target
        return {'project_id': getattr(row, 'project_id', self.context.project_id),
                'user_id': getattr(row, 'user_id', self.context.user_id)}

    def tell(self, cast, *arguments):
        """Send a cast about work that is recorded already.

        A broker that is away does not fail the request: the owner of the work sweeps for
        records that nobody works on.
        """
        try:
            cast(self.context, *arguments)
        except (oslo_messaging.MessageDeliveryFailure, oslo_messaging.MessagingTimeout) as fault:
            LOG.warning('request %s: %s %s was recorded but not sent: %s', self.context.request_id,
                        self.operation.name, arguments, fault)

    def ask(self, remote, *arguments, **keywords):
        """Make an RPC call and wait for its answer.

        :raises ServiceUnavailable: nobody answered
        """
        try:
            return remote(self.context, *arguments, **keywords)
        except oslo_messaging.MessagingException as fault:
            LOG.warning('request %s: %s was not answered: %s', self.context.request_id,
                        self.operation.name, fault)
            raise exceptions.ServiceUnavailable(reason='another service did not answer in time.')
