"""Rows of new nodes against brute-force means, and random rows as a function of (seed, id)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from gnnrec.core.seeds import node_key
from gnnrec.encoders import initial
from gnnrec.encoders.initial import NeighbourMean, Random, Spectral, TwoHopMean, Zero
from gnnrec.encoders.tables import random_rows
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.testing.worlds import interactions, random_events

USERS, ITEMS, OLD_USERS, OLD_ITEMS, WIDTH = 20, 14, 12, 9, 5


def setting():
    events = random_events(45, USERS - 1, ITEMS - 1)
    chance = torch.Generator().manual_seed(0)
    table = lambda n: torch.randn(n, WIDTH, generator=chance)  # noqa: E731
    old, random = (table(OLD_USERS), table(OLD_ITEMS)), (table(USERS - OLD_USERS), table(ITEMS - OLD_ITEMS))
    graph = BipartiteGraph.empty().extend(events, USERS, ITEMS)
    return random, old, graph, {(int(u), int(i)) for u, i in zip(events.user, events.item, strict=True)}


def mean(rows):
    return torch.stack(rows).mean(0) if rows else None


def one_hop(pairs, rows, node, side):
    """Return the mean row of the node's old neighbours; `side` 0 for a user, 1 for an item."""
    near = sorted(p[1 - side] for p in pairs if p[side] == node)
    return mean([rows[n] for n in near if n < len(rows)])


def two_hop(pairs, rows, node, side):
    near = sorted(p[1 - side] for p in pairs if p[side] == node)
    through = [one_hop(pairs, rows, n, 1 - side) for n in near]
    return mean([r for r in through if r is not None])


@pytest.mark.parametrize(("policy", "brute", "own"), [(NeighbourMean(), one_hop, False), (TwoHopMean(), two_hop, True)])
@pytest.mark.parametrize("side", [0, 1])
def test_means_equal_brute_force_and_fall_back_to_random(policy, brute, own, side):
    random, old, graph, pairs = setting()
    found, first = policy.rows(random, old, graph)[side], (OLD_USERS, OLD_ITEMS)[side]
    rows = old[side if own else 1 - side]
    expected = [brute(pairs, rows, first + n, side) for n in range(len(found))]
    fell_back = [e is None for e in expected]
    assert any(fell_back)
    assert not all(fell_back)
    for got, want, fallback in zip(found, expected, random[side], strict=True):
        if want is None:
            assert torch.equal(got, fallback)
        else:
            assert torch.allclose(got, want, atol=1e-6)


def test_random_and_zero_are_what_they_say():
    random, old, graph, _ = setting()
    assert all(torch.equal(a, b) for a, b in zip(Random().rows(random, old, graph), random, strict=True))
    zero = Zero().rows(random, old, graph)
    assert [z.shape for z in zero] == [r.shape for r in random]
    assert not any(z.any() for z in zero)


@pytest.mark.parametrize("policy", [Random(), Zero(), NeighbourMean(), TwoHopMean()])
def test_the_first_nodes_of_all_and_no_new_nodes_are_fine(policy):
    graph = setting()[2]
    none = torch.empty(0, WIDTH), torch.empty(0, WIDTH)
    everybody = torch.ones(USERS, WIDTH), torch.ones(ITEMS, WIDTH)
    first = policy.rows(everybody, none, graph)
    assert [len(r) for r in first] == [USERS, ITEMS]
    assert all(torch.isfinite(r).all() for r in first)
    full = torch.ones(USERS, WIDTH), torch.ones(ITEMS, WIDTH)
    assert [len(r) for r in policy.rows(none, full, graph)] == [0, 0]


def test_random_rows_depend_on_seed_and_id_and_not_on_company():
    keys = np.array([node_key(f"user {n}") for n in range(50)], np.uint64)
    rows, order = random_rows(keys, 7, 3, 0.1), np.random.default_rng(0).permutation(50)
    assert torch.equal(random_rows(keys[order], 7, 3, 0.1), rows[order])
    assert torch.equal(random_rows(keys[17:18], 7, 3, 0.1)[0], rows[17])
    assert not torch.equal(random_rows(keys, 7, 4, 0.1), rows)
    assert len(torch.unique(rows)) == rows.numel()


def test_random_rows_look_normal_and_independent():
    keys = np.array([node_key(str(n)) for n in range(4000)], np.uint64)
    rows = random_rows(keys, 9, 0, 0.25).numpy() / 0.25
    assert stats.kstest(rows.ravel(), "norm").pvalue > 1e-3
    for column in rows.T:
        assert stats.kstest(column, "norm").pvalue > 1e-4
    off = np.corrcoef(rows.T) - np.eye(9)
    assert np.abs(off).max() < 4 / np.sqrt(4000)
    assert abs(np.corrcoef(rows[:-1].ravel(), rows[1:].ravel())[0, 1]) < 4 / np.sqrt(rows.size)


