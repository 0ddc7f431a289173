"""The graph against dense formulas, PyG, and itself grown in other orders."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.nn.models import LightGCN as PygLightGCN

from gnnrec.core.errors import GnnrecError
from gnnrec.data.types import Interactions
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.graph.bloom import BloomFilter
from gnnrec.graph.convert import edge_index, to_edge_index, to_hetero
from gnnrec.graph.keys import edge_key
from gnnrec.graph.segment import FILTERED, WINDOW, Segment


def events(pairs):
    user, item = (np.array([p[c] for p in pairs], np.int64) for c in (0, 1))
    return Interactions(user, item, np.ones(len(pairs)), np.arange(len(pairs), dtype=float))


def random_graph(seed=0, users=30, items=20, n=150):
    rng = np.random.default_rng(seed)
    pairs = list(zip(rng.integers(0, users, n), rng.integers(0, items, n), strict=True))
    return BipartiteGraph.empty().extend(events(pairs), users, items), pairs


def dense(graph):
    a = torch.zeros(graph.num_users, graph.num_items, dtype=torch.float64)
    a[graph.edges()] = 1
    du, di = a.sum(1), a.sum(0)
    scale = lambda d: torch.where(d > 0, d.clamp(min=1) ** -0.5, 0)  # noqa: E731
    return scale(du)[:, None] * a * scale(di)[None]


def test_propagate_equals_the_dense_formula():
    graph, _ = random_graph()
    user, item = torch.randn(30, 8, dtype=torch.float64), torch.randn(20, 8, dtype=torch.float64)
    a = dense(graph)
    got = graph.propagate(user, item)
    assert torch.allclose(got[0], a @ item, atol=1e-6)
    assert torch.allclose(got[1], a.T @ user, atol=1e-6)
    twice = graph.propagate(user, item, layers=2)
    assert torch.allclose(twice[0], a @ a.T @ user, atol=1e-6)


def test_gradient_is_the_numerical_one():
    graph, _ = random_graph(users=6, items=5, n=12)
    user, item = (torch.randn(n, 3, dtype=torch.float64, requires_grad=True) for n in (6, 5))
    weights = torch.tensor([0.5, 0.2, 0.3], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda u, i: graph.polynomial(u, i, weights), (user, item))


def test_equals_pyg_lightgcn_with_copied_weights():
    graph, _ = random_graph()
    model = PygLightGCN(50, 16, num_layers=3)
    with torch.no_grad():
        expected = model.get_embedding(edge_index(graph))
        table = model.embedding.weight
        got = graph.polynomial(table[:30], table[30:], model.alpha)
    assert torch.allclose(torch.cat(got), expected, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 9)), max_size=60),
    st.lists(st.integers(0, 60), max_size=6),
)
def test_any_split_into_increments_gives_the_same_graph(pairs, cuts):
    whole = BipartiteGraph.empty().extend(events(pairs), 13, 10)
    grown, users, items = BipartiteGraph.empty(), 0, 0
    borders = [0, *sorted(min(c, len(pairs)) for c in cuts), len(pairs)]
    for a, b in pairwise(borders):
        part = pairs[a:b]
        users, items = max([users, *(u + 1 for u, _ in part)]), max([items, *(i + 1 for _, i in part)])
        grown = grown.extend(events(part), users, items)
    grown = grown.extend(events([]), 13, 10)
    assert all(np.array_equal(a, b) for a, b in zip(whole.edges(), grown.edges(), strict=True))
    assert torch.equal(whole.degree_user, grown.degree_user)
    assert torch.equal(whole.degree_item, grown.degree_item)
    user, item = torch.randn(13, 4), torch.randn(10, 4)
    for a, b in zip(whole.propagate(user, item, 2), grown.propagate(user, item, 2), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_old_graph_stays_as_it_was():
    graph, _ = random_graph()
    before = graph.edges(), graph.degree_user.clone()
    graph.extend(events([(0, 19), (35, 2)]), 40, 20)
    assert np.array_equal(graph.edges()[0], before[0][0])
    assert torch.equal(graph.degree_user, before[1])


def test_isolated_nodes_receive_zero_and_leave_the_others_unchanged():
    graph, _ = random_graph()
    grown = graph.extend(events([]), 33, 24)
    user, item = torch.randn(33, 4), torch.randn(24, 4)
    small, large = graph.propagate(user[:30], item[:20]), grown.propagate(user, item)
    assert torch.equal(large[0][:30], small[0])
    assert not large[0][30:].any()
    assert not large[1][20:].any()


def test_membership_and_neighbours_equal_the_pair_list():
    graph, pairs = random_graph()
    graph = graph.extend(events([(29, 0), (31, 21)]), 32, 22)
    known = {*map(tuple, np.array(pairs)), (29, 0), (31, 21)}
    user, item = (x.ravel() for x in np.meshgrid(np.arange(32), np.arange(22), indexing="ij"))
    found = graph.has(user, item)
    assert set(zip(user[found].tolist(), item[found].tolist(), strict=True)) == {(int(u), int(i)) for u, i in known}
    position, neighbour = graph.neighbours(np.array([31, 29]), of_users=True)
    got = {(31 if p == 0 else 29, int(n)) for p, n in zip(position, neighbour, strict=True)}
    assert got == {(int(u), int(i)) for u, i in known if u in (29, 31)}


@pytest.mark.parametrize("edges", [1, 2, WINDOW - 1, WINDOW, WINDOW + 1, 5 * WINDOW + 3, FILTERED])
def test_a_segment_has_its_keys_and_no_other(edges):
    keys = np.sort(np.random.default_rng(edges).choice(20 * edges, edges, replace=False)).astype(np.int64)
    asked = np.random.default_rng(1).permutation(np.arange(-3, 20 * edges + 3))
    assert np.array_equal(Segment(keys).has(asked), np.isin(asked, keys))
    ordered = np.sort(asked)
    assert np.array_equal(Segment(keys).has_ascending(ordered), np.isin(ordered, keys))


def test_a_filter_misses_no_key_and_passes_one_in_twenty_others():
    rng = np.random.default_rng(0)
    pairs = np.unique(edge_key(rng.zipf(1.3, 300_000) % 5000, rng.zipf(1.3, 300_000) % 3000))
    known, others = np.split(rng.permutation(pairs), [len(pairs) // 2])
    bloom = BloomFilter(known)
    assert bloom.may_have(known).all()
    assert 0.03 < bloom.may_have(others).mean() < 0.08  # two bits of 64 with some 8 keys in them: about .05


def test_conversions_hold_both_directions():
    graph, _ = random_graph()
    index = edge_index(graph)
    assert index.shape == (2, 2 * graph.num_edges)
    assert to_edge_index(graph).is_undirected
    assert to_hetero(graph)["user", "rates", "item"].edge_index.shape == (2, graph.num_edges)


@pytest.mark.parametrize(("pairs", "users"), [([(40, 0)], 30), ([(-1, 0)], 30), ([], 10)])
def test_bad_numbers_and_shrinking_are_refused(pairs, users):
    graph, _ = random_graph()
    with pytest.raises(GnnrecError, match=r"numbers must lie in|never shrinks"):
        graph.extend(events(pairs), users, 20)
