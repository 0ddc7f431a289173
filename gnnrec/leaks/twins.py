"""A log and its twins: the same up to a moment, and different in what a model must not know then.

Letters: n rows of the log, p planted pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gnnrec.core.errors import GnnrecError
from gnnrec.core.seeds import generator
from gnnrec.data.clean.ids import coded
from gnnrec.data.dataset import Dataset
from gnnrec.data.types import Interactions, Ints, Stream, Texts

CutLog = Callable[[Dataset], Stream]
RowMask = NDArray[np.bool_]

SLOWER = 1.5
"""Factor of the times that come behind what is released, in the log whose later events are noise."""
LEAST = 5
"""Rows that must differ for a twin to say anything."""


@dataclass(frozen=True, slots=True)
class Twins:
    """Streams of one log, alike in what is released up to increment `t`.

    Attributes:
        t: the increment after which a model is looked at.
        true: the log as it is.
        later: users, items and values of everything that is not released up to t are noise, and what comes behind t comes
            later, where the split lets it.
        held_out: those of the test slices alone are noise, of all increments; None: there are no test slices.
        planted: events of known users and items that are not released up to t are pairs that the log does not have.
        pairs: the planted pairs of increment t's test slice and of increment t + 1, by the numbers of t, [p].
        newcomers: who or what is not numbered at t has other ids, each row its own; None: nobody arrives.
        valid: known pairs of increment t's valid are others, in the numbers of t; None: it has too few.
    """

    t: int
    true: Stream
    later: Stream
    held_out: Stream | None
    planted: Stream
    pairs: Interactions
    newcomers: Stream | None
    valid: Stream | None


def twins(log: Dataset, cut: CutLog, t: int = 1) -> Twins:
    """Return a log's stream and its twins.

    Args:
        log: clean, with times or in order.
        cut: makes a stream of it.
        t: the increment after which a model is looked at; at least one must come behind it.

    Raises:
        GnnrecError: too little comes after t, or the split itself releases other events where later ones differ.
    """
    true = cut(log)
    if not 1 <= t < len(true.increments) - 1:
        raise GnnrecError(
            f"a leak check looks at increment {t} and at what comes behind it; the log has {len(true.increments) - 1}"
        )
    seen = _rows(log, true, [p for i in true.increments[: t + 1] for p in (i.observed.train, i.observed.valid)])
    if (~seen).sum() < LEAST:
        raise GnnrecError(f"a leak check needs {LEAST} events behind increment {t}, there are {(~seen).sum()}")
    now = true.increments[t].observed
    users, items = true.users[: now.num_users], true.items[: now.num_items]
    tests = _rows(log, true, [i.test for i in true.increments])
    unknown = ~np.isin(log.user, users), ~np.isin(log.item, items)
    among = ~seen & ~unknown[0] & ~unknown[1]
    if among.sum() < LEAST:
        raise GnnrecError(
            f"a leak check needs {LEAST} events of known users and items behind increment {t}: {among.sum()}"
        )
    planted, late = _planted(log, among, users, items), true.increments[t]
    soon = _rows(log, true, [late.test, late.upcoming]) & among
    pairs = Interactions.pairs(_numbers(planted.user[soon], users), _numbers(planted.item[soon], items))
    newcomers = ~seen & unknown[0], ~seen & unknown[1]
    made = Twins(
        t,
        true,
        _later(log, cut, true, t, seen),
        cut(_noise(log, tests)) if tests.sum() >= LEAST else None,
        cut(planted),
        pairs,
        cut(_renamed(log, *newcomers)) if (newcomers[0] | newcomers[1]).any() else None,
        _other_valid(log, cut, true, t),
    )
    for twin in (made.later, made.held_out, made.planted, made.newcomers):
        if twin is not None and not _alike(true, twin, t):
            raise GnnrecError(
                f"the split itself looks ahead: up to increment {t} it releases other events where later ones differ, so no "
                "model can be judged on it; cut the log by count, time or a column"
            )
    return made


def _later(log: Dataset, cut: CutLog, true: Stream, t: int, seen: RowMask) -> Stream:
    """Return the stream whose later events are noise, at later times too unless borders up to t would move by that."""
    noise = _noise(log, ~seen)
    if log.time is None:
        return cut(noise)
    last = float(
        Interactions.concat([p for i in true.increments[: t + 1] for p in (i.observed.arrived, i.test)]).time.max()
    )
    last = max(last, float(log.time[seen].max()))
    slow = np.where(log.time > last, last + SLOWER * (log.time - last), log.time)
    try:
        stream = cut(replace(noise, time=slow))
    except GnnrecError:  # so long a log may have too many increments
        return cut(noise)
    return stream if _alike(true, stream, t) else cut(noise)


def _alike(one: Stream, other: Stream, t: int) -> bool:
    """Return whether two streams release the same up to t."""
    if len(other.increments) <= t:
        return False
    both = [(a.observed, b.observed) for a, b in zip(one.increments[: t + 1], other.increments, strict=False)]
    return all(
        (a.num_users, a.num_items) == (b.num_users, b.num_items)
        and np.array_equal(a.user_key, b.user_key)
        and np.array_equal(a.item_key, b.item_key)
        and all(map(np.array_equal, (*a.train.columns, *a.valid.columns), (*b.train.columns, *b.valid.columns)))
        for a, b in both
    )


def _other_valid(log: Dataset, cut: CutLog, true: Stream, t: int) -> Stream | None:
    """Return the stream in which valid of increment t has other pairs of nodes that were known before it."""
    before, now = true.increments[t - 1].observed, true.increments[t].observed
    users, items = true.users[: before.num_users], true.items[: before.num_items]
    rows = _rows(log, true, [now.valid]) & np.isin(log.user, users) & np.isin(log.item, items)
    return cut(_planted(log, rows, users, items)) if rows.sum() >= LEAST else None


def _key(user: Texts, item: Texts, time: NDArray[np.float64]) -> list[tuple[str, str, float]]:
    return list(zip(user.tolist(), item.tolist(), time.tolist(), strict=True))


def _rows(log: Dataset, stream: Stream, parts: Sequence[Interactions]) -> RowMask:
    """Return which rows of the log lie in these parts of its stream, [n]."""
    events = Interactions.concat(parts)
    timed = log.time is not None
    time = events.time if timed else np.zeros(len(events))
    wanted = set(_key(stream.users[events.user], stream.items[events.item], time))
    clock = log.time if log.time is not None else np.zeros(len(log))
    return np.fromiter((key in wanted for key in _key(log.user, log.item, clock)), bool, len(log))


def _numbers(ids: Texts, known: Texts) -> Ints:
    place = {name: n for n, name in enumerate(known.tolist())}
    return np.array([place[name] for name in ids.tolist()], np.int64)


def _with(log: Dataset, user: Texts, item: Texts, value: NDArray[np.float64] | None = None) -> Dataset:
    """Return the log with other ids and values in its rows; what is known of the truth would be of the old ones."""
    user_ids, user_code = coded(pl.Series(user.tolist(), dtype=pl.String))
    item_ids, item_code = coded(pl.Series(item.tolist(), dtype=pl.String))
    values = log.value if value is None else value
    coded_log = replace(log, user_ids=user_ids, user_code=user_code, item_ids=item_ids, item_code=item_code)
    return replace(coded_log, value=values, oracle=None)


def some_users(log: Dataset, events: int, seed: int = 0) -> Dataset:
    """Return the rows of users drawn at random until there are about so many events; all of them where there are fewer."""
    if len(log) <= events:
        return _with(log, log.user, log.item)
    rng = generator(seed, "users of a leak check")
    order = rng.permutation(len(log.user_ids))
    count = np.cumsum(np.bincount(log.user_code, minlength=len(order))[order])
    keep = np.isin(log.user_code, order[: max(1, int(np.searchsorted(count, events)))])
    time = None if log.time is None else log.time[keep]
    extra = {name: column[keep] for name, column in log.extra.items()}
    part = replace(log, user_code=log.user_code[keep], item_code=log.item_code[keep], value=log.value[keep], time=time)
    return _with(replace(part, extra=extra), part.user, part.item)


def _noise(log: Dataset, rows: RowMask, seed: int = 0) -> Dataset:
    """Return the log with ids, known and new, and values of these rows drawn anew; times stay."""
    rng, n = generator(seed, "noise of a leak check"), int(rows.sum())
    user, item, value = log.user.copy(), log.item.copy(), log.value.copy()
    for column, known, letter in ((user, log.user_ids, "user"), (item, log.item_ids, "item")):
        drawn = rng.choice(known, n)
        fresh = rng.random(n) < 0.3
        drawn[fresh] = [f"noise-{letter}-{k}" for k in rng.integers(0, n, int(fresh.sum()))]
        column[rows] = drawn
    value[rows] = rng.permutation(log.value)[:n]
    return _with(log, user, item, value)


def _renamed(log: Dataset, users: RowMask, items: RowMask) -> Dataset:
    user, item = log.user.copy(), log.item.copy()
    user[users] = [f"newcomer-{n}" for n in np.flatnonzero(users)]
    item[items] = [f"new-item-{n}" for n in np.flatnonzero(items)]
    return _with(log, user, item)


def _planted(log: Dataset, rows: RowMask, users: Texts, items: Texts, seed: int = 0) -> Dataset:
    """Return the log with pairs of these nodes in these rows that it does not have, no pair twice while there are others."""
    both = np.isin(log.user, users) & np.isin(log.item, items)
    taken = _numbers(log.user[both], users) * len(items) + _numbers(log.item[both], items)
    free = np.setdiff1d(np.arange(len(users) * len(items)), taken)
    if not len(free):
        raise GnnrecError(
            "a leak check plants pairs that a log does not have, and every known user has every known item"
        )
    chosen = np.resize(generator(seed, "planted pairs of a leak check").permutation(free), int(rows.sum()))
    user, item = log.user.copy(), log.item.copy()
    user[rows], item[rows] = users[chosen // len(items)], items[chosen % len(items)]
    return _with(log, user, item)
