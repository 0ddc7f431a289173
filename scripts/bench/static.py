"""Static splits as streams of one increment: train, valid held out of it, test."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bench import worlds
from gnnrec.config.compose import compose
from gnnrec.core.errors import GnnrecError
from gnnrec.core.seeds import generator
from gnnrec.data.dataset import Counts, Dataset
from gnnrec.data.types import Increment, Interactions, Ints, Observed, Stream
from gnnrec.runs import build

Bools = NDArray[np.bool_]

VALID, TEST = 0.05, 0.2
FILE = "gowalla-static/gowalla-static.parquet"
_NOTHING = np.zeros(0, np.int64)
NO_LOG = Dataset("static", *[_NOTHING] * 2, *[np.zeros(0, object)] * 2, np.zeros(0), None, Counts(0, 0), "implicit")
"""The log that a split by itself was not cut from."""


def gowalla(quick: bool) -> Stream | None:
    """Gowalla on the split of He et al. 2020: recall@20 and ndcg@20."""
    path = Path(os.environ.get("GNNREC_DATA", "/nonexistent"), FILE)
    if not path.exists():
        return None
    rows = pl.read_parquet(path)
    if quick:
        rows = rows.filter(pl.col("user").hash(0) % 40 == 0)
    test: Bools = (rows["split"] == "test").to_numpy()
    user, item = (np.unique(rows[c].to_numpy(), return_inverse=True)[1] for c in ("user", "item"))
    return _stream(worlds.events(user, item), test, "implicit")


def movielens(quick: bool) -> Stream | None:
    """MovieLens 100K, a random 80/20 split: rmse."""
    try:
        log, _ = build.load(compose(["data=ml-100k"]))
    except GnnrecError:
        return None
    events = Interactions(log.user_code.astype(np.int64), log.item_code.astype(np.int64), log.value, log.time)
    return _stream(events, generator(0, "split").random(len(events)) < TEST, "explicit")


def whole(base: Observed) -> Observed:
    """Return the base with its valid rows among those to fit on."""
    train, nothing = Interactions.concat([base.train, base.valid]), Interactions.empty()
    return replace(base, train=train, arrived=train, valid=nothing, folded=nothing)


def _stream(events: Interactions, test: Bools, feedback: str) -> Stream:
    """Return the stream of one increment; nodes are numbered by their first train row that is not held back."""
    rng = generator(0, "valid")
    train = np.flatnonzero(~test)
    held = train[rng.random(len(train)) < VALID]
    # A node whose only train rows were held back would be unknown to the fit, which the published models' never are.
    rest = np.setdiff1d(train, held)
    known = np.isin(events.user[held], events.user[rest]) & np.isin(events.item[held], events.item[rest])
    held = held[known]
    rest = np.setdiff1d(train, held)
    user, item = (_numbers(c, rest) for c in (events.user, events.item))
    numbered = Interactions(user, item, events.value, events.time)
    parts = [numbered.take(at) for at in (rest, held, np.flatnonzero(test))]
    sizes = [int(parts[0].user.max()) + 1, int(parts[0].item.max()) + 1]
    keys = [np.arange(n, dtype=np.uint64) for n in sizes]
    base = Observed(0, parts[0], parts[1], parts[0], parts[1], *sizes, *keys)
    hashed = hashlib.blake2b(b"".join(c.tobytes() for p in parts for c in (p.user, p.item, p.value)), digest_size=8)
    ids = [np.arange(int(c.max()) + 1).astype(str).astype(object) for c in (user, item)]
    increment = Increment(base, parts[2], Interactions.empty())
    return Stream((increment,), *ids, feedback, None, True, {}, hashed.hexdigest())


def _numbers(column: Ints, first: Ints) -> Ints:
    """Return the numbers of a column's nodes, those that appear among the rows `first` before the others."""
    order = np.concatenate([column[first], column])
    node, at = np.unique(order, return_index=True)
    number = np.empty(int(column.max()) + 1, np.int64)
    number[node[np.argsort(at)]] = np.arange(len(node))
    return number[column]
