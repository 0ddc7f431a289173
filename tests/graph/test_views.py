"""Which edges carry messages under each view, and what they weigh, against dense formulas and each other."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnrec.core.errors import GnnrecError
from gnnrec.data.types import Interactions
from gnnrec.encoders.lightgcn import LightGCN
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.graph.convert import edge_index, to_hetero
from gnnrec.graph.views import Accumulated, Decayed, NewestOnly, Window
from gnnrec.learner import Learner
from gnnrec.objectives.joint import Joint
from gnnrec.testing.worlds import DAY, FIT, MEASURE, differing, fingerprint, simulated

USERS, ITEMS = 8, 6
PAIR = st.tuples(st.integers(0, USERS - 1), st.integers(0, ITEMS - 1))
LOG = st.lists(st.lists(PAIR, max_size=12), min_size=1, max_size=6)
UNITS = ("increments", "events", "seconds")


def grown(view, log, gap=10.0):
    """Return the graph after the increments and the newest event of each pair as (increment, number, seconds)."""
    graph, newest, n = BipartiteGraph.empty(), {}, 0
    for t, pairs in enumerate(log):
        graph = view.begin(graph)
        for part in (pairs[: len(pairs) // 2], pairs[len(pairs) // 2 :]):  # what is fitted on, what is held back
            user, item = (np.array([p[c] for p in part], np.int64) for c in (0, 1))
            time = gap * t + np.arange(n, n + len(part))
            newest |= {pair: (t, n + k, time[k]) for k, pair in enumerate(part)}
            graph = view.extend(graph, Interactions(user, item, np.ones(len(part)), time), USERS, ITEMS)
            n += len(part)
    return graph, newest


def ages(newest, log, unit):
    """Return the age of each pair's newest event."""
    at = UNITS.index(unit)
    now = (len(log) - 1, sum(map(len, log)) - 1, max((x[2] for x in newest.values()), default=0))[at]
    return {pair: now - x[at] for pair, x in newest.items()}


@pytest.mark.parametrize("unit", UNITS)
@settings(max_examples=40, deadline=None)
@given(log=LOG, size=st.sampled_from([1, 2, 3, 7, 15, inf]))
def test_a_window_holds_the_pairs_that_are_young_enough(unit, log, size):
    graph, newest = grown(Window(size, unit), log)
    expected = sorted(pair for pair, age in ages(newest, log, unit).items() if age < size)
    assert list(zip(*(x.tolist() for x in graph.edges()), strict=True)) == expected
    assert graph.times().tolist() == [newest[pair][2] for pair in expected]


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@settings(max_examples=30, deadline=None)
@given(log=LOG, half_life=st.sampled_from([0.3, 2.0, 40.0, inf]))
def test_decayed_products_are_those_of_the_weighted_dense_matrix(unit, dtype, log, half_life):
    graph, newest = grown(Decayed(half_life, unit), log)
    w = np.zeros((USERS, ITEMS))
    for pair, age in ages(newest, log, unit).items():
        w[pair] = 2.0 ** -(age / half_life)
    assert np.allclose(graph.weights(), w[graph.edges()], rtol=1e-12)
    root = lambda d: np.where(d > 0, d, 1) ** -0.5  # noqa: E731
    a = torch.from_numpy(w * root(w.sum(1))[:, None] * root(w.sum(0))[None]).to(dtype)
    chance = torch.Generator().manual_seed(0)
    user, item = (torch.randn(n, 3, generator=chance, dtype=dtype) for n in (USERS, ITEMS))
    found, tolerance = graph.to("cpu").propagate(user, item), 1e-5 if dtype == torch.float32 else 1e-12
    assert torch.allclose(found[0], a @ item, atol=tolerance)
    assert torch.allclose(found[1], a.T @ user, atol=tolerance)
    rows = graph.polynomial_rows(user, item, torch.tensor([0.0, 1.0]), torch.arange(3), torch.arange(2))
    if rows is not None:
        assert torch.allclose(rows[0], (a @ item)[:3], atol=tolerance)
    inner = graph.within(torch.arange(4), torch.arange(3)).polynomial(user[:4], item[:3], torch.tensor([0.0, 1.0]))
    assert torch.allclose(inner[0], a[:4, :3] @ item[:3], atol=1e-5)


def test_very_old_edges_stay_edges():
    log = [[(0, 0), (1, 0)], [], [(2, 1)]]
    graph, _ = grown(Decayed(0.001), log)
    found = graph.propagate(torch.ones(USERS, 1), torch.ones(ITEMS, 1))
    assert found[0][:3, 0].tolist() == pytest.approx([0.5**0.5, 0.5**0.5, 1])
    assert torch.isfinite(found[1]).all()


