"""What leaves gnnrec: events under external ids, by part, and what is known of users and items beside them. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from gnnrec.core.errors import GnnrecError, nearest
from gnnrec.data.dataset import Dataset
from gnnrec.data.side import HASHED
from gnnrec.data.types import Floats, Interactions, Stream

PARTS = ("train", "valid", "test")
MASKS = ("absorbed", "none")
TIME = pl.Datetime("us", "UTC")
_PAIR = ["user", "item"]


@dataclass(frozen=True, slots=True)
class Extract:
    """Events of a log, in order of time within each part.

    Attributes:
        parts: columns user, item (texts), value, and time where the log has times; the one part "", or train, valid and test.
        items, users: side information, a row per item or user that occurs, and knows one (columns item, user, then others).
        explicit: whether values are ratings.
        repeatable: whether what a user has had already may be recommended and counts (`evaluation.mask=none`).
        notes: what is worth knowing before numbers are compared.
    """

    parts: Mapping[str, pl.DataFrame]
    items: pl.DataFrame | None = None
    users: pl.DataFrame | None = None
    explicit: bool = False
    repeatable: bool = False
    notes: tuple[str, ...] = ()

    @property
    def whole(self) -> pl.DataFrame:
        """The events, where they are one part."""
        return self.parts[""]


def whole(log: Dataset) -> Extract:
    """Return all events of a log."""
    events = {"user": log.user_code, "item": log.item_code}
    ids = {"user": log.user_ids, "item": log.item_ids}
    columns = {n: pl.Series(n, ids[n], dtype=pl.String).gather(code) for n, code in events.items()}
    return _extract(log, {"": _frame(columns["user"], columns["item"], log.value, log.time)})


def upto(log: Dataset, stream: Stream, t: int) -> Extract:
    """Return what is absorbed once increment `t` has been taken up; nothing later, no test slice, nothing taken back.

    Args:
        log: the data set.
        stream: cut from it.
        t: number of the increment, 0 for the base.

    Raises:
        GnnrecError: there is no such increment.
    """
    check_increment(stream, t)
    return _extract(log, {"": _named(log, stream, absorbed(stream, t))})


def split(log: Dataset, stream: Stream, t: int, mask: str = "absorbed") -> Extract:
    """Return what the model of increment `t` is fitted on, selected on and scored on (`next`), as one static split.

    train: everything absorbed by then but valid; valid and test: the relevant pairs alone, those of the increment's valid
    events and of increment t + 1, each by its first event, without pairs that are masked because the user has them already.

    Args:
        log: the data set.
        stream: cut from it.
        t: number of the increment, 0 for the base.
        mask: as `evaluation.mask`: "absorbed", or "none", which leaves pairs that the user has already in.

    Raises:
        GnnrecError: there is no such increment, or nothing behind it to score on.
    """
    if mask not in MASKS:
        raise GnnrecError(f"evaluation.mask={mask} is not known{nearest(mask, MASKS)}")
    check_increment(stream, t)
    increment = stream.increments[t]
    if not len(increment.upcoming):
        last = max((i.observed.index for i in stream.increments if len(i.upcoming)), default=None)
        allowed = "none has" if last is None else f"0 to {last} have"
        raise GnnrecError(f"increment {t} has nothing behind it to be scored on; {allowed}")
    train, taken = absorbed(stream, t, folded=False), absorbed(stream, t)
    parts = {"train": train, "valid": increment.observed.valid, "test": increment.upcoming}
    frames = {name: _named(log, stream, events) for name, events in parts.items()}
    masked = {"valid": frames["train"], "test": _named(log, stream, taken)}
    for name, seen in masked.items():
        frames[name] = _relevant(frames[name], stream.positive_from, seen if mask == "absorbed" else None)
    if not frames["test"].height:
        raise GnnrecError(f"no event behind increment {t} is relevant and new to its user; there is nothing to score")
    notes = (*_repeats(frames["train"]), *_strict(increment.observed.valid, increment.observed.folded))
    return _extract(log, frames, mask == "none", notes)


def check_increment(stream: Stream, t: int) -> None:
    """Refuse a number that is no increment's."""
    if not 0 <= t < len(stream.increments):
        raise GnnrecError(f"there is no increment {t}; the stream has 0 to {len(stream.increments) - 1}")


