"""What volume types, groups and backends ask of replication, and what follows from all of it.

A volume type's extra specs and a group type's group specs have the same words::

    replication_enabled            <is> True        (group_replication_enabled of a group type)
    replication:scope              volume, group, pool or backend   (also replication_scope)
    replication:mode               sync or async                    (also replication_mode)
    replication:target             backend_id of a target
    replication:rpo_seconds        the most that may be lost, or
    replication:schedule           every N seconds, minutes or hours
    replication:retention          points that are kept
    replication:topology, replication:auto_failover                 of a sync target

Pure: no I/O.
"""
# SPDX-License-Identifier: Apache-2.0

import dataclasses
import re

from cinder_ext import exceptions
from cinder_ext.states import replication as states

DEFAULT_MODE = 'async'
DEFAULT_SCOPE = 'volume'
DEFAULT_RPO_SECONDS = 300
DEFAULT_RETENTION = 3
DEFAULT_TOPOLOGY = 'active-passive'
DEFAULT_AUTO_FAILOVER = 'none'
AUTO_FAILOVER = ('none', 'mediator')

LEAST_RPO_SECONDS, MOST_SECONDS = 2, 7 * 24 * 3600
MOST_RETENTION = 100

PREFIX = 'replication:'
ENABLED_KEYS = ('replication_enabled', 'group_replication_enabled',
                'consistent_group_replication_enabled')
BARE = {'replication_scope': 'scope', 'replication_mode': 'mode'}
"""Keys without the prefix, that mean the same."""

