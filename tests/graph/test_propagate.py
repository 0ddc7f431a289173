"""Products of some rows, of a subgraph and over several segments, against the whole and the dense formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse

from gnnrec.graph import bipartite
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.graph.csr import product, to_torch
from gnnrec.graph.normalised import Operator
from gnnrec.testing.worlds import random_events

USERS, ITEMS = 40, 30
WEIGHTS = torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64)
POLYNOMIALS = ([0.4, 0.3], [0.4, 0.3, 0.2], [0.4, 0.3, 0.2, 0.1], [0, 0, 1], [0.5, 0, 0.2, 0, 0, 0.3], [1, 0.5, 1e-40])


@pytest.fixture
def graph(monkeypatch):
    """Return a graph of three segments: dense rows, sparse rows, and late nodes with a gap before them."""
    monkeypatch.setattr(bipartite, "MERGE_RATIO", 0)
    grown = BipartiteGraph.empty()
    for n, seed, users, items in ((300, 0, 30, 20), (12, 1, 34, 25), (25, 2, USERS, ITEMS)):
        grown = grown.extend(random_events(n, users, items, seed), users, items)
    assert len(grown.segments) == 3
    return grown


def tables(width=5, seed=0):
    chance = torch.Generator().manual_seed(seed)
    return [torch.randn(n, width, generator=chance, dtype=torch.float64).requires_grad_() for n in (USERS, ITEMS)]


def dense(graph):
    a = torch.zeros(USERS, ITEMS, dtype=torch.float64)
    a[graph.edges()] = 1
    root = lambda d: torch.where(d > 0, d.clamp(min=1) ** -0.5, 0)  # noqa: E731
    return root(a.sum(1))[:, None] * a * root(a.sum(0))[None]


def test_segments_add_up_to_the_dense_product(graph):
    user, item = tables()
    a = dense(graph)
    found = graph.propagate(user, item)
    assert torch.allclose(found[0], a @ item, atol=1e-12)
    assert torch.allclose(found[1], a.T @ user, atol=1e-12)


@pytest.mark.parametrize("weights", POLYNOMIALS, ids=str)
@pytest.mark.parametrize("rows", [([3], [0]), ([0, 7, 35, 39], [2, 28, 29]), ([], [4]), ([5], [])])
@pytest.mark.parametrize("share", [1.0, 0.0], ids=["by their edges", "by whole products"])
def test_some_rows_equal_the_whole_forwards_and_backwards(graph, weights, rows, share, monkeypatch):
    monkeypatch.setattr(bipartite, "WORTHWHILE", share)
    users, items = (torch.tensor(r, dtype=torch.int64) for r in rows)
    weights, chance = torch.tensor(weights, dtype=torch.float64), torch.Generator().manual_seed(1)
    user, item = tables()
    found = graph.polynomial_rows(user, item, weights, users, items)
    whole = graph.polynomial(user, item, weights)
    expected = (whole[0][users], whole[1][items], user[users], item[items])
    assert all(torch.allclose(a, b, atol=1e-12) for a, b in zip(found, expected, strict=True))
    draw = [torch.randn(x.shape, generator=chance, dtype=torch.float64) for x in found]
    one, other = (
        torch.autograd.grad(sum((x * d).sum() for x, d in zip(out, draw, strict=True)), (user, item))
        for out in (found, expected)
    )
    assert all(torch.allclose(a, b, atol=1e-12) for a, b in zip(one, other, strict=True))


def test_second_derivatives_are_the_numerical_ones(graph):
    weights = torch.tensor([0.5, 0.2, 0.3], dtype=torch.float64)
    users, items = torch.tensor([0, 7, 39]), torch.tensor([2, 28])
    pair = tables(width=1)
    assert torch.autograd.gradgradcheck(lambda u, i: graph.polynomial(u, i, weights), pair)
    assert torch.autograd.gradgradcheck(lambda u, i: graph.polynomial_rows(u, i, weights, users, items), pair)


@pytest.mark.parametrize(("rows", "way"), [(([39], [29]), "rows"), ((range(USERS), range(ITEMS)), "picked")])
def test_few_edges_are_passed_over_by_themselves(graph, rows, way, monkeypatch):
    ways = []
    for name in ("rows", "picked"):
        made = getattr(Operator, name)
        monkeypatch.setattr(Operator, name, lambda *at, n=name, m=made: ways.append(n) or m(*at))
    graph.polynomial_rows(*tables(), WEIGHTS, *(torch.tensor(list(r)) for r in rows))
    assert ways == [way]


def test_without_a_pass_no_rows_are_picked(graph):
    user, item = tables()
    assert graph.polynomial_rows(user, item, WEIGHTS[:1], torch.tensor([39]), torch.tensor([29])) is None


def test_subgraph_keeps_the_degrees_of_the_whole(graph):
    users, items = torch.tensor([0, 4, 8, 33, 39]), torch.tensor([1, 2, 3, 22, 29])
    user, item = (t.detach().float() for t in tables())
    a = dense(graph)[users][:, items].float()
    found = graph.within(users, items).polynomial(user[users], item[items], torch.tensor([0.0, 1.0]))
    assert torch.allclose(found[0], a @ item[items], atol=1e-6)
    assert torch.allclose(found[1], a.T @ user[users], atol=1e-6)
    assert graph.within(users, items).num_edges == int((a > 0).sum())


def test_subgraph_of_every_node_is_the_graph(graph):
    user, item = (t.detach().float() for t in tables())
    whole = graph.polynomial(user, item, WEIGHTS)
    within = graph.within(torch.arange(USERS), torch.arange(ITEMS)).polynomial(user, item, WEIGHTS)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(whole, within, strict=True))


def test_half_precision_tables_are_taken_as_single(graph):
    user, item = (t.detach().bfloat16() for t in tables())
    assert graph.propagate(user, item)[0].dtype == torch.float32


@pytest.mark.parametrize("width", [30, 30_000])
def test_transposed_index_by_counting_and_by_sorting(width):
    events = random_events(50, 20, width, seed=3)
    graph = BipartiteGraph.empty().extend(events, 20, width)
    (segment,) = graph.segments
    pairs = {(int(u), int(i)) for u, i in zip(events.user, events.item, strict=True)}
    position, neighbour = segment.by_item.neighbours(np.arange(width))
    assert {(int(u), int(i)) for i, u in zip(position, neighbour, strict=True)} == pairs
    assert np.array_equal(np.sort(events.item), np.repeat(segment.by_item.node, segment.by_item.degree))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("width", [1, 7, 64])
def test_a_product_is_the_dense_one(dtype, width):
    kept = np.where(np.isin(np.arange(40), (3, 39)), 0.0, 1.0)  # two rows without an entry
    matrix = sparse.csr_matrix(kept[:, None] * sparse.random(40, 30, density=0.1, random_state=0).toarray())
    x = torch.randn(30, width, generator=torch.Generator().manual_seed(0), dtype=dtype)
    found = product(to_torch(matrix.astype(str(dtype).removeprefix("torch."))), x)
    assert found.dtype == dtype
    assert np.allclose(found.numpy(), matrix.toarray() @ x.numpy(), atol=1e-5 if dtype == torch.float32 else 1e-14)


@pytest.mark.parametrize("layout", ["transposed", "expanded", "every second row"])
def test_a_product_takes_tables_that_lie_otherwise(layout):
    matrix = sparse.random(40, 30, density=0.1, format="csr", random_state=0, dtype=np.float32)
    x = {
        "transposed": torch.arange(60, dtype=torch.float32).view(2, 30).T,
        "expanded": torch.ones(1, 1).expand(30, 2),
        "every second row": torch.arange(120, dtype=torch.float32).view(60, 2)[::2],
    }[layout]
    assert np.allclose(product(to_torch(matrix), x).numpy(), matrix.toarray() @ x.numpy(), atol=1e-4)


def test_a_product_with_a_matrix_of_no_entry_is_zero():
    nothing = to_torch(sparse.csr_matrix((4, 3), dtype=np.float32))
    assert torch.equal(product(nothing, torch.ones(3, 2)), torch.zeros(4, 2))
    graph = BipartiteGraph.empty().extend(random_events(0, 4, 3, 0), 4, 3)
    assert torch.equal(graph.propagate(torch.ones(4, 2), torch.ones(3, 2))[0], torch.zeros(4, 2))
