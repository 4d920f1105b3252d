"""Random histories of volumes, as plain data that can be printed and run again.

An operation names volumes and snapshots by numbers that are taken modulo what there is, so
that any history can be run, and a shorter one after a part was left out.
"""
# SPDX-License-Identifier: Apache-2.0

import dataclasses

from hypothesis import strategies as st

TYPES = ('alpha', 'beta', 'any')
"""Two that are bound to the backends of their names, and one that is served by both."""


@dataclasses.dataclass(frozen=True)
class Create:
    type: int


@dataclasses.dataclass(frozen=True)
class Write:
    """Write to a volume that nothing else is done to.

    :ivar places: (offset, length, seed) each; offsets count from the end when negative, and seed
        0 writes zeros
    """

    volume: int
    places: tuple


@dataclasses.dataclass(frozen=True)
class Snapshot:
    volume: int


@dataclasses.dataclass(frozen=True)
class DeleteSnapshot:
    volume: int
    snapshot: int


@dataclasses.dataclass(frozen=True)
class DeleteVolume:
    volume: int
    cascade: bool


@dataclasses.dataclass(frozen=True)
class Extend:
    volume: int


@dataclasses.dataclass(frozen=True)
class Revert:
    volume: int


@dataclasses.dataclass(frozen=True)
class Clone:
    """A volume from another one, or from a snapshot of it; ``snapshot`` None for the volume."""

    volume: int
    snapshot: int | None
    larger: bool


@dataclasses.dataclass(frozen=True)
class Rename:
    volume: int
    name: int


@dataclasses.dataclass(frozen=True)
class Retype:
    volume: int
    type: int
    policy: str


@dataclasses.dataclass(frozen=True)
class Migrate:
    """To the other backend."""

    volume: int
    include: bool
    lock: bool


@dataclasses.dataclass(frozen=True)
class Steer:
    """What is asked of a migration that was begun in the same round.

    :ivar steps: (events of the service to wait for, verb) each
    """

    volume: int
    steps: tuple


@dataclasses.dataclass(frozen=True)
class Round:
    """Operations that are begun one after the other without waiting; then all is compared.

    :ivar kills: before the operations the service is told to die at the event of this number,
        and each one that is started in its place at the next one's
    """

    operations: tuple
    kills: tuple = ()


_volumes = st.integers(0, 3)
_snapshots = st.integers(0, 2)
_offsets = st.one_of(
    st.sampled_from((0, 1, 4095, 65536, 1024 ** 2 - 1, 1024 ** 2, 4 * 1024 ** 2 - 7, 3 * 1024 ** 2,
                     64 * 1024 ** 2, 1024 ** 3 - 512, 1024 ** 3, -1, -4096, -1024 ** 2)),
    st.integers(0, 2 * 1024 ** 3))
_places = st.lists(st.tuples(
    _offsets, st.sampled_from((1, 512, 4096, 65536, 300_000, 1024 ** 2, 5_000_000)),
    st.integers(0, 9)), min_size=1, max_size=3).map(tuple)

_operations = st.one_of(
    st.builds(Write, _volumes, _places),
    st.builds(Snapshot, _volumes),
    st.builds(Retype, _volumes, st.integers(0, 2),
              st.sampled_from(('on-demand-include-snapshots', 'on-demand', 'never'))),
    st.builds(Migrate, _volumes, st.booleans(), st.booleans()),
    st.builds(Migrate, _volumes, st.just(True), st.just(False)),
    st.builds(Clone, _volumes, st.one_of(st.none(), _snapshots), st.booleans()),
    st.builds(Revert, _volumes),
    st.builds(Extend, _volumes),
    st.builds(DeleteSnapshot, _volumes, _snapshots),
    st.builds(Rename, _volumes, st.integers(0, 9)),
    st.builds(Create, st.integers(0, 2)),
    st.builds(DeleteVolume, _volumes, st.booleans()),
)

_verbs = st.sampled_from((('cancel',), ('pause', 'resume'), ('pause', 'cancel'), ('pause',),
                          ('cancel', 'cancel'), ('pause', 'resume', 'cancel')))


@st.composite
def _steered(draw):
    """A move that is steered, and something else now and then."""
    volume = draw(st.integers(0, 1))
    verbs = draw(_verbs)
    move = draw(st.sampled_from((Migrate(volume, True, False), Migrate(volume, True, True),
                                 Retype(volume, 1, 'on-demand-include-snapshots'))))
    steer = Steer(volume, tuple((draw(st.integers(0, 40)), verb) for verb in verbs))
    return (*draw(st.lists(_operations, max_size=1)), move, steer)


_kills = st.one_of(st.just(()), st.just(()), st.just(()), st.tuples(st.integers(1, 70)),
                   st.tuples(st.integers(1, 70), st.integers(1, 40)))

_some = st.lists(_operations, min_size=1, max_size=4).map(tuple)
_rounds = st.builds(Round, st.one_of(_some, _some, _some, _steered()), _kills)


def histories(rounds):
    """Strategy: a tuple of at most so many rounds."""
    return st.lists(_rounds, min_size=max(1, rounds // 2), max_size=rounds).map(tuple)
