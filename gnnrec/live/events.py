"""What a live run learns: versions of a store behind the increments that the run has seen, cut into what to train on,
what to choose on, and what to judge by.

Letters: n events, u users, i items.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import polars as pl

from gnnrec.core.errors import GnnrecError
from gnnrec.data.side import vectors
from gnnrec.data.stream.splits import after_ties
from gnnrec.data.types import Floats, Interactions, Keys, Observed, Stream, Texts, owned
from gnnrec.live.numbers import Numbers


@dataclass(frozen=True, slots=True)
class Shares:
    """How the events of an update are shared out, by time: the first to train on, then valid, then judged.

    Attributes:
        valid: share that early stopping and the blend choose on.
        judged: share that nothing is chosen on, by which the gate judges.
    """

    valid: float = 0.1
    judged: float = 0.1


@dataclass(frozen=True, slots=True)
class UpdateEvents:
    """What one update takes up.

    Attributes:
        main: what the strategy sees.
        tail: the judged events, absorbed once the gate has spoken, and trained on by nobody.
        came: by version, its events for a score of what was served; numbers as in `main`.
    """

    main: Observed
    tail: Observed
    came: dict[int, Interactions]

    @property
    def judged(self) -> Interactions:
        """The events that the gate judges by."""
        return self.tail.arrived


@dataclass(frozen=True, slots=True)
class LiveEvents:
    """The ids that are numbered, and the run's held-out events, which no update has taken up yet.

    Attributes:
        users, items: numbers so far.
        left: events of the run that it has not absorbed: user, item, value, time; the first update has them.
        index: increments so far.
        side: what is known of items, where the run had features of them.
    """

    users: Numbers
    items: Numbers
    left: pl.DataFrame
    index: int
    side: pl.DataFrame | None = None

    @staticmethod
    def behind(stream: Stream, absorbed: int, side: pl.DataFrame | None = None) -> LiveEvents:
        """Return what follows the increments of a run's stream up to `absorbed`.

        Raises:
            GnnrecError: the run knew something of items that nobody has now.
        """
        if stream.features is not None and side is None:
            raise GnnrecError("the run was trained with features of items, and the store has none (data.side)")
        last = stream.increments[absorbed].observed
        return LiveEvents(
            Numbers.of(stream.users[: last.num_users].tolist()),
            Numbers.of(stream.items[: last.num_items].tolist()),
            _left(stream, absorbed),
            last.index,
            None if stream.features is None else side,
        )

    def batch(self, rows: pl.DataFrame, shares: Shares) -> tuple[UpdateEvents, LiveEvents]:
        """Return the events of some versions as one update, and what follows it.

        Args:
            rows: user, item, value, time (seconds, or null), late, version; in order of version and place.
            shares: how they are shared out.
        """
        if not rows.height:
            raise GnnrecError("an update needs events; these versions have none")
        timed = not rows["time"].null_count()
        rows = rows if timed else rows.with_columns(time=pl.lit(float(self.index + 1)))
        fresh = rows.filter(~pl.col("late"))
        fresh = fresh.sort("time", maintain_order=True) if timed else fresh
        old = pl.concat([self.left, rows.filter("late").select(self.left.columns)])
        ordered = pl.concat([old, fresh.select(self.left.columns)])
        start, end = old.height, ordered.height
        border, middle = _borders(fresh["time"].to_numpy() if timed else None, fresh.height, shares)
        users, items = self.users, self.items
        known = []
        for part in (
            ordered[: start + border],
            ordered[start + border : start + middle],
            ordered[start + middle : end],
        ):
            users, items = users.with_new(part["user"].to_list()), items.with_new(part["item"].to_list())
            known.append((len(users), len(items)))
        events = _events(ordered, users, items)
        train, valid, judged = (
            events.take(slice(a, b)).owned()
            for a, b in ((0, start + border), (start + border, start + middle), (start + middle, end))
        )
        none = Interactions.empty()
        keys = users.keys, items.keys
        main = _observed(self.index + 1, train, valid, known[1], keys)
        tail = replace(_observed(self.index + 2, none, none, known[2], keys), arrived=judged)
        if self.side is not None:
            borders = (len(self.items), known[1][1], known[2][1])
            main, tail = (
                replace(part, features=vectors(self.side, np.array(items.between(a, b), object)))
                for part, (a, b) in zip((main, tail), pairwise(borders), strict=True)
            )
        at = _events(rows, users, items)
        came = {int(v): at.take((rows["version"] == v).to_numpy()) for v in rows["version"].unique().sort()}
        return UpdateEvents(main, tail, came), replace(
            self, users=users, items=items, left=self.left.clear(), index=self.index + 2
        )


def _observed(
    index: int, train: Interactions, valid: Interactions, known: tuple[int, int], keys: tuple[Keys, Keys]
) -> Observed:
    users, items = (owned(key[:n]) for key, n in zip(keys, known, strict=True))
    return Observed(index, train, valid, train, valid, *known, users, items)


def _borders(time: Floats | None, n: int, shares: Shares) -> tuple[int, int]:
    """Return where valid and judged begin among n events in order of time; ties go to the earlier part."""
    valid, judged = round(n * shares.valid), round(n * shares.judged)
    border = after_ties(time, n - valid - judged, n) if n > valid + judged else 0
    middle = after_ties(time, n - judged, n) if judged else n
    return border, max(middle, border)


def _events(rows: pl.DataFrame, users: Numbers, items: Numbers) -> Interactions:
    return Interactions(
        users.numbers(rows["user"].to_list()),
        items.numbers(rows["item"].to_list()),
        rows["value"].to_numpy().astype(np.float64),
        rows["time"].to_numpy().astype(np.float64),
    )


def _left(stream: Stream, absorbed: int) -> pl.DataFrame:
    """Return the events of a stream that a run has not absorbed, oldest first: held out, or come since its last update."""
    last = stream.increments[-1]
    kept = last.observed.valid if not len(last.observed.folded) else Interactions.empty()
    late = [x for i in stream.increments[absorbed + 1 :] for x in (i.observed.arrived, i.observed.folded)]
    events = Interactions.concat([*(i.test for i in stream.increments), *late, kept, last.upcoming])
    columns: dict[str, Texts | Floats] = {
        "user": stream.users[events.user],
        "item": stream.items[events.item],
        "value": events.value,
        "time": events.time,
    }
    schema = {"user": pl.String(), "item": pl.String(), "value": pl.Float64(), "time": pl.Float64()}
    return pl.DataFrame(columns, schema=schema).sort("time", maintain_order=True)
