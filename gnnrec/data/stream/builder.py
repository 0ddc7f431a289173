"""From cuts to a `Stream`: who is absorbed when, who gets which number, what is scored."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gnnrec.core.errors import GnnrecError
from gnnrec.core.seeds import node_key
from gnnrec.data.dataset import Dataset
from gnnrec.data.side import vectors
from gnnrec.data.stream.numbering import Numbering, number
from gnnrec.data.stream.splits import Cut
from gnnrec.data.types import Features, Floats, Increment, Interactions, Ints, Keys, Observed, Stream, Texts, owned


@dataclass(frozen=True, slots=True)
class Roles:
    """What each row of one increment is for."""

    train: slice
    valid: slice
    arrived: slice
    folded: slice
    test: slice
    upcoming: slice


@dataclass(frozen=True, slots=True)
class OrderedLog:
    """Rows in stream order; `order` says which row of the data set each one is (None: the same)."""

    dataset: Dataset
    time: Floats
    order: Ints | None = None

    def column(self, values: Ints | Floats) -> Ints | Floats:
        """Return a data set column in stream order."""
        return values if self.order is None else values[self.order]


def roles_within(cuts: Sequence[Cut]) -> list[Roles]:
    """Train arrives, valid is folded in after selection, test never is; the next increment is scored, its late rows apart."""
    nothing = slice(0, 0)
    follow = [slice(c.fresh, c.end) for c in cuts[1:]] + [nothing]
    return [
        Roles(train, valid, train, valid, slice(c.test, c.end), upcoming)
        for c, upcoming in zip(cuts, follow, strict=True)
        for train, valid in [(slice(c.start, c.valid), slice(c.valid, c.test))]
    ]


def roles_next_half(edges: Sequence[int], middles: Sequence[int], fold_in: bool) -> list[Roles]:
    """Train on t, select on the first half of t+1, score its second half (the protocol of PISA).

    With `fold_in` the first half of t+1 is absorbed before scoring, hence only the second half arrives with t+1.
    """
    nothing, roles = slice(0, 0), []
    for t in range(len(edges) - 2):
        train = slice(edges[t], edges[t + 1])
        valid, upcoming = slice(edges[t + 1], middles[t + 1]), slice(middles[t + 1], edges[t + 2])
        arrived = slice(middles[t], edges[t + 1]) if fold_in and t else train
        roles.append(Roles(train, valid, arrived, valid if fold_in else nothing, nothing, upcoming))
    return roles


def assemble(log: OrderedLog, roles: Sequence[Roles], notes: Sequence[str], has_test: bool) -> Stream:
    """Number the nodes and cut the log by `roles`."""
    data = log.dataset
    _check_relevant(data)
    absorbed = [part for r in roles for part in (r.arrived, r.folded)]
    ends = [2 * (t + 1) for t in range(len(roles))]
    users = number(log.column(data.user_code).astype(np.int64), len(data.user_ids), absorbed, ends)
    items = number(log.column(data.item_code).astype(np.int64), len(data.item_ids), absorbed, ends)
    events = Interactions(
        users.number[log.column(data.user_code).astype(np.int64)],
        items.number[log.column(data.item_code).astype(np.int64)],
        log.column(data.value).astype(np.float64),
        log.time.astype(np.float64),  # a copy: columns that come from a file are read-only, which torch warns about
    )
    user_ids, item_ids = data.user_ids[users.code], data.item_ids[items.code]
    features = None if data.side is None else vectors(data.side, item_ids)
    return Stream(
        _increments(events, roles, (users, items), (_keys(user_ids), _keys(item_ids)), features),
        user_ids,
        item_ids,
        data.feedback,
        data.positive_from,
        has_test,
        data.titles,
        _fingerprint(user_ids, item_ids, events, roles),
        (*data.notes, *notes),
        data.oracle,
        data.versions,
        features=features,
    )


def _check_relevant(data: Dataset) -> None:
    """Refuse a threshold above every value: nothing would be trained on and every metric would be n/a."""
    if data.positive_from is not None and len(data.value) and data.value.max() < data.positive_from:
        raise GnnrecError(
            f"data.positive_from={data.positive_from:g} is above every value (largest: {data.value.max():g}), so that no "
            "event would be relevant; lower it, or leave it null"
        )


def _increments(
    events: Interactions,
    roles: Sequence[Roles],
    numbered: tuple[Numbering, Numbering],
    keys: tuple[Keys, Keys],
    features: Features | None,
) -> tuple[Increment, ...]:
    increments, known = [], (0, 0)
    for t, role in enumerate(roles):
        now = int(numbered[0].known[t]), int(numbered[1].known[t])
        # A slice of the log would lead to the whole log, test and future with it: a strategy gets arrays of its own.
        train, valid = events.take(role.train).owned(), events.take(role.valid).owned()
        arrived = train if role.arrived == role.train else events.take(role.arrived).owned()
        folded = valid if role.folded == role.valid else events.take(role.folded).owned()
        users, items = (owned(key[:n]) for key, n in zip(keys, now, strict=True))
        mine = _of_new(features, known, now)
        observed = Observed(t, train, valid, arrived, folded, *now, users, items, features=mine)
        increments.append(Increment(observed, events.take(role.test), events.take(role.upcoming)))
        known = now
    return tuple(increments)


def _of_new(features: Features | None, known: tuple[int, int], now: tuple[int, int]) -> Features | None:
    """Return the rows of the nodes that an increment numbers."""
    if features is None:
        return None
    tables = zip((features.user, features.item), known, now, strict=True)
    return Features(*(None if table is None else owned(table[a:b]) for table, a, b in tables))


def _keys(ids: Texts) -> Keys:
    return np.fromiter((node_key(i) for i in ids), np.uint64, len(ids))


def _fingerprint(users: Texts, items: Texts, events: Interactions, roles: Sequence[Roles]) -> str:
    """Hash ids, rows and borders; little-endian whatever the machine."""
    digest = hashlib.sha256()
    for ids in (users, items):
        digest.update(struct.pack("<q", len(ids)))
        for identifier in ids:
            text = identifier.encode()
            digest.update(struct.pack("<q", len(text)) + text)
    for column, kind in ((events.user, "<i8"), (events.item, "<i8"), (events.value, "<f8"), (events.time, "<f8")):
        digest.update(np.ascontiguousarray(column, dtype=kind).tobytes())
    for role in roles:
        for part in (role.train, role.valid, role.arrived, role.folded, role.test, role.upcoming):
            digest.update(struct.pack("<qq", part.start, part.stop))
    return digest.hexdigest()
