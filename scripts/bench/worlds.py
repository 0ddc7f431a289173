"""Graphs to measure on: Gowalla's training rows where the data is at hand, and power laws of any size."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from gnnrec.config.compose import compose
from gnnrec.data.types import Interactions, Stream
from gnnrec.runs import build

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Log:
    """Distinct training pairs with test pairs beside them.

    Attributes:
        name: for the note.
        train, test: events.
        num_users, num_items: nodes.
    """

    name: str
    train: Interactions
    test: Interactions
    num_users: int
    num_items: int


def stream_of(experiment: str, overrides: tuple[str, ...] = ()) -> Stream:
    """Return the stream of a shipped experiment."""
    return build.load(compose([f"experiment={experiment}", *overrides]))[1]


def has_data() -> bool:
    """Return whether real data lies where `$GNNREC_DATA` says."""
    return Path(os.environ.get("GNNREC_DATA", "/nonexistent"), "gowalla-ccd").exists()


def gowalla() -> Log:
    """Return gowalla-ccd, all increments together; a power law of its size where the data is absent."""
    if not has_data():
        return drawn(29_858, 40_981, 776_799, seed=0)
    stream = stream_of("gowalla_ccd")
    train = Interactions.concat([i.observed.train for i in stream.increments])
    valid = Interactions.concat([i.observed.valid for i in stream.increments])
    test = Interactions.concat([i.test for i in stream.increments])
    users = int(max(train.user.max(), valid.user.max())) + 1
    items = int(max(train.item.max(), valid.item.max())) + 1
    known = (test.user < users) & (test.item < items)
    return Log("gowalla-ccd, all train rows", train, test.take(known), users, items)


def tables(users: int, items: int, width: int, scale: float = 0.1) -> tuple[torch.Tensor, torch.Tensor]:
    """Return normal tables `[u, d]` and `[i, d]` with this deviation, the same at each call."""
    own = torch.Generator().manual_seed(0)
    user, item = (scale * torch.randn(n, width, generator=own) for n in (users, items))
    return user, item


def drawn(users: int, items: int, edges: int, seed: int) -> Log:
    """Return distinct pairs whose users and items follow power laws."""
    rng = np.random.default_rng(seed)
    keys = np.empty(0, np.int64)
    while len(keys) < edges:
        more = int(1.2 * (edges - len(keys))) + 1000
        key = power(rng, users, more) * items + power(rng, items, more)
        keys = np.unique(np.concatenate([keys, key]))
    keys = rng.permutation(keys)[:edges]
    return Log(
        f"power law, {edges:,} edges", events(keys // items, keys % items), events(keys[:0], keys[:0]), users, items
    )


def power(rng: np.random.Generator, nodes: int, size: int, exponent: float = 0.6) -> Ints:
    """Return node numbers whose frequency falls as rank^-exponent, ranks shuffled over numbers; O(size)."""
    rank = (nodes * rng.random(size) ** (1 / (1 - exponent))).astype(np.int64)
    return (rank * _stride(nodes)) % nodes


def _stride(nodes: int) -> int:
    """Return a number coprime to `nodes`, so that multiplying by it permutes them."""
    stride = int(nodes * 0.618) | 1
    while np.gcd(stride, nodes) != 1:
        stride += 2
    return stride


def events(user: Ints, item: Ints) -> Interactions:
    """Return events of these pairs, a second apart, all of value 1."""
    n = len(user)
    return Interactions(user.astype(np.int64), item.astype(np.int64), np.ones(n), np.arange(n, dtype=float))
