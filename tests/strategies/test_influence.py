"""Unlearning by influence: the contract, the step against a dense Newton step, and that what is removed leaves less behind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal

from gnnrec.core.errors import GnnrecError
from gnnrec.encoders.initial import NeighbourMean, Random, Spectral, TwoHopMean
from gnnrec.encoders.inmo import INMO
from gnnrec.encoders.lightgcn import LightGCN
from gnnrec.learner import Learner
from gnnrec.objectives.bpr import BPR
from gnnrec.objectives.joint import Joint
from gnnrec.objectives.softmax import Softmax
from gnnrec.strategies import influence
from gnnrec.strategies.fine_tune import FineTune
from gnnrec.strategies.influence import Influence, _curvature, _gradient, conjugate_gradients
from gnnrec.strategies.unlearn import without
from gnnrec.testing.strategies import StrategyContract, forgetting_game, game
from gnnrec.testing.worlds import FIT, MEASURE, Game, differing, interactions, observed, simulated

EVENTS = [(0, 0), (0, 1), (1, 1), (1, 2), (2, 0), (2, 2)]


class TestInfluence(StrategyContract):
    make = staticmethod(lambda: Influence(sample=200, iterations=5))


def dense(a):
    """Return the products of a matrix."""
    return lambda v: {"x": a @ v["x"]}


def test_conjugate_gradients_solve_what_is_positive_and_stop_where_it_is_not():
    chance = torch.Generator().manual_seed(0)
    root = torch.randn(6, 6, generator=chance, dtype=torch.float64)
    a, b = root @ root.T + torch.eye(6), torch.randn(6, generator=chance, dtype=torch.float64)
    found = conjugate_gradients(dense(a), {"x": b}, 50)["x"]
    assert torch.allclose(found, torch.linalg.solve(a, b), atol=1e-5)
    with pytest.raises(GnnrecError, match=r"positive along the right side"):
        conjugate_gradients(lambda v: {"x": -v["x"]}, {"x": b}, 50)
    bounded = conjugate_gradients(lambda v: {"x": -v["x"]}, {"x": b}, 50, longest=7.0)["x"]
    assert torch.allclose(bounded, 7.0 * b / b.norm())


def test_conjugate_gradients_go_no_further_than_they_may():
    b = {"x": torch.ones(3, dtype=torch.float64)}
    nearly = torch.diag(torch.tensor([1.0, 2.0, 1e-6], dtype=torch.float64))
    assert float(conjugate_gradients(dense(nearly), b, 50)["x"].norm()) > 1e5
    found = conjugate_gradients(dense(nearly), b, 50, longest=7.0)["x"]
    assert torch.equal(found, conjugate_gradients(dense(nearly), b, 2)["x"])
    assert 0 < float(found.norm()) <= 7.0
    cut = conjugate_gradients(dense(1e-3 * torch.eye(3).double()), b, 50, longest=7.0)["x"]
    assert torch.allclose(cut, 7.0 * b["x"] / b["x"].norm())


def small():
    """Return a learner of three users and three items, in double precision, that has absorbed EVENTS."""
    learner = Learner(LightGCN(2, 1), BPR(l2=0.1), FIT, measure=MEASURE)
    learner.extend(observed(interactions(EVENTS), interactions([]), 3, 3))
    learner.absorb(observed(interactions(EVENTS), interactions([]), 3, 3))
    learner.encoder.double()
    return learner


def test_products_with_the_hessian_are_those_of_the_dense_one():
    learner = small()
    batches = [step.batch for step in learner.loop(interactions(EVENTS))]
    tables = learner.encoder.tables()
    sizes = [t.numel() for t in tables.values()]
    held = [t.detach().clone() for t in tables.values()]

    def slope(flat):
        for table, part, old in zip(tables.values(), flat.split(sizes), held, strict=True):
            table.data = part.reshape(old.shape)
        return torch.cat([x.flatten() for x in _gradient(learner, batches, learner.graph).values()])

    start = torch.cat([x.flatten() for x in held])
    dense = torch.stack(
        [(slope(start + 1e-5 * e) - slope(start - 1e-5 * e)) / 2e-5 for e in torch.eye(len(start)).double()], dim=1
    ) / len(EVENTS)
    slope(start)
    way = torch.randn(len(start), generator=torch.Generator().manual_seed(1)).double()
    asked = {n: x.reshape(t.shape) for (n, t), x in zip(tables.items(), way.split(sizes), strict=True)}
    found = _curvature(learner, batches, learner.graph, asked, len(EVENTS))
    assert torch.allclose(torch.cat([x.flatten() for x in found.values()]), dense @ way, atol=1e-4)
    assert torch.allclose(dense, dense.T, atol=1e-5)


def test_the_step_is_the_dense_newton_step():
    """θ − (H + λD)⁻¹ (∇Σ_left L(G') − ∇Σ_all L(G)) / N, the gradients and H of the objective itself, D_r = n_r / (N |x_r|²)."""
    learner, expected = small(), small()
    for one in (learner, expected):  # rows long enough for H to be seen beside D
        one.write(*(8 * table.detach() for table in one.encoder.tables().values()))
    new = replace(observed(interactions([]), interactions([]), 3, 3), index=1, removed=interactions(EVENTS).take([0]))
    Influence(damping=2.0, iterations=200)._forget(learner, new)
    expected.fits.open(1)  # the same negatives
    events, tables = interactions(EVENTS), list(expected.encoder.tables().values())
    near = np.isin(events.user, 0) | np.isin(events.item, 0)
    (touching,), (left,) = (
        [step.batch for step in expected.loop(events.take(np.flatnonzero(x)))] for x in (near, np.arange(6) > 0)
    )
    gone = (touching.user == 0) & (touching.item == 0)
    assert gone.sum() == 1
    stays = touching._replace(
        **{n: getattr(touching, n)[~gone] for n in ("user", "item", "value", "positive", "negative")}
    )
    after = expected.graph.without(new.removed)

    def slope(batch, graph):
        loss = expected.objective(expected.encoder(graph), batch) * len(batch.user)
        return torch.cat([x.flatten() for x in torch.autograd.grad(loss, tables, create_graph=True)])

    moved = (slope(stays, after) - slope(touching, expected.graph)).detach() / 5
    slopes = slope(left, after) / 5
    h = torch.stack(
        [
            torch.cat(
                [x.flatten() for x in torch.autograd.grad(one, tables, retain_graph=True, materialize_grads=True)]
            )
            for one in slopes
        ]
    )
    d = torch.cat([2 / (5 * table.detach().square().sum(1)) for table in tables]).repeat_interleave(2)
    step = torch.linalg.solve(h + 2.0 * torch.diag(d), moved)
    assert torch.linalg.eigvalsh(h + 2.0 * torch.diag(d))[0] > 0
    assert float((step - torch.linalg.solve(2.0 * torch.diag(d), moved)).norm()) > 0.1 * float(step.norm())
    before = torch.cat([x.detach().flatten() for x in tables])
    found = torch.cat([x.detach().flatten() for x in learner.encoder.tables().values()])
    assert torch.allclose(before - found, step, atol=1e-4 * float(step.norm()), rtol=1e-2)


@pytest.mark.usefixtures("one_thread")
def test_without_deletions_it_is_fine_tuning():
    a, b = game().play(Influence()), game().play(FineTune())
    for t in a.prints:
        assert not differing(a.prints[t], b.prints[t])
    assert_frame_equal(*(p.results().filter(pl.col("split") != "cost") for p in (a, b)), check_exact=True)


def test_it_steps_away_from_what_is_taken_back():
    still = replace(FIT, lr=1e-30)
    forgets = Game(
        forgetting_game().stream, lambda: Learner(LightGCN(8, 2), Joint(width=8), still, FIT, measure=MEASURE)
    )
    removed = forgets.stream.increments[2].observed.removed
    user, item = torch.from_numpy(removed.user), torch.from_numpy(removed.item)

    def affinity(strategy):
        z = forgets.play(strategy, until=2).learner.embed()
        known = float((z.user * z.user).sum(1).mean() * (z.item * z.item).sum(1).mean()) ** 0.5
        return float((z.user[user] * z.item[item]).sum(1).mean()) / known

    plain, stepped = affinity(FineTune()), affinity(Influence(iterations=10))
    assert stepped < plain


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(("objective", "share"), [(BPR, 0.1), (Softmax, 0.3)])
def test_less_is_left_of_what_is_taken_back(objective, share, seed):
    """The scores of pairs taken back exceed those of a model that never saw them by less than without the step."""
    base = simulated().increments[0].observed
    count = np.bincount(base.train.user)
    some = np.flatnonzero((count >= 4) & (count <= 6))[:4]
    taken = base.train.take(np.flatnonzero(np.isin(base.train.user, some))[::2])

    def trained(events):
        fit = replace(FIT, budget="equal", steps=40)
        learner = Learner(LightGCN(8, 2), objective(), fit, measure=MEASURE, seed=seed)
        learner.extend(events)
        learner.fit(events.train)
        learner.absorb(events)
        return learner

    def excess():
        a, b = (x.objective.scores(x.embed(), torch.from_numpy(taken.user)) for x in (learner, never))
        return float((a - b).detach()[np.arange(len(taken)), taken.item].mean())

    learner, never = trained(base), trained(without(base, taken))
    nothing = interactions([])
    new = replace(base, index=1, arrived=nothing, folded=nothing, train=nothing, valid=nothing, removed=taken)
    rows = {name: table.detach().clone() for name, table in learner.encoder.tables().items()}
    Influence()._forget(learner, new)
    learner.extend(new)
    stepped = excess()
    learner.write(**rows)
    assert excess() > 0.1
    assert abs(stepped) < (1 - share) * excess()


@pytest.mark.parametrize("initial", [Random, TwoHopMean, NeighbourMean, Spectral])
def test_rows_without_an_event_left_begin_again(initial):
    learner, new = small(), observed(interactions([]), interactions([]), 3, 3)
    learner.growth.initial = initial()
    begun = {name: table.detach().clone() for name, table in learner.encoder.tables().items()}
    learner.write(*(table + 1 for table in begun.values()))
    gone = interactions(EVENTS).take([0, 1, 4])  # all of the first user, all of the first item
    Influence()._forget(learner, replace(new, index=1, removed=gone))
    for name, table in learner.encoder.tables().items():
        moved = table.detach() - begun[name]
        assert torch.equal(moved[0], torch.zeros(2))
        assert bool((moved[1:].abs() > 0.1).all())


def test_products_are_taken_near_by_however_many_rows_there_are(monkeypatch):
    learner, far = small(), []
    learner.write(user=torch.randn(3, 2).double())
    tables = learner.encoder.tables()
    held = {name: table.detach().clone() for name, table in tables.items()}

    def noted(*_):
        far.extend(float(((tables[n].detach() - x).norm(dim=1) / x.norm(dim=1)).max()) for n, x in held.items())
        return {n: torch.zeros_like(x) for n, x in held.items()}

    monkeypatch.setattr(influence, "_gradient", noted)
    for way in (torch.tensor([[3.0, 0], [0, 0], [0, 0]]), torch.full((3, 2), 1e-4)):
        far.clear()
        _curvature(learner, [], learner.graph, {"user": way.double(), "item": torch.zeros(3, 2).double()}, 1)
        assert max(far) == pytest.approx(0.01)


def test_the_rows_of_who_shares_nothing_move_least():
    still = replace(FIT, lr=1e-30)
    forgets = Game(
        forgetting_game().stream, lambda: Learner(LightGCN(8, 2), Joint(width=8), still, FIT, measure=MEASURE)
    )
    removed = forgets.stream.increments[2].observed.removed
    a, b = (forgets.play(s, until=2).learner.encoder.user.weight.detach() for s in (FineTune(), Influence()))
    moved = (a - b).norm(dim=1).numpy()
    named = np.isin(np.arange(len(moved)), removed.user)
    assert moved[named].mean() > moved[~named].mean()


def test_an_encoder_without_rows_is_refused():
    own = Game(forgetting_game().stream, lambda: Learner(INMO(8, 2), Joint(width=8), FIT, measure=MEASURE))
    with pytest.raises(GnnrecError, match="influence moves rows, and INMO keeps none"):
        own.play(Influence())


def test_settings_that_mean_nothing_are_refused():
    with pytest.raises(GnnrecError, match=r"strategy\.damping=0\.0 must be above 0"):
        Influence(damping=0.0)


def test_events_without_a_loss_have_no_influence():
    learner = small()
    pairs = interactions(EVENTS, [5.0, 1.0, 5.0, 5.0, 5.0, 5.0])
    (batch,) = [step.batch._replace(positive=step.batch.value > 3) for step in learner.loop(pairs)]
    learner.objective.l2 = 0.0
    stays = batch.positive
    fewer = batch._replace(**{n: getattr(batch, n)[stays] for n in ("user", "item", "value", "positive", "negative")})
    a, b = (_gradient(learner, [x], learner.graph) for x in (batch, fewer))
    assert torch.allclose(a["user"], b["user"])