def test_random_rows_of_no_node_are_empty():
    assert random_rows(np.empty(0, np.uint64), 6, 0, 1.0).shape == (0, 6)


def test_spectral_base_is_the_leading_singular_pairs_scaled():
    _, _, graph, _ = setting()
    a = np.zeros((USERS, ITEMS))
    a[graph.edges()] = 1
    du, di = a.sum(1, keepdims=True), a.sum(0, keepdims=True)
    a = a / np.sqrt(np.where(du > 0, du, 1)) / np.sqrt(np.where(di > 0, di, 1))
    left, sigma, right = np.linalg.svd(a, full_matrices=False)
    chance = torch.Generator().manual_seed(1)
    random = tuple(torch.randn(n, WIDTH, generator=chance) for n in (USERS, ITEMS))
    user, item = Spectral(passes=60).start(random, graph)
    best = left[:, :WIDTH] * sigma[:WIDTH] @ right[:WIDTH]
    size = float(random[0].square().mean().sqrt()) ** 2 * np.sqrt(USERS * ITEMS)
    assert np.allclose((user @ item.T).numpy(), size * best, atol=1e-3 * np.abs(size * best).max())


def test_spectral_later_nodes_get_two_hop_means():
    random, old, graph, _ = setting()
    for found, expected in zip(Spectral().rows(random, old, graph), TwoHopMean().rows(random, old, graph), strict=True):
        assert torch.equal(found, expected)


def test_spectral_base_without_an_edge_is_random():
    random = torch.randn(3, 2), torch.randn(2, 2)
    found = Spectral().start(random, BipartiteGraph.empty(3, 2))
    assert all(torch.equal(a, b) for a, b in zip(found, random, strict=True))


def test_spectral_start_wider_than_the_graph_keeps_random_columns():
    graph = BipartiteGraph.empty().extend(random_events(8, 2, 3), 3, 4)
    random = torch.randn(3, 6), torch.randn(4, 6)
    user, item = Spectral().start(random, graph)
    assert [tuple(x.shape) for x in (user, item)] == [(3, 6), (4, 6)]
    assert torch.equal(user[:, 3:], random[0][:, 3:])
    assert torch.isfinite(item).all()


@pytest.mark.parametrize("policy", [Random(), Zero(), NeighbourMean(), TwoHopMean()])
def test_tables_start_at_random_rows(policy):
    random, _, graph, _ = setting()
    assert policy.start(random, graph) is random


@pytest.mark.parametrize("most", [4, 11, 12])
def test_a_two_hop_mean_reads_few_rows_of_a_popular_item_and_all_of_others(most, monkeypatch):
    monkeypatch.setattr(initial, "MOST", most)
    popular, rare = [(u, 0) for u in range(OLD_USERS)], [(u, 1) for u in range(3)]
    new = [(OLD_USERS, 0), (OLD_USERS + 1, 1)]
    graph = BipartiteGraph.empty().extend(interactions([*popular, *rare, *new]), OLD_USERS + 2, OLD_ITEMS)
    old = torch.eye(OLD_USERS), torch.zeros(OLD_ITEMS, OLD_USERS)  # a mean of its rows says which were read
    found, _ = TwoHopMean().rows((torch.zeros(2, OLD_USERS), torch.empty(0, OLD_USERS)), old, graph)
    assert sorted(found[0].tolist(), reverse=True) == pytest.approx([1 / most] * most + [0] * (OLD_USERS - most))
    assert found[1].tolist() == pytest.approx([1 / 3] * 3 + [0] * (OLD_USERS - 3))


def test_a_two_hop_mean_of_many_rows_is_close_to_that_of_all():
    users = 40_000
    graph = BipartiteGraph.empty().extend(interactions([(u, 0) for u in range(users + 1)]), users + 1, 1)
    chance = torch.Generator().manual_seed(0)
    old = torch.randn(users, 64, generator=chance) + 0.5, torch.zeros(1, 64)
    found, _ = TwoHopMean().rows((torch.zeros(1, 64), torch.empty(0, 64)), old, graph)
    error = (found[0] - old[0].mean(0)) * initial.MOST**0.5  # in standard errors
    assert 0.7 < error.square().mean().sqrt() < 1.3
    assert error.abs().max() < 4.5
