"""Two sides of a replicated volume that are not of one mind: found out, recorded, kept from harm."""
# SPDX-License-Identifier: Apache-2.0

from oslo_log import log

from cinder_ext import exceptions
from cinder_ext.db import replication_shipping

LOG = log.getLogger(__name__)

_PRIMARY, _SECONDARY = 'primary', 'secondary'


def look(driver, row, members):
    """What both sides say of each volume: a list of (source, destination), values.Side each.

    :param row: replication_models.Replication
    :raises BackendDown: a side does not answer
    """
    return [(driver.side(member.volume, row.source_side),
             driver.side(member.volume, row.destination_side)) for member in members]


def is_lost(sides, row):
    """Whether the destination merely has no replica, or an older one: nobody uses it there."""
    return all(there.role in (None, _SECONDARY) and there.epoch <= row.epoch
               and here.role in (None, _PRIMARY) and here.epoch <= row.epoch
               for here, there in sides)


def record(context, row, volume_ids, sides, fault):
    """Store it, with both epochs.

    :param fault: exceptions.SplitBrain
    :returns: False when the replication has moved on meanwhile
    """
    here, there = max(sides, key=lambda pair: (pair[1].role == _PRIMARY, pair[1].epoch))
    facts = {'local_side': row.source_side or 'home', 'local_epoch': here.epoch,
             'local_role': here.role, 'remote_side': row.destination_side or 'home',
             'remote_epoch': there.epoch, 'remote_role': there.role}
    if not replication_shipping.broken(context, row, fault, facts, volume_ids):
        return False
    LOG.error('replication %s: split brain, %s', row.id, fault.message)
    return True


def fence(driver, row, members, sides):
    """Keep everybody from a source that was superseded: the side with the larger epoch is right.

    A source that was not is left in use: what is at the other side then is not its successor.
    """
    for member, (here, there) in zip(members, sides, strict=True):
        if here.role != _PRIMARY or there.role != _PRIMARY or there.epoch <= here.epoch:
            continue
        try:
            driver.fence(member, row.source_side, there.epoch)
        except exceptions.DriverError as fault:
            LOG.error('replication %s: volume %s is not fenced at %s: %s', row.id,
                      member.volume.name_id, row.source_side or 'home', fault.message)
        else:
            LOG.warning('replication %s: volume %s is fenced at %s: %s was promoted with epoch %s',
                        row.id, member.volume.name_id, row.source_side or 'home',
                        row.destination_side or 'home', there.epoch)
