"""Operations of callers that cannot say ``force``: it is meant where a source does not answer."""
# SPDX-License-Identifier: Apache-2.0

from oslo_log import log

from cinder_ext import exceptions
from cinder_ext.db import backend_failovers

LOG = log.getLogger(__name__)


def decide(work):
    """Decide once, before a volume is taken, whether an operation is forced.

    As long as every source answers, what it has is shipped first and nothing is lost.

    :param work: volume.replication.work.Work; of other callers nothing happens
    """
    if not work.facts.get(backend_failovers.FORCE_IF_NEEDED):
        return
    sources = {(unit.replication.home, unit.source): unit for unit in work.units()}
    if not work.force and not all(_answers(work, unit) for unit in sources.values()):
        LOG.warning('operation %s: a source does not answer; it is forced', work.id)
        work.force = True
    backend_failovers.decide_force(work.context, work.id, work.force)


def _answers(work, unit):
    try:
        work.driver(unit).side(unit.members[0].volume, unit.source)
    except exceptions.BackendDown:
        return False
    return True
