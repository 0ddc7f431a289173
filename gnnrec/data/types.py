"""The types that cross module borders: events, what a strategy may see of an increment, and the stream.

Letters: n events, u users, i items, t increments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from gnnrec.data.matching import Columns, matched

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Keys = NDArray[np.uint64]
Kind = TypeVar("Kind", bound=np.generic)
Texts = NDArray[np.object_]


def owned(column: NDArray[Kind]) -> NDArray[Kind]:
    """Return a copy of `column` that nobody can write to."""
    mine = column.copy()
    mine.setflags(write=False)
    return mine


class Truth(Protocol):
    """What a perfect model would answer, asked by external ids; known of a simulated world alone."""

    def value(self, user_ids: Texts, item_ids: Texts, time: Floats | float) -> Floats:
        """Return the expected rating of each (user, item) at `time` (one for all, or [n]), [n]."""

    def scores(self, user_ids: Texts, time: float, item_ids: Texts) -> Floats:
        """Return log P(item | user, time), [u, i]."""


@dataclass(frozen=True, slots=True)
class Interactions:
    """Events as columns of shape [n], sorted by time; users and items are row numbers, `time` is in seconds."""

    user: Ints
    item: Ints
    value: Floats
    time: Floats

    def __len__(self) -> int:
        return len(self.user)

    def take(self, index: slice | NDArray[np.int64] | NDArray[np.bool_]) -> Interactions:
        """Return the events at `index` (a slice gives views, not copies)."""
        return Interactions(self.user[index], self.item[index], self.value[index], self.time[index])

    def without(self, removed: Interactions) -> Interactions:
        """Return the events in their order without those that equal `removed`, of equal ones as many as there are in it."""
        return self.take(~matched(self.columns, removed.columns)) if len(removed) else self

    @property
    def columns(self) -> Columns:
        """User, item, value and time."""
        return self.user, self.item, self.value, self.time

    def owned(self) -> Interactions:
        """Return a copy whose arrays hold nothing else and cannot be written to."""
        return Interactions(*(owned(getattr(self, f.name)) for f in fields(Interactions)))

    @staticmethod
    def concat(parts: Sequence[Interactions]) -> Interactions:
        """Return the events of all parts, in the order given."""
        if not parts:
            return Interactions.empty()
        return Interactions(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Interactions)))

    @staticmethod
    def pairs(user: Ints, item: Ints) -> Interactions:
        """Return events that are pairs and nothing else: values and times are 0."""
        return Interactions(user, item, np.zeros(len(user)), np.zeros(len(user)))

    @staticmethod
    def empty() -> Interactions:
        """Return no events."""
        return Interactions(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), np.empty(0))


@dataclass(frozen=True, slots=True)
class Features:
    """Numbers known of nodes beside their events: user [u, f], item [i, g] in order of number; NaN where nothing is known.

    None where there are none of that kind.
    """

    user: Singles | None = None
    item: Singles | None = None

    def first(self, users: int, items: int) -> Features:
        """Return the rows of the nodes numbered below these."""
        user, item = self.user, self.item
        return Features(None if user is None else user[:users], None if item is None else item[:items])

    @staticmethod
    def concat(known: Features | None, new: Features | None) -> Features | None:
        """Return what is known with what is new behind it."""
        if known is None or new is None:
            return known or new
        pairs = ((known.user, new.user), (known.item, new.item))
        user, item = (np.concatenate([a, b]) if a is not None and b is not None else None for a, b in pairs)
        return Features(user, item)


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything a strategy may ever see of an increment: no test field, and read-only arrays that hold nothing else.

    Attributes:
        index: t, 0 for the base.
        train: events to fit on.
        valid: events to select on (early stopping, blend); never fitted on.
        arrived: events that enter graph, tables and counters before the fit (those of `train` not absorbed earlier).
        folded: events absorbed once selection is over (`valid`, or none under ``evaluation.graph=strict``).
        num_users, num_items: numbered nodes after this increment; numbers below belong to absorbed nodes.
        user_key, item_key: [num_users], [num_items] hashes of external ids; seeds of initial rows.
        removed: events absorbed earlier that are taken back with this increment, before anything of it is absorbed.
        features: of the nodes that this increment numbers, user [m, f], item [n, g]; None where the data have none.
        since: the oldest of several increments that are taken up as one; None: it is one.
    """

    index: int
    train: Interactions
    valid: Interactions
    arrived: Interactions
    folded: Interactions
    num_users: int
    num_items: int
    user_key: Keys
    item_key: Keys
    removed: Interactions = field(default_factory=Interactions.empty)
    features: Features | None = None
    since: int | None = None

    @property
    def first(self) -> int:
        """The oldest increment that is in it."""
        return self.index if self.since is None else self.since


@dataclass(frozen=True, slots=True)
class Increment:
    """What the experiment holds of an increment.

    Attributes:
        observed: the part a strategy sees.
        test: the held-out slice, scored for the R matrix (empty under ``stream.split=next_half``, where R is n/a).
        upcoming: events the model that absorbed 0..t is scored on before it sees any (`next`); empty for the last.
    """

    observed: Observed
    test: Interactions
    upcoming: Interactions


@dataclass(frozen=True, slots=True)
class Stream:
    """A log cut into increments, with the external ids of its numbers.

    Attributes:
        increments: base first.
        users, items: external ids in number order; ids that are never absorbed come after all that are.
        feedback: "explicit" or "implicit".
        positive_from: smallest value that counts as relevant; None: every event does.
        has_test: whether increments have test slices, so that the R matrix exists.
        titles: item id -> title, where given.
        fingerprint: hash of every row and boundary; two runs compare only if theirs agree.
        notes: what was inferred or is unusual, to be printed once.
        oracle: the known truth of a simulated world.
        versions: of a store, what the rows of each version hash to; empty where the data come from files.
        labels: of increments cut by a column, the last value of the column in each; empty where they are cut otherwise.
        features: of all users and items, in order of number; None where the data have none.
        aliases: what tables call the users, in the place of their ids; None: by these.
    """

    increments: tuple[Increment, ...]
    users: NDArray[np.object_]
    items: NDArray[np.object_]
    feedback: str
    positive_from: float | None
    has_test: bool
    titles: dict[str, str]
    fingerprint: str
    notes: tuple[str, ...] = ()
    oracle: Truth | None = None
    versions: Mapping[int, str] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    features: Features | None = None
    aliases: Texts | None = None

    @property
    def named(self) -> Texts:
        """What tables call the users, [u]."""
        return self.users if self.aliases is None else self.aliases
