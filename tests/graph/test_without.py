"""Graphs that grow and lose edges against a dense matrix to which the same is done."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnrec.core.errors import GnnrecError
from gnnrec.data.types import Interactions
from gnnrec.graph import adjacency, bipartite, thinned
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.graph.convert import to_edge_index, to_hetero
from gnnrec.graph.sample import some_neighbours
from gnnrec.testing.worlds import interactions

USERS, ITEMS = 9, 7
PAIR = st.tuples(st.integers(0, USERS - 1), st.integers(0, ITEMS - 1))
STEP = st.tuples(st.sampled_from(["extend", "extend", "without"]), st.lists(PAIR, max_size=14))
WEIGHTS = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)


class Dense:
    """Each pair's newest value and time, NaN where it is no edge."""

    def __init__(self):
        self.value, self.time = np.full((USERS, ITEMS), np.nan), np.full((USERS, ITEMS), np.nan)

    def extend(self, events, keeps_newest):
        for u, i, v, t in zip(events.user, events.item, events.value, events.time, strict=True):
            if keeps_newest or np.isnan(self.time[u, i]):
                self.value[u, i], self.time[u, i] = v, t

    def without(self, events):
        self.value[events.user, events.item] = self.time[events.user, events.item] = np.nan

    def copy(self):
        twin = Dense()
        twin.value, twin.time = self.value.copy(), self.time.copy()
        return twin


def check(graph, dense):
    """Compare everything that can be asked of a graph."""
    a = torch.from_numpy(~np.isnan(dense.time)).double()
    edges = np.nonzero(a.numpy())
    assert all(np.array_equal(x, y) for x, y in zip(graph.edges(), edges, strict=True))
    assert graph.num_edges == len(edges[0])
    assert torch.equal(graph.degree_user, a.sum(1).long())
    assert torch.equal(graph.degree_item, a.sum(0).long())
    every = [x.ravel() for x in np.meshgrid(np.arange(USERS), np.arange(ITEMS), indexing="ij")]
    assert np.array_equal(graph.has(*every), a.numpy().ravel() > 0)
    check_neighbours(graph, a.numpy() > 0)
    check_products(graph, a)
    assert to_edge_index(graph).shape == (2, 2 * len(edges[0]))
    assert to_hetero(graph)["user", "rates", "item"].edge_index.tolist() == np.stack(edges).tolist()
    assert graph.nbytes == len(edges[0]) * (8 if graph.clock is None else 28)
    if graph.clock is not None:
        assert np.array_equal(graph.values(), dense.value[edges].astype(np.float32))
        assert np.array_equal(graph.times(), dense.time[edges])


def check_neighbours(graph, a):
    for of_users, matrix in ((True, a), (False, a.T)):
        node = np.arange(len(matrix))[::-1]
        expected = {(int(n), int(x)) for n, x in zip(*np.nonzero(matrix), strict=True)}
        for found in (graph.neighbours(node, of_users), some_neighbours(graph, node, of_users, matrix.shape[1], 100)):
            pairs = [(int(node[p]), int(x)) for p, x in zip(*found, strict=True)]
            assert len(pairs) == len(expected)
            assert set(pairs) == expected


def check_products(graph, a):
    chance = torch.Generator().manual_seed(0)
    user, item = (torch.randn(n, 3, generator=chance, dtype=torch.float64) for n in (USERS, ITEMS))
    norm = a / torch.outer(a.sum(1).clamp(min=1), a.sum(0).clamp(min=1)).sqrt()
    expected = (
        WEIGHTS[0] * user + WEIGHTS[1] * norm @ item + WEIGHTS[2] * norm @ (norm.T @ user),
        WEIGHTS[0] * item + WEIGHTS[1] * norm.T @ user + WEIGHTS[2] * norm.T @ (norm @ item),
    )
    found = graph.polynomial(user, item, WEIGHTS)
    assert all(torch.allclose(x, y, atol=1e-12) for x, y in zip(found, expected, strict=True))
    users, items = torch.tensor([0, 4, 8]), torch.tensor([1, 5])
    rows = graph.polynomial_rows(user, item, WEIGHTS, users, items)
    if rows is not None:
        assert torch.allclose(rows[0], expected[0][users], atol=1e-12)
        assert torch.allclose(rows[1], expected[1][items], atol=1e-12)
    inner = graph.within(users, items)
    assert inner.num_edges == int(a[users][:, items].sum())
    passed = inner.polynomial(user[users].float(), item[items].float(), torch.tensor([0.0, 1.0]))
    assert torch.allclose(passed[0], (norm[users][:, items] @ item[items]).float(), atol=1e-6)


