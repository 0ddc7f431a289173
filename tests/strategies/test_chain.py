"""Several strategies as one, and parts that change what was fitted."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal

from gnnrec.core.errors import GnnrecError
from gnnrec.encoders.ngcf import NGCF
from gnnrec.encoders.tables import Embeddings
from gnnrec.learner import Learner
from gnnrec.objectives.joint import Joint
from gnnrec.runs.memory import fresh
from gnnrec.strategies.chain import Chain
from gnnrec.strategies.distil.contrastive import ContrastiveDistill
from gnnrec.strategies.distil.ewc import EWC
from gnnrec.strategies.distil.graph_sail import GraphSAIL
from gnnrec.strategies.distil.piw import UserWeights
from gnnrec.strategies.distil.pull import Pull
from gnnrec.strategies.distil.scores import Distill
from gnnrec.strategies.fine_tune import FineTune
from gnnrec.strategies.frozen import Frozen
from gnnrec.strategies.full_retrain import FullRetrain, WarmRetrain
from gnnrec.strategies.parts import EMA, Align, rotation
from gnnrec.strategies.replay import Replay
from gnnrec.strategies.selection.select import Selector
from gnnrec.testing.strategies import StrategyContract, game
from gnnrec.testing.worlds import FIT, MEASURE, Game, differing


class TestEMA(StrategyContract):
    make = staticmethod(EMA)


class TestAlignedRetrain(StrategyContract):
    make = staticmethod(lambda: Chain({"retrain": FullRetrain(), "align": Align()}))


class TestEWCReplay(StrategyContract):
    make = staticmethod(lambda: Chain({"ewc": EWC(10.0, samples=40), "replay": Replay(40)}))


class TestReplayGraphSAIL(StrategyContract):
    make = staticmethod(lambda: Chain({"replay": Replay(40), "graph_sail": GraphSAIL(clusters=3)}))


class TestWindowRetrain(StrategyContract):
    make = staticmethod(lambda: FullRetrain(increments=2))


def learnt(prints):
    """Return what the learner holds, without what the strategy stores."""
    return {n: x for n, x in prints.items() if not n.startswith("strategy.")}


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("make", [lambda: Replay(40), lambda: GraphSAIL(clusters=3), FullRetrain, EMA])
def test_a_chain_of_one_is_that_one(make):
    a, b = game().play(Chain({"only": make()})), game().play(make())
    for t in a.prints:
        assert not differing(learnt(a.prints[t]), learnt(b.prints[t]))


@pytest.mark.usefixtures("one_thread")
def test_a_chain_does_what_both_do():
    both = game().play(Chain({"replay": Replay(40), "pull": Pull(1.0)})).prints[3]
    for one in (Replay(40), Pull(1.0)):
        assert "encoder.user.weight" in differing(both, game().play(one).prints[3])
    nothing = game().play(Chain({"replay": Replay(0), "pull": Pull(1.0)})).prints[3]
    assert not differing(learnt(nothing), learnt(game().play(Pull(1.0)).prints[3]))


@pytest.mark.usefixtures("one_thread")
def test_users_that_are_replayed_are_distilled_too():
    chain = Chain({"replay": Replay(10**6), "distill": Distill(best=5, others=5)})
    played = game().play(chain, until=2)
    known = played.strategy.parts["distill"]._row >= 0
    replayed = np.unique(game().stream.increments[0].observed.train.user)
    assert known[replayed].all()
    assert len(np.setdiff1d(replayed, game().stream.increments[2].observed.train.user)) > 0


def test_modules_and_states_lie_under_the_parts_names():
    chain = Chain({"lwc": ContrastiveDistill(weights=UserWeights(3, 4)), "replay": Replay(40)})
    played = game().play(chain, until=1)
    names = set(played.strategy.state_dict())
    assert {"replay.user", "replay.below", "modules.lwc.centre"} <= names


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Chain({}), "at least one part"),
        (
            lambda: Chain({"frozen": Frozen(), "pull": Pull()}),
            r"strategy\.parts\.frozen \(Frozen\) updates in a way of its own",
        ),
        (lambda: Chain({"a": FullRetrain(epochs=2), "b": FullRetrain(epochs=3)}), "fits of different epochs: 2, 3"),
    ],
)
def test_chains_that_cannot_be_are_refused(make, message):
    with pytest.raises(GnnrecError, match=message):
        make()


def test_items_are_the_mean_of_before_and_after_by_their_events():
    old = game().base.weights["encoder.item.weight"]
    new = game().stream.increments[1].observed
    tuned = game().play(FineTune(), until=1).learner.encoder.item.weight
    fresh = np.bincount(new.train.item, minlength=len(old))
    events = np.bincount(game().stream.increments[0].observed.arrived.item, minlength=len(old))
    events += np.bincount(game().stream.increments[0].observed.folded.item, minlength=len(old))
    meant = game().play(EMA(0.5), until=1).learner.encoder.item.weight
    for item in range(len(old)):
        share = 0.5 * events[item] / (0.5 * events[item] + fresh[item]) if fresh[item] else 1.0
        assert torch.allclose(meant[item], share * old[item] + (1 - share) * tuned[item], atol=1e-6)
    assert torch.equal(meant[len(old) :], tuned[len(old) :])
    users = (game().play(s, until=1).learner.encoder.user.weight for s in (EMA(0.5), FineTune()))
    assert torch.equal(*users)


def test_the_rotation_is_found():
    chance = torch.Generator().manual_seed(0)
    turn = torch.linalg.qr(torch.randn(5, 5, generator=chance, dtype=torch.float64))[0].float()
    user, item = torch.randn(30, 5, generator=chance), torch.randn(20, 5, generator=chance)
    old = Embeddings(user, item, user, item)
    now = Embeddings(*(torch.cat([x @ turn.T, torch.randn(3, 5)]) for x in old))
    assert torch.allclose(rotation(now, old, torch.rand(50, generator=chance) + 0.1), turn, atol=1e-5)


def test_aligned_retraining_scores_as_retraining_and_lies_closer_to_the_old_rows():
    plain, turned = game().play(FullRetrain()), game().play(Chain({"retrain": FullRetrain(), "align": Align()}))
    rows = [p.results().filter(pl.col("split") == "next", scorer="model") for p in (plain, turned)]
    assert_frame_equal(*rows, abs_tol=1e-3)
    a, b = (
        game().play(s, until=1).learner for s in (FullRetrain(), Chain({"retrain": FullRetrain(), "align": Align()}))
    )
    old = game().play(Frozen(), until=1).learner.embed()
    users = torch.arange(60).numpy()
    assert torch.allclose(a.scorer().scores(users, 40), b.scorer().scores(users, 40), atol=1e-4)
    far = [float((x.embed().item[: len(old.item)] - old.item).square().sum()) for x in (a, b)]
    assert far[1] < far[0]  # both began at the same rows, so there is little to turn


def test_an_encoder_that_mixes_columns_cannot_be_turned():
    own = Game(game().stream, lambda: Learner(NGCF(8, 2), Joint(width=8), FIT, measure=MEASURE))
    with pytest.raises(GnnrecError, match="NGCF does not turn its embeddings"):
        own.play(Chain({"retrain": FullRetrain(), "align": Align()}), until=1)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("kind", [FullRetrain, WarmRetrain])
def test_a_window_of_all_increments_is_the_whole_history(kind):
    a, b = game().play(kind()), game().play(kind(increments=99))
    assert not differing(learnt(a.prints[3]), learnt(b.prints[3]))


@pytest.mark.usefixtures("one_thread")
def test_a_window_of_one_increment_fits_on_that_alone():
    a, b = game().play(WarmRetrain(increments=1)), game().play(FineTune())
    assert not differing(learnt(a.prints[3]), learnt(b.prints[3]))


def test_a_window_holds_the_newest_increments():
    strategy, new = FullRetrain(increments=2), [i.observed for i in game().stream.increments]
    for each in new[:3]:
        strategy.consolidate(None, each)
    data = strategy.data(new[3].train, new[3])
    assert data.time.tolist() == [*new[2].train.time, *new[3].train.time]
    with pytest.raises(GnnrecError, match=r"strategy\.increments=0 must be 1 or more"):
        FullRetrain(increments=0)


def test_the_seed_of_a_run_moves_the_seeds_of_all_parts():
    chain = fresh(Chain({"replay": Replay(seed=1), "pull": Pull()}), seed=3)
    assert [part.seed for part in chain.parts.values()] == [4, 3]
    assert [s.seed for s in fresh(Selector({"replay": Replay(seed=1)}), seed=3).candidates.values()] == [4]