def test_gradients_through_decayed_edges_are_the_numerical_ones():
    graph, _ = grown(Decayed(1.0), [[(0, 0), (1, 1), (2, 2)], [(0, 1), (3, 2)]])
    pair = [torch.randn(n, 2, dtype=torch.float64, requires_grad=True) for n in (USERS, ITEMS)]
    weights = torch.tensor([0.5, 0.2, 0.3], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda u, i: graph.polynomial(u, i, weights), pair)


def test_pyg_refuses_edges_whose_weights_it_would_drop():
    graph, _ = grown(Decayed(), [[(0, 0)]])
    for convert in (edge_index, to_hetero):
        with pytest.raises(GnnrecError, match="graph=accumulated"):
            convert(graph)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Window(0), "graph.size must be above 0 increments, got 0"),
        (lambda: Window(1.5), "whole number of increments, got 1.5"),
        (lambda: Window(3, "days"), "one of increments, events, seconds, got 'days'"),
        (lambda: Decayed(float("nan")), "graph.half_life must be above 0"),
        (lambda: Decayed(2, "hours"), "graph.unit"),
    ],
)
def test_impossible_spans_are_refused_by_key(make, message):
    with pytest.raises(GnnrecError, match=message):
        make()


def lived(view, stop=None):
    """Return a learner after the increments of a small stream; stopped and gone on with after the first `stop`."""
    fresh = lambda: Learner(LightGCN(8, 2), Joint(width=8), FIT, view=view, measure=MEASURE)  # noqa: E731
    learner, increments = fresh(), [i.observed for i in simulated().increments]
    for t, new in enumerate(increments):
        if t == stop:
            state, meta, learner = learner.state_dict(), learner.meta(), fresh()
            learner.follow(increments[:t])
            learner.load_state_dict(state, meta)
        learner.extend(new)
        learner.fit(new.train)
        learner.absorb(new)
    return learner


@pytest.mark.parametrize("view", [Window(inf), Window(10), Window(inf, "seconds"), Accumulated(values=True)])
def test_a_window_of_everything_is_the_accumulated_graph(view):
    found, expected = lived(view), lived(Accumulated())
    assert differing(fingerprint(found), fingerprint(expected)) == []
    assert found.graph is not found.seen


def test_a_window_of_one_increment_is_the_block():
    assert differing(fingerprint(lived(Window(1))), fingerprint(lived(NewestOnly()))) == []
    assert lived(NewestOnly(values=True)).graph.values().dtype == np.float32


def test_an_endless_half_life_is_the_accumulated_graph():
    found, expected = lived(Decayed(inf)).state_dict(), lived(Accumulated()).state_dict()
    assert all(torch.allclose(found[name], x, atol=1e-5) for name, x in expected.items())


@pytest.mark.parametrize(
    "view",
    [Window(2), Window(400, "events"), Decayed(1.0), Decayed(30 * DAY, "seconds")],
    ids=lambda view: type(view).__name__,
)
def test_a_view_goes_on_where_it_stopped(view):
    one, other = fingerprint(lived(view)), fingerprint(lived(view, stop=2))
    assert [name for name in differing(one, other) if name in ("graph", "seen", "encoder.user.weight")] == []
    assert lived(view).graph.num_edges > 0


@pytest.mark.parametrize(
    "view", [Accumulated(), Accumulated(values=True), Window(2), Decayed(1.0)], ids=lambda view: type(view).__name__
)
def test_a_pair_leaves_every_view_with_the_last_of_its_events(view):
    first, second, third = (i.observed for i in simulated().increments[:3])
    gone = first.arrived.take(slice(0, 6))
    again = Interactions(gone.user[:2], gone.item[:2], gone.value[:2], second.arrived.time[-2:])
    second = replace(second, arrived=Interactions.concat([second.arrived, again]))
    learner = Learner(LightGCN(8, 2), Joint(width=8), FIT, view=view, measure=MEASURE)
    for new in (first, second):
        learner.extend(new)
        learner.absorb(new)
    before, size = learner.graph.edges(), learner.seen.num_edges
    learner.extend(replace(third, arrived=gone.take(slice(0, 0)), removed=gone))
    pairs = gone.user.tolist(), gone.item.tolist()
    assert learner.seen.has(gone.user, gone.item).tolist() == [True, True, False, False, False, False]
    assert learner.seen.num_edges == size - 4
    left = {*zip(*(x.tolist() for x in learner.graph.edges()), strict=True)}
    lost = {*zip(*(x[2:] for x in pairs), strict=True)}
    assert lost & left == set()
    if not isinstance(view, Window):
        assert left == {*zip(*(x.tolist() for x in before), strict=True)} - lost