_UNITS = {'second': 1, 'minute': 60, 'hour': 3600}
_SCHEDULE = re.compile(r'every\s+(\d{1,6})\s+(second|minute|hour)s?', re.ASCII)
_WHOLE = re.compile(r'\d{1,9}', re.ASCII)
_TRUE = re.compile(r'<is>\s*true', re.IGNORECASE)
_BOOLEAN = re.compile(r'<is>\s*(true|false)', re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Policy:
    """What is asked for; None where it is unset.

    :ivar is_enabled: whether replication is asked for at all
    :ivar target: backend_id
    :ivar rpo_seconds: the most that may be lost; ``schedule`` then is None
    :ivar schedule: how often a point is made, as it was written
    :ivar by_request: somebody has asked for it besides what the types ask for
    """

    is_enabled: bool = False
    scope: str | None = None
    mode: str | None = None
    target: str | None = None
    rpo_seconds: int | None = None
    schedule: str | None = None
    retention: int | None = None
    topology: str | None = None
    auto_failover: str | None = None
    by_request: bool = False

    @property
    def interval_seconds(self):
        """A point is shipped so often, at most: twice as often as the objective; None if unset."""
        if self.schedule is not None:
            return _interval(self.schedule)
        return None if self.rpo_seconds is None else max(1, self.rpo_seconds // 2)

    def as_document(self):
        """What is set, fit for JSON; ``Policy(**document)`` is the same again."""
        found = {name: value for name, value in dataclasses.asdict(self).items()
                 if value is not None and value is not False}
        return {**found, 'is_enabled': self.is_enabled}


def _interval(schedule):
    count, unit = _SCHEDULE.fullmatch(schedule).groups()
    return int(count) * _UNITS[unit]


def parse(specs, source='the specs'):
    """The policy that some specs ask for; other specs are left alone.

    :param specs: extra specs of a volume type or group specs of a group type, a dictionary
    :param source: how an error names them
    :returns: Policy
    :raises InvalidInput: a word is bad, or two contradict each other; names both
    """
    specs, found = specs or {}, {}
    for key, value in sorted(specs.items()):
        name = BARE.get(key) or (key.removeprefix(PREFIX) if key.startswith(PREFIX) else None)
        if name is None:
            continue
        if name not in _READERS:
            raise _bad(key, value, f'{PREFIX}{" ".join(sorted(_READERS))} are known', source)
        read = _READERS[name](key, str(value).strip(), source)
        if name in found and found[name][1] != read:
            raise _contradiction(source, *found[name], source, key, read)
        found[name] = key, read
    if {'rpo_seconds', 'schedule'} <= found.keys():
        raise _contradiction(source, *found['rpo_seconds'], source, *found['schedule'])
    return Policy(is_enabled=_is_enabled(specs, source),
                  **{name: value for name, (_key, value) in found.items()})


validate = parse
"""For the moment when specs are set: give it all that there are then."""


def is_enabled(specs):
    """Whether specs ask for replication; does not look at the rest of them."""
    return any(_TRUE.fullmatch(str((specs or {}).get(key, '')).strip()) for key in ENABLED_KEYS)


def concerns(keys):
    """Whether any of some keys of specs is about replication."""
    return any(key.startswith(PREFIX) or key in BARE or key in ENABLED_KEYS for key in keys)


def merge(group, volume_type, default=None):
    """The whole policy: what the group asks for, then the volume type, then the backend.

    :param group: Policy of the group type; None for a volume in no group
    :param volume_type: Policy of the volume type; None for none
    :param default: Policy that the backend is configured with; contradicts nobody
    :returns: Policy in which all but target, rpo_seconds and schedule are set, and one of the
        last two.  With ``is_enabled`` false neither asks for replication
    :raises InvalidInput: group and volume type contradict each other, or the scope is a group and
        the volume is in none; names both
    """
    ours, types = group or Policy(), volume_type or Policy()
    _refuse_contradictions(ours, types)
    asked = {}
    for each in (types, ours):
        asked |= {name: value for name, value in each.as_document().items() if name != 'is_enabled'}
    is_of_group = ours.is_enabled and ours.scope is None and types.scope is None
    if is_of_group:
        asked['scope'] = 'group'
    if asked.get('scope') == 'group' and group is None and types.is_enabled:
        raise exceptions.InvalidInput(
            reason='the volume type has replication:scope group, and the volume is in no group.')
    return Policy(is_enabled=ours.is_enabled or types.is_enabled,
                  **_filled(asked, default or Policy()))


def _filled(asked, default):
    given = {name: value for name, value in default.as_document().items() if name != 'is_enabled'}
    # One objective: what a user set must not stand beside the other kind of a default's.
    if {'rpo_seconds', 'schedule'} & asked.keys():
        given.pop('rpo_seconds', None)
        given.pop('schedule', None)
    elif not {'rpo_seconds', 'schedule'} & given.keys():
        given['rpo_seconds'] = DEFAULT_RPO_SECONDS
    return {'mode': DEFAULT_MODE, 'scope': DEFAULT_SCOPE, 'retention': DEFAULT_RETENTION,
            'topology': DEFAULT_TOPOLOGY, 'auto_failover': DEFAULT_AUTO_FAILOVER,
            **given, **asked}


def _refuse_contradictions(group, volume_type):
    theirs = volume_type.as_document()
    for name, value in group.as_document().items():
        if name != 'is_enabled' and theirs.get(name, value) != value:
            raise _contradiction('the group type', PREFIX + name, value,
                                 'the volume type', PREFIX + name, theirs[name])
    for one, other in (('rpo_seconds', 'schedule'), ('schedule', 'rpo_seconds')):
        if getattr(group, one) is not None and getattr(volume_type, other) is not None:
            raise _contradiction('the group type', PREFIX + one, getattr(group, one),
                                 'the volume type', PREFIX + other, getattr(volume_type, other))


def _contradiction(first, key, value, second, other_key, other_value):
    return exceptions.InvalidInput(
        reason=f"{first} has {key} '{value}' and {second} has {other_key} '{other_value}': "
               'they contradict each other.')


def _bad(key, value, wanted, source):
    return exceptions.InvalidInput(
        reason=f"{source}: {key} '{str(value)[:100]}' is not understood: {wanted}.")


def _is_enabled(specs, source):
    for key in ENABLED_KEYS:
        if key in specs and not _BOOLEAN.fullmatch(str(specs[key]).strip()):
            raise _bad(key, specs[key], "'<is> True' or '<is> False' is expected", source)
    return is_enabled(specs)


def _one_of(words):
    def read(key, value, source):
        if value not in words:
            raise _bad(key, value, f'one of {", ".join(words)} is expected', source)
        return value
    return read


def _between(least, most):
    def read(key, value, source):
        if not _WHOLE.fullmatch(value) or not least <= int(value) <= most:
            raise _bad(key, value, f'a whole number from {least} to {most} is expected', source)
        return int(value)
    return read


def _target(key, value, source):
    if not 0 < len(value) <= 255 or not value.isprintable():
        raise _bad(key, value, 'the backend_id of a target is expected', source)
    return value


def _schedule(key, value, source):
    if not _SCHEDULE.fullmatch(value) or not 1 <= _interval(value) <= MOST_SECONDS:
        raise _bad(key, value, "'every N seconds', minutes or hours, at most a week, is expected",
                   source)
    return ' '.join(value.split())


_READERS = {
    'scope': _one_of(states.SCOPES),
    'mode': _one_of(states.MODES),
    'target': _target,
    'rpo_seconds': _between(LEAST_RPO_SECONDS, MOST_SECONDS),
    'schedule': _schedule,
    'retention': _between(1, MOST_RETENTION),
    'topology': _one_of(states.TOPOLOGIES),
    'auto_failover': _one_of(AUTO_FAILOVER),
}
