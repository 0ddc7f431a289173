"""The short list gives what ranking every candidate gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnrec.evaluation.ranking import tie_order, top_items
from gnnrec.evaluation.shortlist import Everything, Shortlist, shortlist
from gnnrec.scorers.blend import Grid, Parts, combine, standardised

GRID = Grid(half_life=(10.0, 30.0))


def parts_of(users: int, items: int, seed: int, spread: float) -> Parts:
    rng = torch.Generator().manual_seed(seed)

    def drawn(rows: int) -> torch.Tensor:
        return standardised(torch.randn(rows, items, generator=rng).mul(spread).exp())

    knn = drawn(users).clamp(min=0)  # many zeros, as counts of few neighbours have
    return Parts(drawn(users), {h: drawn(1) for h in GRID.half_life}, knn, (users, items))


def copied(parts: Parts) -> Parts:
    return parts.map(torch.clone, parts.shape)


def some_seen(users: int, items: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    pairs = np.unique(rng.integers(0, users * items, users * 20))
    return pairs // items, pairs % items


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), items=st.integers(200, 600), spread=st.sampled_from([0.3, 1.0, 2.0]))
def test_every_setting_has_the_list_of_the_full_ranking(seed, items, spread):
    users, k, order = 15, 10, tie_order(seed, items)
    parts, seen = parts_of(users, items, seed, spread), some_seen(users, items, seed)
    short = shortlist(copied(parts), seen, order, depth=20)
    assert isinstance(short, Shortlist)
    for weights in GRID.settings():
        full = top_items(combine(parts, weights), k, order, seen)
        assert torch.equal(short.top(weights, k), full), weights


def test_most_users_are_settled_by_the_list_alone(monkeypatch):
    """Otherwise it would be no faster."""
    users, items, ranked = 200, 5000, []
    parts, seen = parts_of(users, items, 0, 1.0), some_seen(users, items, 0)
    inner = Everything.take
    monkeypatch.setattr(Everything, "take", lambda all_, row: ranked.append(len(row)) or inner(all_, row))
    short = shortlist(parts, seen, tie_order(0, items))
    options = [w for w in GRID.settings() if w.alpha]
    for weights in options:
        short.top(weights, 20)
    assert sum(ranked) < 0.2 * users * len(options)


@pytest.mark.parametrize("users", [0, 3])
def test_few_items_are_ranked_whole(users):
    parts, order = parts_of(users, 40, 1, 1.0), tie_order(0, 40)
    short = shortlist(copied(parts), (np.zeros(0, int), np.zeros(0, int)), order, depth=20)
    assert isinstance(short, Everything)
    for weights in GRID.settings():
        assert torch.equal(short.top(weights, 10), top_items(combine(parts, weights), 10, order))
