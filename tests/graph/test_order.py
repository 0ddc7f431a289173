"""Nodes numbered afresh so that neighbours are near each other: the same numbers to the last bit, and only where it pays."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse

from gnnrec.graph import bipartite, normalised, order
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.testing.worlds import random_events

TOWNS, EACH, ITEMS, BOUGHT = 12, 10, 15, 14
WEIGHTS = torch.tensor([0.4, 0.3, 0.2, 0.1])


def towns(seed=0):
    """Return who bought what: people of a town buy there, but for one thing; numbers say nothing of towns."""
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(TOWNS * EACH), BOUGHT)
    item = user // EACH * ITEMS + np.concatenate([rng.permutation(ITEMS)[:BOUGHT] for _ in range(TOWNS * EACH)])
    item[::BOUGHT] = rng.integers(TOWNS * ITEMS, size=TOWNS * EACH)
    return rng.permutation(TOWNS * EACH)[user], rng.permutation(TOWNS * ITEMS)[item]


def graph_of(user, item):
    events = random_events(len(user), 1, 1, 0)
    events = type(events)(user.astype(np.int64), item.astype(np.int64), events.value, events.time)
    return BipartiteGraph.empty().extend(events, TOWNS * EACH, TOWNS * ITEMS)


def tables(width=4):
    chance = torch.Generator().manual_seed(0)
    return [torch.randn(n, width, generator=chance).requires_grad_() for n in (TOWNS * EACH, TOWNS * ITEMS)]


def found(graph, share, monkeypatch):
    """Return all that is asked of a graph: whole passes, rows and a part, and their gradients."""
    monkeypatch.setattr(bipartite, "WORTHWHILE", share)
    user, item = tables()
    users, items = torch.tensor([3, 0, 77]), torch.tensor([8, 100, 2, 50])
    out = [*graph.polynomial(user, item, WEIGHTS), *graph.polynomial_rows(user, item, WEIGHTS, users, items)]
    out += graph.within(users, items).polynomial(user[users], item[items], WEIGHTS)
    return [x.detach() for x in out], torch.autograd.grad(sum((x**2).sum() for x in out), (user, item))


@pytest.mark.parametrize("share", [1.0, 0.0], ids=["by their edges", "by whole products"])
def test_order_changes_no_bit(share, monkeypatch):
    monkeypatch.setattr(order, "EDGES", 1)
    graph = graph_of(*towns())
    before = found(graph, share, monkeypatch)
    assert graph._operator(torch.float32)._order is None
    monkeypatch.setattr(normalised, "WORTH", 1)
    after = found(graph, share, monkeypatch)
    assert graph._operator(torch.float32)._order is not None
    for one, other in zip(before, after, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_what_began_before_the_order_ends_as_it_began(monkeypatch):
    monkeypatch.setattr(order, "EDGES", 1)
    graph, (user, item) = graph_of(*towns()), tables()
    expected = torch.autograd.grad(graph.polynomial(user, item, WEIGHTS)[0].square().sum(), (user, item))
    begun = graph.polynomial(user, item, WEIGHTS)[0].square().sum()
    monkeypatch.setattr(normalised, "WORTH", 1)
    graph.polynomial(user, item, WEIGHTS)
    assert graph._operator(torch.float32)._order is not None
    assert all(torch.equal(a, b) for a, b in zip(torch.autograd.grad(begun, (user, item)), expected, strict=True))


def test_people_of_a_town_are_put_together(monkeypatch):
    monkeypatch.setattr(order, "EDGES", 1)
    user, item = towns()
    matrix = sparse.csr_matrix((np.ones(len(user), np.float32), (user, item)), (TOWNS * EACH, TOWNS * ITEMS))
    made = order.order_of(matrix, matrix.T.tocsr())
    apart = np.abs(
        made.user_place.numpy()[user] / made.user.numel() - made.item_place.numpy()[item] / made.item.numel()
    )
    assert apart.mean() < 0.1
    assert torch.equal(made.user[made.user_place], torch.arange(TOWNS * EACH))
    assert torch.equal(made.item[made.item_place], torch.arange(TOWNS * ITEMS))


@pytest.mark.parametrize("edges", [1, 50], ids=["taste without towns", "too few edges"])
def test_no_order_where_it_gains_nothing_and_it_is_sought_once(edges, monkeypatch):
    monkeypatch.setattr(order, "EDGES", edges)
    monkeypatch.setattr(normalised, "WORTH", 1)
    rng, asked = np.random.default_rng(0), []
    user, item = towns() if edges > 1 else (rng.integers(120, size=2000), rng.integers(180, size=2000))
    sought = order.order_of
    monkeypatch.setattr(normalised, "order_of", lambda *m: asked.append(sought(*m)) or asked[-1])
    graph = graph_of(user, item)
    for _ in range(5):
        graph.polynomial(*tables(), WEIGHTS)
    assert asked == [None]