def absorbed(stream: Stream, t: int, folded: bool = True) -> Interactions:
    """Return all events absorbed up to increment `t`, oldest increment first, without those that were taken back.

    Args:
        stream: of increments.
        t: the last one.
        folded: whether its events that are absorbed after selection (valid) are among them; those of earlier ones are.
    """
    parts: list[Interactions] = []
    for new in (i.observed for i in stream.increments[: t + 1]):
        if len(new.removed):
            parts = [Interactions.concat(parts).without(new.removed)]
        parts += [new.arrived, *([new.folded] if folded or new.index < t else [])]
    return Interactions.concat(parts)


def _named(log: Dataset, stream: Stream, events: Interactions) -> pl.DataFrame:
    user, item = (pl.Series(ids, dtype=pl.String) for ids in (stream.users, stream.items))
    time = None if log.time is None else events.time
    return _frame(user.gather(events.user), item.gather(events.item), events.value, time)


def _frame(user: pl.Series, item: pl.Series, value: Floats, time: Floats | None) -> pl.DataFrame:
    columns = {"user": user, "item": item, "value": pl.Series(value, dtype=pl.Float64)}
    if time is None:
        return pl.DataFrame(columns)
    clock = pl.Series(np.round(time * 1e6).astype(np.int64)).cast(TIME)
    return pl.DataFrame(columns | {"time": clock}).sort("time", maintain_order=True)


def _relevant(events: pl.DataFrame, positive_from: float | None, seen: pl.DataFrame | None) -> pl.DataFrame:
    if positive_from is not None:
        events = events.filter(pl.col("value") >= positive_from)
    if seen is not None:
        events = events.join(seen, on=_PAIR, how="anti", maintain_order="left")
    return events.unique(_PAIR, keep="first", maintain_order=True)


def _extract(
    log: Dataset, parts: Mapping[str, pl.DataFrame], repeatable: bool = False, notes: tuple[str, ...] = ()
) -> Extract:
    ids = {name: pl.concat([p.select(name) for p in parts.values()]).unique() for name in _PAIR}
    items = (
        None if (side := _titled(log)) is None else side.join(ids["item"], on="item", how="semi", maintain_order="left")
    )
    users = (
        None if log.user_side is None else log.user_side.join(ids["user"], on="user", how="semi", maintain_order="left")
    )
    return Extract(parts, items, users, log.feedback == "explicit", repeatable, notes)


def _titled(log: Dataset) -> pl.DataFrame | None:
    """Return the side information of items with their titles; numbers that words were hashed to are gnnrec's own."""
    side = None if log.side is None else log.side.drop(HASHED, strict=False)
    if not log.titles or (side is not None and any("title" in name for name in side.columns)):
        return side if side is not None and side.width > 1 else None
    titles = pl.DataFrame({"item": list(log.titles), "title": list(log.titles.values())})
    return titles if side is None else side.join(titles, on="item", how="full", coalesce=True)


def _repeats(train: pl.DataFrame) -> tuple[str, ...]:
    twice = train.height - train.select(_PAIR).n_unique()
    return (
        (
            f"train has {twice:,} events of a pair that is in it already; what counts pairs and what counts events differ",
        )
        if twice
        else ()
    )


def _strict(valid: Interactions, folded: Interactions) -> tuple[str, ...]:
    if len(folded) or not len(valid):
        return ()
    return ("gnnrec does not mask valid's pairs here (evaluation.graph=strict); RecBole does when it scores test",)