@pytest.mark.parametrize("tracked", [False, True])
@pytest.mark.parametrize(("merge", "crowded"), [(4, 4), (0, 0), (1, 1)], ids=["as set", "never", "late"])
@settings(max_examples=40, deadline=None)
@given(steps=st.lists(STEP, max_size=8))
def test_any_growth_and_loss_is_that_of_a_dense_matrix(tracked, merge, crowded, steps):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bipartite, "MERGE_RATIO", merge)
        patch.setattr(thinned, "CROWDED", crowded)
        graph, dense, time = BipartiteGraph.empty(USERS, ITEMS), Dense(), 0
        graph, past = graph.tracked() if tracked else graph, []
        for kind, pairs in steps:
            past.append((graph, dense.copy()))
            value = np.arange(time, time + len(pairs)) / 10
            events = interactions(pairs, value)
            events = Interactions(events.user, events.item, events.value, events.time + time)
            time += len(pairs)
            if kind == "extend":
                graph = graph.extend(events, USERS, ITEMS)
                dense.extend(events, tracked)
            else:
                graph = graph.without(events)
                dense.without(events)
            check(graph, dense)
        for old, kept in past:  # whatever came later
            check(old, kept)


def test_a_removal_moves_no_edge_until_many_are_gone():
    pairs = [(u, i) for u in range(USERS) for i in range(ITEMS)]
    graph = BipartiteGraph.empty().extend(interactions(pairs), USERS, ITEMS)
    few, many = graph.without(interactions(pairs[:3])), graph.without(interactions(pairs[:20]))
    assert few.segments[0].whole is graph.segments[0]
    assert few.without(interactions(pairs[3:6])).segments[0].whole is graph.segments[0]
    assert isinstance(many.segments[0], type(graph.segments[0]))
    assert graph.without(interactions(pairs)).segments == ()


def test_pairs_that_are_no_edges_change_nothing():
    graph = BipartiteGraph.empty().extend(interactions([(0, 0), (1, 1)]), USERS, ITEMS)
    assert graph.without(interactions([(0, 1), (500, 2), (-1, 0)])) is graph
    assert graph.without(interactions([])) is graph


def test_removals_leave_few_segments():
    rng, graph = np.random.default_rng(0), BipartiteGraph.empty(300, 300)
    for _ in range(120):
        new = interactions(list(zip(rng.integers(0, 300, 90), rng.integers(0, 300, 90), strict=True)))
        graph = graph.extend(new, 300, 300)
        user, item = graph.edges()
        gone = rng.random(len(user)) < 0.05
        graph = graph.without(interactions(list(zip(user[gone], item[gone], strict=True))))
    sizes = [s.num_edges for s in graph.segments]
    assert all(a >= bipartite.MERGE_RATIO * b for a, b in pairwise(sizes))


def test_values_are_refused_where_they_were_not_kept():
    graph = BipartiteGraph.empty().extend(interactions([(0, 0)]), 1, 1)
    for ask in (graph.values, graph.times, graph.begun, graph.tracked):
        with pytest.raises(GnnrecError, match="values"):
            ask()


def test_edges_beyond_32_bits_are_numbered_by_64(monkeypatch):
    pairs = [(u, i) for u in range(USERS) for i in range(ITEMS) if (u + i) % 3]
    dense = Dense()
    dense.extend(interactions(pairs), keeps_newest=False)
    monkeypatch.setattr(adjacency, "NARROW", 10)
    graph = BipartiteGraph.empty().extend(interactions(pairs), USERS, ITEMS)
    check(graph, dense)
    (segment,) = graph.segments
    assert {segment.by_user.start.dtype, segment.by_item.start.dtype} == {np.dtype(np.int64)}
    assert segment.by_user.target.dtype == np.int32


def test_places_of_2_to_the_31_edges_are_counted_by_64_bits():
    assert adjacency.place_type(2**31 - 1) is np.int32
    assert adjacency.place_type(2**31) is np.int64


@pytest.mark.parametrize("segments", [1, 2])
def test_some_neighbours_are_distinct_each_with_the_same_chance(segments, monkeypatch):
    monkeypatch.setattr(bipartite, "MERGE_RATIO", 0)
    users, most, below, nodes = 50, 7, 40, 3000
    pairs = [(u, i) for i in range(nodes) for u in range(users)]
    graph = BipartiteGraph.empty(users, nodes)
    for part in range(segments):
        graph = graph.extend(interactions(pairs[part::segments]), users, nodes)
    position, neighbour = some_neighbours(graph, np.arange(nodes), False, below, most)
    assert np.array_equal(position, np.repeat(np.arange(nodes), most))
    assert neighbour.max() < below
    assert len(np.unique(position * users + neighbour)) == most * nodes
    counts, share = np.bincount(neighbour, minlength=below), most / below
    assert np.abs(counts - nodes * share).max() < 4.5 * np.sqrt(nodes * share * (1 - share))
