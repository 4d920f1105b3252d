"""Who asks: the request context that travels with every call and query."""
# SPDX-License-Identifier: Apache-2.0

from oslo_context import context as oslo_context
from oslo_db.sqlalchemy import enginefacade


@enginefacade.transaction_context_provider
class RequestContext(oslo_context.RequestContext):
    """oslo.context's request context; also the carrier of a database transaction.

    :ivar service_catalog: the catalog that came with the token, as text; only in the API
    :ivar fence: db.lease.Fence that what is written with this context is held to, or None; it
        does not travel
    """

    service_catalog = None
    fence = None

    def elevated(self):
        """A copy of this context that is an admin's, with the same request id."""
        values = self.to_dict()
        values['is_admin'] = True
        values['roles'] = sorted({*self.roles, 'admin', 'member', 'reader'})
        made = type(self).from_dict(values)
        made.fence = self.fence
        return made


def admin_context(request_id=None):
    """The context of the service itself: for sweeps and resumed work."""
    return RequestContext(is_admin=True, roles=['admin'], overwrite=False, request_id=request_id)
