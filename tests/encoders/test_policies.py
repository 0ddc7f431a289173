"""Shrunk means and folded-in rows against dense solutions."""

from __future__ import annotations

import pytest
import torch

from gnnrec.core.errors import GnnrecError
from gnnrec.encoders import policies
from gnnrec.encoders.initial import NeighbourMean, TwoHopMean
from gnnrec.encoders.policies import FoldIn, ShrunkMean
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.testing.worlds import interactions, random_events

USERS, ITEMS, OLD_USERS, OLD_ITEMS, WIDTH = 20, 14, 12, 9, 5
POLICIES = [ShrunkMean(), ShrunkMean(hops=1), ShrunkMean(pull=0), FoldIn(), FoldIn(0), FoldIn(unobserved=0.1)]


def setting():
    events = random_events(45, USERS - 1, ITEMS - 1)
    chance = torch.Generator().manual_seed(0)
    table = lambda n: torch.randn(n, WIDTH, generator=chance)  # noqa: E731
    old, random = (table(OLD_USERS), table(OLD_ITEMS)), (table(USERS - OLD_USERS), table(ITEMS - OLD_ITEMS))
    return random, old, BipartiteGraph.empty().extend(events, USERS, ITEMS)


def adjacency(graph):
    a = torch.zeros(USERS, ITEMS)
    a[graph.edges()] = 1
    return a


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("hops", [1, 2])
def test_a_shrunk_mean_is_the_mean_drawn_to_that_of_all_by_its_edges(side, hops):
    random, old, graph = setting()
    a = adjacency(graph) if side == 0 else adjacency(graph).T
    own, other = old[side], old[1 - side]
    to_own = a[: len(own)].T  # [other's nodes, old nodes of this side]
    usable = torch.arange(a.shape[1]) < len(other) if hops == 1 else to_own.any(1)
    averaged = other if hops == 1 else own
    found = ShrunkMean(3.0, hops).rows(random, old, graph)[side]
    plain = (NeighbourMean() if hops == 1 else TwoHopMean()).rows(random, old, graph)[side]
    counts = (a[len(own) :] * usable).sum(1)
    assert 0 in counts
    for row, mean, k in zip(found, plain, counts, strict=True):
        expected = (k * mean + 3 * averaged.mean(0)) / (k + 3) if k else averaged.mean(0)
        assert torch.allclose(row, expected, atol=1e-6)


def test_without_a_pull_it_is_the_mean():
    random, old, graph = setting()
    for found, mean, fallback in zip(
        ShrunkMean(0).rows(random, old, graph), TwoHopMean().rows(random, old, graph), random, strict=True
    ):
        known = (mean != fallback).any(1)
        assert known.any()
        assert torch.equal(found[known], mean[known])


def dense_read_out(old, graph, layers):
    """Return embeddings of all nodes where new ones have rows of 0."""
    a = adjacency(graph).double()
    du, di = a.sum(1, keepdim=True).clamp(min=1), a.sum(0, keepdim=True).clamp(min=1)
    a = a / du.sqrt() / di.sqrt()
    user, item = torch.zeros(USERS, WIDTH).double(), torch.zeros(ITEMS, WIDTH).double()
    user[:OLD_USERS], item[:OLD_ITEMS] = old
    total = [user.clone(), item.clone()]
    for _ in range(layers):
        user, item = a @ item, a.T @ user
        total = [total[0] + user, total[1] + item]
    return [x / (layers + 1) for x in total]


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize(("layers", "unobserved"), [(0, 0.0), (2, 0.0), (2, 0.1)])
def test_a_folded_row_solves_the_normal_equations(side, layers, unobserved):
    random, old, graph = setting()
    found = FoldIn(layers, 0.5, unobserved).rows(random, old, graph)[side]
    a = (adjacency(graph) if side == 0 else adjacency(graph).T).double()
    y = dense_read_out(old, graph, layers)[1 - side][: len(old[1 - side])]
    a = a[:, : len(y)]
    base = 0.5 * y.square().sum(1).mean() * torch.eye(WIDTH) + unobserved * y.T @ y
    solved = torch.stack([torch.linalg.inv(y.T @ torch.diag(row) @ y + base) @ y.T @ row for row in a])
    first = solved[: len(old[side])]
    scale = ((first * old[side]).sum() / first.square().sum()).clamp(min=0)
    for row, expected, k, fallback in zip(
        found, scale * solved[len(old[side]) :], a[len(old[side]) :].sum(1), random[side], strict=True
    ):
        assert torch.allclose(row.double(), expected if k else fallback.double(), atol=1e-4)


def test_folding_in_finds_the_rows_of_a_model_that_fits():
    """Users of a low-rank world, of whom some are new: their rows are near those they would have been given."""
    chance = torch.Generator().manual_seed(1)
    user, item = torch.randn(300, 3, generator=chance), torch.randn(80, 3, generator=chance)
    score = user @ item.T
    pairs = [(u, i) for u in range(300) for i in score[u].topk(10).indices.tolist()]
    graph = BipartiteGraph.empty().extend(interactions(pairs), 300, 80)
    random = torch.randn(50, 3, generator=chance), torch.empty(0, 3)
    found, _ = FoldIn(0, 0.3, unobserved=0.05).rows(random, (user[:250], item), graph)
    cosine = torch.nn.functional.cosine_similarity(found, user[250:])
    assert cosine.mean() > 0.8
    assert 0.5 < found.norm() / user[250:].norm() < 1.5


@pytest.mark.parametrize("policy", POLICIES)
def test_the_first_nodes_of_all_and_no_new_nodes_are_fine(policy):
    graph = setting()[2]
    none = torch.empty(0, WIDTH), torch.empty(0, WIDTH)
    everybody = torch.ones(USERS, WIDTH), torch.ones(ITEMS, WIDTH)
    assert policy.start(everybody, graph) is everybody
    first = policy.rows(everybody, none, graph)
    assert [len(r) for r in first] == [USERS, ITEMS]
    assert all(torch.isfinite(r).all() for r in first)
    assert [len(r) for r in policy.rows(none, everybody, graph)] == [0, 0]
    zeros = torch.zeros(OLD_USERS, WIDTH), torch.zeros(OLD_ITEMS, WIDTH)
    random = setting()[0]
    assert all(torch.isfinite(r).all() for r in policy.rows(random, zeros, graph))


@pytest.mark.parametrize(
    ("make", "options"), [(ShrunkMean, {"hops": 3}), (ShrunkMean, {"pull": -1}), (FoldIn, {"ridge": 0})]
)
def test_settings_without_a_meaning_are_refused(make, options):
    with pytest.raises(GnnrecError, match=r"init\."):
        make(**options)


def test_popular_new_nodes_read_some_of_their_neighbours(monkeypatch):
    monkeypatch.setattr(policies, "MOST", 8)
    graph = BipartiteGraph.empty().extend(interactions([(u, i) for u in range(50) for i in (0, 1)]), 50, 2)
    old = torch.randn(50, 3), torch.randn(1, 3)
    asked, real = [], policies.some_neighbours
    monkeypatch.setattr(policies, "some_neighbours", lambda *a: asked.append(real(*a)) or asked[-1])
    FoldIn(0).rows((torch.empty(0, 3), torch.ones(1, 3)), old, graph)
    assert [len(position) for position, _ in asked] == [8, 8]
