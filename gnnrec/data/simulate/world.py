"""A simulated log whose truth is known: tastes, drift, arrivals, popularity bias, noise.

Users and items are ordered by arrival, so those present at a time are a prefix, and a draw among them is one binary
search in a cumulative sum: exact, and fast for millions of events.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import polars as pl

from gnnrec.core.errors import GnnrecError, nearest
from gnnrec.core.seeds import generator
from gnnrec.data.clean.ids import coded
from gnnrec.data.dataset import Counts, Dataset
from gnnrec.data.simulate.oracle import APPEAL, BIAS, Oracle, Population
from gnnrec.data.types import Floats, Ints, Texts

_START = datetime(2020, 1, 1, tzinfo=UTC).timestamp()
_DAY = 86_400.0
_ATTEMPTS = 6


class SimulatedWorld:
    """A world of users with drifting tastes.

    Args:
        name: what to call the data set.
        users, items: how many there are at the end.
        events: how many distinct (user, item) events happen; evenly in time.
        factors: number of tastes.
        drift: how far tastes turn over the whole span; 0: not at all, 1: to unrelated tastes.
        recurrence: times that tastes have turned and come back by the end; 0: they only go on.
        smoothness: 1: they turn evenly; 0: at once, halfway; between: in part.
        arrivals: share of users and of items that arrive after the base, evenly.
        popularity_bias: exponent of the Zipf law of item popularity; 0: none.
        noise: standard deviation of the error of a rating.
        feedback: explicit (half stars from 1 to 5) or implicit (every event is 1).
        positive_from: smallest rating that counts as relevant; None: every event does.
        days: length of the log.
        base: share of the time after which arrivals begin.
        seed: of the world.
    """

    def __init__(
        self,
        name: str = "simulated",
        users: int = 1000,
        items: int = 600,
        events: int = 40_000,
        factors: int = 8,
        drift: float = 0.5,
        arrivals: float = 0.3,
        popularity_bias: float = 0.5,
        noise: float = 0.5,
        feedback: str = "explicit",
        positive_from: float | None = None,
        days: float = 360.0,
        base: float = 0.5,
        seed: int = 0,
        recurrence: float = 0.0,
        smoothness: float = 1.0,
    ) -> None:
        if feedback not in ("explicit", "implicit"):
            raise GnnrecError(f"data.feedback={feedback} is not a choice{nearest(feedback, ['explicit', 'implicit'])}")
        for key, number in (("users", users), ("items", items), ("events", events), ("factors", factors)):
            if number != int(number) or number < 1:
                raise GnnrecError(f"data.{key}={number} must be a whole number from 1")
        for key, share in (("arrivals", arrivals), ("base", base)):
            if not 0 <= share < 1:
                raise GnnrecError(f"data.{key}={share} is outside [0, 1)")
        if not 0 <= smoothness <= 1:
            raise GnnrecError(f"data.smoothness={smoothness} must lie between 0 and 1")
        sizes = (("drift", drift), ("noise", noise), ("popularity_bias", popularity_bias), ("recurrence", recurrence))
        for key, size in sizes:
            if not 0 <= size < np.inf:
                raise GnnrecError(f"data.{key}={size} must be 0 or more")
        if not 0 < days < np.inf:
            raise GnnrecError(f"data.days={days} must be more than 0")
        self.name, self.feedback, self.positive_from = name, feedback, positive_from
        self.users, self.items, self.events, self.factors = int(users), int(items), int(events), int(factors)
        self.drift, self.arrivals, self.noise, self.base = drift, arrivals, noise, base
        self.popularity_bias, self.span, self.seed = popularity_bias, days * _DAY, int(seed)
        self.recurrence, self.smoothness = recurrence, smoothness

    def load(self, keep: Sequence[str] = ()) -> Dataset:
        """Draw the log; the same arguments give the same bytes.

        Args:
            keep: must be empty: a simulated log has no further columns.
        """
        if keep:
            raise GnnrecError(f"data={self.name} has no column '{keep[0]}'; choose stream=by_count or by_time")
        world = self._world()
        user, item, time = self._draw(world)
        explicit = self.feedback == "explicit"
        value = self._ratings(world, user, item, time) if explicit else np.ones(len(user))
        names = self._names("u", self.users), self._names("i", self.items)
        user_ids, user_code = coded(pl.Series(names[0][user].tolist(), dtype=pl.String))
        item_ids, item_code = coded(pl.Series(names[1][item].tolist(), dtype=pl.String))
        return Dataset(
            self.name,
            user_code,
            item_code,
            user_ids,
            item_ids,
            value,
            time,
            Counts(len(user), len(user)),
            self.feedback,
            self.positive_from,
            world.scale if explicit else None,
            oracle=Oracle(world, *names, explicit),
        )

    def _world(self) -> Population:
        rng = generator(self.seed, "world")
        u, i, c = self.users, self.items, self.factors
        appeal = rng.normal(size=(i, c))
        popularity = np.asarray((rng.permutation(i) + 1.0) ** -self.popularity_bias, np.float64)
        return Population(
            rng.normal(size=(u, c)),
            rng.normal(size=(u, c)),
            rng.normal(scale=BIAS, size=u),
            rng.normal(scale=BIAS, size=i),
            appeal,
            popularity * np.exp(APPEAL * appeal.T),
            self._arrival_times(u, rng),
            self._arrival_times(i, rng),
            rng.lognormal(sigma=1.0, size=u),
            _START,
            self.span,
            self.drift,
            self.noise,
            (1.0, 5.0),
            self.recurrence,
            self.smoothness,
        )

    def _arrival_times(self, size: int, rng: np.random.Generator) -> Floats:
        """Return ascending times; the share that arrives later does so evenly after the base."""
        later = round(size * self.arrivals)
        when = rng.uniform(self.base, 1.0, later)
        return _START + self.span * np.sort(np.concatenate([np.zeros(size - later), when]))

    def _draw(self, world: Population) -> tuple[Ints, Ints, Floats]:
        """Draw until enough pairs are distinct, keep the first event of each, thin evenly to the number asked for."""
        drawn = round(self.events * 1.3) + 100
        for attempt in range(_ATTEMPTS):
            rng = generator(self.seed, "events", attempt)
            time = np.sort(np.floor(_START + self.span * rng.random(drawn)))
            user, item = _pairs(world, time, rng)
            first = np.sort(np.unique(user * self.items + item, return_index=True)[1])
            if len(first) >= self.events:
                chosen = np.sort(rng.choice(first, self.events, replace=False))
                return user[chosen], item[chosen], time[chosen]
            drawn *= 2
        raise GnnrecError(
            f"data.events={self.events:,} distinct events do not fit {self.users:,} users and {self.items:,} items; "
            "raise data.users or data.items, or lower data.events"
        )

    def _ratings(self, world: Population, user: Ints, item: Ints, time: Floats) -> Floats:
        error = generator(self.seed, "noise").normal(scale=self.noise, size=len(user))
        return world.observed(world.levels(user, item, world.tastes(user, time)), error)

    def _names(self, letter: str, size: int) -> Texts:
        """Return ids that say nothing about the order of arrival."""
        numbers = generator(self.seed, "names", letter).permutation(size)
        names = np.empty(size, object)
        names[:] = [f"{letter}{k}" for k in numbers]
        return names


def _pairs(world: Population, time: Floats, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Draw the user of each event by activity among those present, then a taste, then an item by its weights."""
    n = len(time)
    user = _among(np.cumsum(world.activity), np.searchsorted(world.user_arrival, time, side="right"), rng.random(n))
    mixture = np.cumsum(world.tastes(user, time), axis=1)
    taste = np.minimum((rng.random((n, 1)) > mixture).sum(axis=1), mixture.shape[1] - 1)
    present = np.searchsorted(world.item_arrival, time, side="right")
    chance, item = rng.random(n), np.empty(n, np.int64)
    for c, sums in enumerate(np.cumsum(world.weights, axis=1)):
        mine = taste == c
        item[mine] = _among(sums, present[mine], chance[mine])
    return user, item


def _among(sums: Floats, present: Ints, chance: Floats) -> Ints:
    """Return for each event one of the first `present` entries, with probability proportional to its weight."""
    drawn = np.searchsorted(sums, chance * sums[present - 1], side="right")
    return np.minimum(drawn, present - 1).astype(np.int64)
