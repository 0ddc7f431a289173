"""Strategies that do not fit, or not only: recommenders that count, folding in, learnt transfers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal

from gnnrec.core.errors import GnnrecError
from gnnrec.data.types import Interactions
from gnnrec.encoders.inmo import INMO
from gnnrec.encoders.lightgcn import LightGCN
from gnnrec.learner import Learner
from gnnrec.objectives.bpr import BPR
from gnnrec.objectives.joint import Joint
from gnnrec.strategies.fine_tune import FineTune
from gnnrec.strategies.fold_in import FoldInUsers
from gnnrec.strategies.frozen import Frozen
from gnnrec.strategies.refresh import Refresh
from gnnrec.strategies.sml import SML, Transfer
from gnnrec.testing.strategies import StrategyContract, game
from gnnrec.testing.worlds import FIT, MEASURE, Game, differing
from gnnrec.untrained.ease import EASE
from gnnrec.untrained.filter import GraphFilter


class TestFilter(StrategyContract):
    make = staticmethod(lambda: Refresh(GraphFilter(half_life=300.0)))


class TestGFCF(StrategyContract):
    make = staticmethod(lambda: Refresh(GraphFilter(low_pass=0.3, vectors=8)))


class TestFoldIn(StrategyContract):
    make = staticmethod(FoldInUsers)


class TestSML(StrategyContract):
    make = staticmethod(lambda: SML(passes=2, hidden=16))


def everything(stop):
    parts = [(i.observed.arrived, i.observed.folded) for i in game().stream.increments[: stop + 1]]
    return Interactions.concat([events for pair in parts for events in pair])


def test_ease_by_what_is_new_is_ease_of_everything_to_the_byte():
    learner = game().play(Refresh(EASE(most_items=30))).learner
    stepwise, once = learner.serving().recommender, EASE(most_items=30)
    new = game().stream.increments[3].observed
    once.absorb(everything(3), new.num_users, new.num_items)
    assert np.array_equal(stepwise.model.weights, once.model.weights)
    assert np.array_equal(stepwise.model.inside, once.model.inside)
    assert len(once.model.outside) > 0


def test_what_is_counted_is_charged():
    a, b = (game().play(s) for s in (Refresh(GraphFilter()), Frozen()))
    kept = [
        p.results().filter(split="cost", metric="bytes_kept", scorer="model", trained_to=3)["value"] for p in (a, b)
    ]
    assert kept[0].item() - kept[1].item() == a.strategy.recommender.nbytes > 0


@pytest.mark.parametrize("make", [GraphFilter, lambda: GraphFilter(half_life=200.0), lambda: EASE(most_items=1000)])
def test_what_was_refreshed_scores_as_what_counted_everything_at_once(make):
    learner = game().play(Refresh(make())).learner
    once, new = make(), game().stream.increments[3].observed
    once.absorb(everything(3), new.num_users, new.num_items)
    user = np.unique(everything(3).user)
    assert torch.allclose(learner.serving().scores(user, new.num_items), once.scores(user, new.num_items), atol=1e-4)


def test_what_is_taken_back_had_never_been_there():
    stream = game().stream
    taken = stream.increments[0].observed.arrived.take(np.arange(0, 90, 3))
    increments = list(stream.increments)
    increments[2] = replace(increments[2], observed=replace(increments[2].observed, removed=taken))
    forgets = Game(replace(stream, increments=tuple(increments)))
    learner = forgets.play(Refresh(GraphFilter())).learner
    never, new = GraphFilter(), stream.increments[3].observed
    never.absorb(everything(3).without(taken), new.num_users, new.num_items)
    user = np.unique(everything(3).without(taken).user)
    assert torch.allclose(learner.serving().scores(user, 40), never.scores(user, 40), atol=1e-4)


def test_the_model_stays_and_values_are_its_own():
    refreshed, frozen = (game().play(s).learner for s in (Refresh(GraphFilter()), Frozen()))
    assert torch.equal(refreshed.embed().user, frozen.embed().user)
    user, item = np.arange(20), np.arange(20)
    assert np.array_equal(refreshed.serving().predict(user, item), frozen.scorer().predict(user, item))


def test_folding_in_finds_users_by_what_they_took():
    """In a model without messages, rows that were known are found again from their items alone, in rank."""
    own = Game(game().stream, lambda: Learner(LightGCN(8, 0), BPR(), replace(FIT, max_epochs=30), measure=MEASURE))
    played = own.play(FoldInUsers(ridge=0.5), until=1)
    new, learner = own.stream.increments[1].observed, played.learner
    frozen = own.play(Frozen(), until=1).learner
    assert torch.equal(learner.encoder.item.weight, frozen.encoder.item.weight)
    touched = np.unique(new.train.user)
    others = np.setdiff1d(np.arange(own.stream.increments[0].observed.num_users), touched)
    assert torch.equal(learner.encoder.user.weight[others], frozen.encoder.user.weight[others])
    item = learner.embed().item
    hit = (learner.embed().user[new.train.user] * item[new.train.item]).sum(1)
    assert float(hit.mean()) > float((learner.embed().user[new.train.user] @ item.T).mean())


@pytest.mark.usefixtures("one_thread")
def test_a_transfer_that_learns_nothing_is_fine_tuning():
    a, b = game().play(SML(passes=0)), game().play(FineTune())
    for t in a.prints:
        assert not differing(*({n: x for n, x in p.prints[t].items() if not n.startswith("strategy.")} for p in (a, b)))
    assert_frame_equal(*(p.results().filter(pl.col("split") != "cost") for p in (a, b)), check_exact=True)


def test_a_transfer_starts_as_what_was_fitted():
    old, fitted = torch.randn(7, 6), torch.randn(7, 6)
    assert torch.equal(Transfer(6, 4, seed=0)(old, fitted), fitted)


def test_the_transfer_learns_what_ranks_what_came():
    strategy = SML(passes=10, lr=0.01, hidden=16)
    learner = game().play(strategy, until=1).learner
    events = game().stream.increments[2].observed.train

    def loss():
        twin = learner.fork()
        strategy._place(twin)
        return sum(float(step.loss().detach()) for step in twin.loop(events))

    learner.extend(game().stream.increments[2].observed)
    rows, before = learner.encoder.user.weight.detach().clone(), loss()
    strategy._learn(learner, events)
    assert loss() < before
    assert torch.equal(learner.encoder.user.weight, rows)  # the learner's own stay


@pytest.mark.parametrize("make", [FoldInUsers, SML])
def test_rows_are_needed(make):
    own = Game(game().stream, lambda: Learner(INMO(8, 2), Joint(width=8), FIT, measure=MEASURE))
    with pytest.raises(GnnrecError, match="INMO keeps none"):
        own.play(make())


@pytest.mark.usefixtures("one_thread")
def test_before_anything_came_next_the_transfer_is_fine_tuning():
    a, b = (game().play(s, until=1).learner.encoder for s in (SML(passes=2, hidden=16), FineTune()))
    for name, rows in a.tables().items():
        assert torch.equal(rows, b.tables()[name])


def test_the_transfer_by_hand():
    net, chance = Transfer(2, 3, seed=0), torch.Generator().manual_seed(1)
    for parameter in net.parameters():
        parameter.data = torch.randn(parameter.shape, generator=chance)
    old, fitted = torch.tensor([[3.0, 4.0], [0.0, 2.0]]), torch.tensor([[1.0, -1.0], [0.5, 2.0]])
    for w, hat, found in zip(old, fitted, net(old, fitted), strict=True):
        image = torch.stack([w, hat, w * hat / w.norm()])  # a column per embedding's column
        columns = torch.nn.functional.gelu(net.wide.weight[:, :, 0] @ image + net.wide.bias.unsqueeze(1))
        columns = net.narrow.weight[:, :, 0] @ columns + net.narrow.bias.unsqueeze(1)
        hidden = torch.nn.functional.gelu(net.first.weight @ columns.flatten() + net.first.bias)
        assert torch.allclose(found, hat + net.last.weight @ hidden + net.last.bias, rtol=1e-4)


@pytest.fixture
def taught(monkeypatch):
    """Return a strategy with a transfer that changes rows, its learner, and some events of what comes next."""
    strategy = SML(passes=1, l2=0.0, hidden=16)
    learner = game().play(strategy, until=2).learner
    chance = torch.Generator().manual_seed(0)
    for net in strategy.nets.values():
        net.last.weight.data = 0.3 * torch.randn(net.last.weight.shape, generator=chance)
    monkeypatch.setattr(torch.optim, "Adam", lambda parameters, lr, weight_decay: torch.optim.SGD(parameters, 1.0))
    return strategy, learner, game().stream.increments[3].observed.train.take(slice(0, 30))


@pytest.mark.usefixtures("one_thread")
def test_the_transfer_s_slope_is_that_of_the_loss_of_what_it_makes(taught):
    strategy, learner, events = taught
    known = (events.user < learner.seen.num_users) & (events.item < learner.seen.num_items)
    events = events.take(np.flatnonzero(known))

    def loss():
        twin = learner.fork()
        strategy._place(twin)
        (step,) = twin.loop(events)
        return float(step.loss().detach())

    net, slopes = strategy.nets["item"], {}
    for name, parameter in net.named_parameters():
        flat = parameter.data.view(-1)
        for at in range(min(3, len(flat))):
            ends = []
            for move in (1e-2, -1e-2):
                flat[at] += move
                ends.append(loss())
                flat[at] -= move
            slopes[name, at] = (ends[0] - ends[1]) / 2e-2
    before = {name: parameter.detach().clone() for name, parameter in net.named_parameters()}
    strategy._learn(learner, events)
    for (name, at), slope in slopes.items():
        moved = float((before[name] - dict(net.named_parameters())[name].detach()).view(-1)[at])
        assert moved == pytest.approx(slope, rel=0.05, abs=2e-5), name
    assert max(map(abs, slopes.values())) > 1e-3


@pytest.mark.usefixtures("one_thread")
def test_the_transfer_learns_by_the_graph_that_has_served(monkeypatch):
    strategy, seen = SML(passes=1, hidden=8), []
    learn = strategy._learn

    def watched(learner, events):
        seen.append((learner.graph.num_edges, learner.seen.has(events.user, events.item).all()))
        learn(learner, events)

    monkeypatch.setattr(strategy, "_learn", watched)
    before = game().play(SML(passes=1, hidden=8), until=2).learner.graph.num_edges
    game().play(strategy)
    assert seen[-1] == (before, False)  # the answers are in no edge
