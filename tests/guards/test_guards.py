"""PROTOCOL.md rule 19 for every strategy: no future, no test data, the same treatment for all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from gnnrec.data.dataset import Dataset
from gnnrec.data.simulate.world import SimulatedWorld
from gnnrec.data.stream.cuts import ByCount
from gnnrec.data.types import Interactions, Stream
from gnnrec.encoders.lightgcn import LightGCN
from gnnrec.evaluation.record import Name
from gnnrec.learner import Learner
from gnnrec.objectives.joint import Joint
from gnnrec.runs.experiment import train_base
from gnnrec.scorers.blend import Grid
from gnnrec.strategies.adapted.expand import Expand
from gnnrec.strategies.adapted.igc import IGC
from gnnrec.strategies.adapted.prompt import GraphPrompt
from gnnrec.strategies.base import Strategy
from gnnrec.strategies.chain import Chain
from gnnrec.strategies.distil.contrastive import RELATIONS, ContrastiveDistill
from gnnrec.strategies.distil.ewc import EWC
from gnnrec.strategies.distil.graph_sail import GraphSAIL
from gnnrec.strategies.distil.pisa import PISA
from gnnrec.strategies.distil.piw import UserWeights
from gnnrec.strategies.distil.pull import Pull
from gnnrec.strategies.distil.scores import Distill, LightDistill
from gnnrec.strategies.fine_tune import FineTune
from gnnrec.strategies.fold_in import FoldInUsers
from gnnrec.strategies.frozen import Frozen
from gnnrec.strategies.full_retrain import FullRetrain, WarmRetrain
from gnnrec.strategies.influence import Influence
from gnnrec.strategies.parts import EMA, Align
from gnnrec.strategies.policies import LossRank, Proportional
from gnnrec.strategies.refresh import Refresh
from gnnrec.strategies.replay import Replay, Reservoir
from gnnrec.strategies.sml import SML
from gnnrec.strategies.stale import Stale
from gnnrec.strategies.unlearn import Unlearn
from gnnrec.testing.worlds import FIT, MEASURE, Game, dataset, differing, make_learner, simulated
from gnnrec.untrained.filter import GraphFilter

STRATEGIES = {
    "stale": Stale,
    "frozen": Frozen,
    "fine_tune": FineTune,
    "replay": lambda: Replay(budget=60),
    "replay_reservoir": lambda: Replay(budget=60, store=Reservoir(120)),
    "full_retrain": FullRetrain,
    "warm_retrain": WarmRetrain,
}
METHODS = {
    "replay_proportional": lambda: Replay(budget=60, policy=Proportional()),
    "replay_loss": lambda: Replay(budget=60, policy=LossRank()),
    "pull": lambda: Pull(0.1),
    "ewc": lambda: EWC(10.0, samples=40),
    "distill": lambda: Distill(best=5, others=5),
    "light_distill": LightDistill,
    "ema": EMA,
    "graph_sail": lambda: GraphSAIL(clusters=3),
    "lwc_kd_piw": lambda: ContrastiveDistill(relations=RELATIONS, layers=0.1, positives=3, weights=UserWeights(3, 4)),
    "pisa": lambda: PISA(clusters=3),
    "sml": lambda: SML(passes=1, hidden=8),
    "aligned_retrain": lambda: Chain({"retrain": FullRetrain(), "align": Align()}),
    "filter": lambda: Refresh(GraphFilter(half_life=200.0)),
    "fold_in": FoldInUsers,
    "igc": lambda: IGC(alike=3, nearest=2),
    "graph_prompt": lambda: GraphPrompt(period=2),
    "expand": lambda: Expand(columns=2),
    "unlearn": lambda: Unlearn(every=2),
    "unlearn_influence": lambda: Influence(sample=100, iterations=3),
}
"""Those of the field."""
SPLITS = {
    "within": {},
    "next_half_strict": {"split": "next_half"},
    "next_half_fold_in": {"split": "next_half", "graph": "fold_in"},
}

pytestmark = pytest.mark.usefixtures("one_thread")


def cut(log: Dataset, split: str) -> Stream:
    """Return the log as a stream."""
    return ByCount(increments=4, **SPLITS[split]).build(log)


@cache
def true_log() -> Dataset:
    """Return the log before anybody touches it."""
    made = SimulatedWorld(users=60, items=40, events=700).load()
    return dataset(made.user, made.item, made.value, made.time)


@cache
def true_game(split: str, learner: Callable[[], Learner] = make_learner) -> Game:
    """Return the run everything is compared with."""
    return Game(cut(true_log(), split), learner)


def learning_lengths() -> Learner:
    """Return a learner that looks at how earlier updates served what came next, to say how long to train."""
    fit = replace(FIT, budget="ahead", max_epochs=6)
    return Learner(LightGCN(8, 2), Joint(width=8), fit, FIT, grid=Grid(half_life=(100.0,)), measure=MEASURE)


def with_noise(rows: np.ndarray, seed: int = 0) -> Dataset:
    """Return the log with ids, old, future and new ones, and values of these rows replaced by noise; times stay."""
    log, rng = true_log(), np.random.default_rng(seed)
    user, item, value = log.user.copy(), log.item.copy(), log.value.copy()
    user[rows] = [f"{rng.choice(['u', 'noise'])}{rng.integers(60)}" for _ in range(rows.sum())]
    item[rows] = [f"{rng.choice(['i', 'noise'])}{rng.integers(40)}" for _ in range(rows.sum())]
    value[rows] = rng.integers(1, 6, rows.sum())
    return dataset(user, item, value, log.time)


def after_observed(stream: Stream, t: int) -> np.ndarray:
    """Return which rows of the log come after everything that Observed(t) holds."""
    seen = stream.increments[t].observed
    return true_log().time > max(seen.train.time.max(), seen.valid.time.max())


def past(played, t: int) -> pl.DataFrame:
    """Return the rows that events up to Observed(t) decide: costs and valid up to t, scores on increments before t."""
    decided = pl.col("split").is_in(["cost", "valid"]) & (pl.col("trained_to") <= t)
    scored = pl.col("split").is_in(["next", "test"]) & (pl.col("evaluated_on") < t) & (pl.col("trained_to") <= t)
    return played.results().filter(decided | scored)


def under_the_same_mask(game: Game, true: Game) -> Game:
    """Return the game with its R masked by what users absorb in the true stream.

    R alone masks what a user will absorb, alike for every row and every t (PROTOCOL.md rule 7): of a scrambled future that
    mask, and nothing else, may differ. Nothing but R reads the last world's pairs before the last increment.
    """
    *before, last = game.setting.worlds
    game.setting = replace(game.setting, worlds=[*before, replace(last, seen=true.setting.worlds[-1].seen)])
    game.base = train_base(game.learner(), game.setting, Name("test", "s", 0))
    return game


@cache
def scrambled_game(split: str, t: int, learner: Callable[[], Learner]) -> Game:
    """Return the run in which everything after Observed(t) is noise."""
    true = true_game(split, learner)
    noise = Game(cut(with_noise(after_observed(true.stream, t), seed=t), split), learner)
    return under_the_same_mask(noise, true)


def leaks(make, split: str, t: int, learner: Callable[[], Learner] = make_learner) -> list[str]:
    """Return what of the run up to t changes when everything after Observed(t) becomes noise."""
    true, scrambled = true_game(split, learner), scrambled_game(split, t, learner)
    one, other = (g.play(make(g.stream) if make is Peeking else make()) for g in (true, scrambled))
    assert scrambled.stream.fingerprint != true.stream.fingerprint
    base = [
        n for n, x in true.base.weights.items() if x.numpy().tobytes() != scrambled.base.weights[n].numpy().tobytes()
    ]
    changed = [f"t={n} {name}" for n in range(1, t + 1) for name in differing(one.prints[n], other.prints[n])]
    assert past(one, t).height
    return base + changed + ([] if past(one, t).equals(past(other, t)) else ["results"])


@pytest.mark.parametrize("t", [0, 1, 3])
@pytest.mark.parametrize("name", STRATEGIES)
def test_scrambling_the_future_changes_nothing_before_it(name, t):
    assert leaks(STRATEGIES[name], "within", t) == []


@pytest.mark.parametrize("split", ["next_half_strict", "next_half_fold_in"])
@pytest.mark.parametrize("name", STRATEGIES)
def test_scrambling_the_future_changes_nothing_under_next_half(name, split):
    assert leaks(STRATEGIES[name], split, 2) == []


@pytest.mark.parametrize("name", METHODS)
def test_scrambling_the_future_changes_nothing_in_methods_of_the_field(name):
    assert leaks(METHODS[name], "within", 3) == []


@pytest.mark.parametrize("t", [1, 3])
@pytest.mark.parametrize("name", ["fine_tune", "replay", "full_retrain"])
def test_scrambling_the_future_changes_nothing_where_lengths_are_learnt_from_what_came_next(name, t):
    assert leaks(STRATEGIES[name], "within", t, learning_lengths) == []
    played = true_game("within", learning_lengths).play(STRATEGIES[name]())
    assert played.learner.fits.ahead.chosen(6) is not None


def test_only_r_looks_ahead_and_only_in_its_mask():
    t, true = 3, true_game("within")
    scrambled = Game(cut(with_noise(after_observed(true.stream, t), seed=t), "within"))
    one, other = (past(g.play(FineTune()), t) for g in (true, scrambled))
    differs = pl.col("value") != other["value"]
    assert set(one.filter(differs)["split"]) == {"test"}
    assert one.drop("value").equals(other.drop("value"))


class Peeking(FineTune):
    """Trains on the increment to come, as leaky code does."""

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self.stream = stream

    def data(self, events, new):
        future = self.stream.increments[new.index].upcoming
        known = np.isin(future.user, events.user) & np.isin(future.item, events.item)
        return Interactions.concat([events, future.take(known)])


def test_the_scramble_catches_a_strategy_that_peeks():
    assert "t=1 encoder.user.weight" in leaks(Peeking, "within", 1)


def test_rows_before_the_cut_matter():
    stream = true_game("within").stream
    earlier = true_log().time > stream.increments[1].observed.train.time[-20]
    changed = Game(cut(with_noise(earlier), "within")).play(FineTune())
    assert differing(true_game("within").play(FineTune()).prints[1], changed.prints[1])


def is_test(stream: Stream) -> np.ndarray:
    """Return which rows of the log lie in a test slice."""
    times = np.concatenate([i.test.time for i in stream.increments])
    return np.isin(true_log().time, times)


def predictions(played) -> list[bytes]:
    """Return scores of every known item for every known user, and expected values."""
    learner = played.learner
    user, items = np.arange(learner.seen.num_users), learner.seen.num_items
    scores = [s.scores(user, items).numpy().tobytes() for s in (learner.scorer(), learner.blend_scorer())]
    return [*scores, learner.scorer().predict(user, user % items).tobytes()]


@pytest.mark.parametrize("name", METHODS)
def test_poisoned_test_rows_change_nothing_in_methods_of_the_field(name):
    unchanged_by_poison(METHODS[name], poisoned_game("every test row"))


@pytest.mark.parametrize("only", ["every test row", "one test row"])
@pytest.mark.parametrize("name", STRATEGIES)
def test_poisoned_test_rows_change_no_model_graph_or_prediction(name, only):
    unchanged_by_poison(STRATEGIES[name], poisoned_game(only))


@cache
def poisoned_game(only: str) -> Game:
    """Return the run in which every test row, or one, is noise."""
    rows = is_test(true_game("within").stream)
    assert rows.sum() >= 5
    if only == "one test row":
        rows[np.flatnonzero(rows)[:-1]] = False
    return Game(cut(with_noise(rows, seed=9), "within"))


def unchanged_by_poison(make: Callable[[], Strategy], poisoned: Game) -> None:
    """Check that noise in some rows changes results and nothing that leads to them."""
    game = true_game("within")
    one, other = (g.play(make()) for g in (game, poisoned))
    for t in one.prints:
        assert not differing(one.prints[t], other.prints[t])
    assert predictions(one) == predictions(other)
    assert not one.results().equals(other.results())


class Recording(FineTune):
    """Fine-tuning that keeps what it learnt, before valid is absorbed."""

    def __init__(self) -> None:
        super().__init__()
        self.learnt: dict[int, dict] = {}

    def update(self, learner, new):
        learner.extend(new)
        learner.fit(new.train)
        self.learnt[new.index] = learner.state_dict()
        learner.absorb(new)


class Copying(Strategy):
    """Trains nothing and takes another one's weights."""

    def __init__(self, learnt) -> None:
        super().__init__()
        self.learnt = learnt

    def update(self, learner, new):
        learner.extend(new)
        learner.load_state_dict(self.learnt[new.index])
        learner.absorb(new)


class Renamed(FineTune):
    """Fine-tuning under another name."""


def test_copied_weights_and_another_name_get_identical_rows():
    game, recording = Game(simulated()), Recording()
    rows = [game.play(recording, name="a").results()]
    rows += [
        game.play(s, name=n).results()
        for s, n in ((FineTune(), "b"), (Copying(recording.learnt), "c"), (Renamed(), "d"))
    ]
    scored = [r.filter(~pl.col("split").is_in(["cost", "fit"])).drop("strategy") for r in rows]
    for other in scored[1:]:
        assert_frame_equal(scored[0], other, check_exact=True)
    assert_frame_equal(rows[1].drop("strategy"), rows[3].drop("strategy"), check_exact=True)
    assert set(rows[3]["strategy"]) == {"d"}
