"""Leaky copies of a strategy are found, each by its name; what ships is not."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from gnnrec.cli.main import main
from gnnrec.config.compose import compose
from gnnrec.core.errors import GnnrecError
from gnnrec.data.stream.cuts import ByCount
from gnnrec.data.types import Interactions
from gnnrec.encoders.lightgcn import LightGCN
from gnnrec.leaks.checks import _valid, check, leaky
from gnnrec.leaks.plays import RunParts, played, served
from gnnrec.leaks.subject import _parts, check_row, small_log, smaller
from gnnrec.leaks.subject import unselected as unselected_config
from gnnrec.leaks.twins import some_users, twins
from gnnrec.learner import Learner
from gnnrec.objectives.joint import Joint
from gnnrec.outside.row import Outside
from gnnrec.strategies.fine_tune import FineTune
from gnnrec.strategies.replay import Replay
from gnnrec.testing.worlds import MEASURE, dataset, make_learner
from gnnrec.training.settings import FitSettings
from gnnrec.untrained.itemknn import NearestItems

STEPS = FitSettings(lr=0.05, batch_size=128, budget="equal", steps=40)


UNSCORED = replace(MEASURE, matrix="off")


class Keeping(FineTune):
    """Fine-tuning that has kept the stream."""

    def __init__(self, stream):
        super().__init__()
        self.stream = stream

    def to_come(self, new):
        """Return the events to come of known users and items."""
        future = self.stream.increments[new.index].upcoming
        return future.take((future.user < new.num_users) & (future.item < new.num_items))


class Fitting(Keeping):
    """Trains on what is to come."""

    def data(self, events, new):
        future = self.to_come(new)
        inside = np.isin(future.user, events.user) & np.isin(future.item, events.item)
        return Interactions.concat([events, future.take(inside)])


class Choosing(Keeping):
    """Tries eight tables and keeps the one that does best on what is to come."""

    def finish(self, learner, new):
        future, table, item = self.to_come(new), learner.encoder.user.weight.detach(), learner.encoder.item.weight
        rng = torch.Generator().manual_seed(0)
        tries = [table + 0.02 * torch.randn(table.shape, generator=rng) for _ in range(8)]
        known = (future.user < len(table)) & (future.item < len(item))
        user, other = torch.from_numpy(future.user[known]), torch.from_numpy(future.item[known])
        learner.write(user=max(tries, key=lambda x: float((x[user] * item[other]).sum())))


class Counting(Keeping):
    """Scales its items by how many there will ever be."""

    def finish(self, learner, new):
        learner.write(item=learner.encoder.item.weight.detach() * (1 + len(self.stream.items) / 1000))


class Waiting(Keeping):
    """Scales its items by when the log will end."""

    def finish(self, learner, new):
        end = max(i.upcoming.time.max(initial=0) for i in self.stream.increments)
        learner.write(item=learner.encoder.item.weight.detach() * float(np.exp(new.train.time.max() / end - 1)))


class FittingValid(FineTune):
    """Trains on what is there to select by."""

    def data(self, events, new):
        known = np.isin(new.valid.user, new.arrived.user) & np.isin(new.valid.item, new.arrived.item)
        return Interactions.concat([events, new.valid.take(known)])


@cache
def logs():
    return twins(small_log(), ByCount(increments=3).build)


def unselected(setting):
    return Learner(LightGCN(8, 2), Joint(width=8), STEPS, STEPS, measure=setting.measure)


def found(strategy):
    """Return the verdict and the sentence of every check."""
    plays = (
        played(RunParts(learner, strategy, lambda _: UNSCORED)) for learner in (lambda _: make_learner(), unselected)
    )
    play, fixed = plays
    return {f.check: f for f in check(play, logs(), unselected=fixed)}


def leaks(strategy):
    return {name for name, f in found(strategy).items() if f.verdict == "LEAK"}


def test_a_strategy_that_trains_on_what_is_to_come_is_found_by_planted_pairs():
    said = found(Fitting)
    assert {n for n, f in said.items() if f.verdict == "LEAK"} == {"future_events", "test_slices", "fitted_on_future"}
    assert "t=1 encoder.item.weight" in said["future_events"].text
    assert "edges of the future are fitted" in said["fitted_on_future"].text


def test_one_that_chooses_by_what_is_to_come_is_told_from_one_that_trains_on_it():
    named = leaks(Choosing)
    assert {"future_events", "chosen_on_future"} <= named
    assert "fitted_on_future" not in named
    assert "future_ids" not in named


def test_one_that_counts_ids_of_the_future_is_named():
    named = leaks(Counting)
    assert {"future_events", "future_ids"} <= named
    assert not named & {"fitted_on_future", "chosen_on_future"}


def test_one_that_knows_when_the_log_ends_is_found():
    assert "future_events" in leaks(Waiting)


def test_one_that_trains_on_valid_is_named():
    assert leaks(FittingValid) == {"fitted_on_valid"}


@pytest.mark.parametrize("strategy", [FineTune, lambda: Replay(budget=60)])
def test_what_ships_has_no_leak(strategy):
    said = found(lambda _: strategy())
    assert [f.text for f in said.values() if f.verdict != "ok"] == []
    assert not leaky(list(said.values()))


class Lists:
    """Ranks by the events of an item, with faults to choose from."""

    def __init__(self, future=None, extra=0, remembers=False, chance=False):
        self.future, self.extra, self.remembers, self.chance = future, extra, remembers, chance
        self.asked = 0

    def fit(self, observed):
        self.items = observed.num_items
        self.counts = np.bincount(observed.events.item, minlength=self.items).astype(float)
        if self.future is not None:
            held = Interactions.concat([i.upcoming for i in self.future.increments])
            self.counts += 3 * np.bincount(held.item[held.item < self.items], minlength=self.items)
        if self.chance:
            self.counts += np.random.default_rng().random(self.items)

    def recommend(self, users, k):
        order = np.argsort(-np.roll(self.counts, self.asked), kind="stable")[: max(1, k - self.extra)] + self.extra
        self.asked += self.remembers * len(users)
        return np.broadcast_to(order, (len(users), len(order)))


def outside(**faults):
    make = lambda stream, **more: Outside(Lists(**faults, **more))  # noqa: E731
    if "future" in faults:
        make = lambda stream: Outside(Lists(**{**faults, "future": stream}))  # noqa: E731
    return {f.check: f for f in check(served(make), logs(), asked=served(make, asked_before=True))}


def test_a_model_from_outside_is_judged_alike():
    assert {f.verdict for f in outside().values()} == {"ok"}
    assert outside(future=True)["future_events"].verdict == "LEAK"
    assert outside(extra=3)["future_ids"].verdict == "LEAK"
    (only,) = outside(chance=True).values()
    assert (only.check, only.verdict) == ("repeatable", "n/a")
    assert leaky([only])


def test_one_whose_lists_depend_on_who_was_asked_before_is_found():
    assert outside(remembers=True)["who_is_asked"].verdict == "LEAK"


class ByCompany(Lists):
    """Ranks by whom it is asked for: since it was fitted, in one call, or first in it."""

    def __init__(self, how):
        super().__init__()
        self.how, self.who = how, set()

    def recommend(self, users, k):
        self.who = {*(self.who if self.how == "ever" else ()), *users.tolist()}
        shift = int(users[0]) if self.how == "first" else len(self.who)
        order = np.argsort(-np.roll(self.counts, shift), kind="stable")[:k]
        return np.broadcast_to(order, (len(users), len(order)))


@pytest.mark.parametrize("how", ["ever", "together", "first"])
def test_one_whose_lists_depend_on_who_else_is_asked_for_is_found(how):
    said = {f.check: f for f in check_row(lambda: Outside(ByCompany(how)))}
    assert {name for name, f in said.items() if f.verdict == "LEAK"} == {"who_is_asked"}
    assert "by themselves" in said["who_is_asked"].text


def test_a_split_that_looks_ahead_is_no_fault_of_a_model():
    def cut(log):
        rare = np.bincount(log.item_code)[log.item_code] < 12
        kept = replace(log, **{n: getattr(log, n)[~rare] for n in ("user_code", "item_code", "value", "time")})
        return ByCount(increments=3).build(kept)

    with pytest.raises(GnnrecError, match="the split itself looks ahead"):
        twins(small_log(), cut)


@pytest.mark.parametrize(
    ("more", "verdict"), [(["stream.split=next_half", "encoder.width=8"], "ok"), (["encoder=inmo"], "n/a")]
)
def test_a_counter_that_valid_prefers_is_no_fit_on_valid(more, verdict):
    config = unselected_config(smaller(compose(["data=simulated", "strategy=fine_tune", *more])))
    streams = twins(small_log(), ByCount(increments=3, split=config["stream"]["split"]).build)
    play = played(_parts(config))
    said = _valid(play, streams, play(streams.true, 1))
    assert said.verdict == verdict, said.text


def test_a_row_that_trains_nothing_is_checked_too():
    assert {f.verdict for f in check_row(NearestItems)} == {"ok"}


def test_a_part_of_a_log_has_whole_users():
    log = dataset([1, 1, 2, 2, 3, 3], [1, 2, 1, 3, 2, 3], np.ones(6), np.arange(6.0))
    part = some_users(log, 4)
    assert len(part) in (2, 4)
    assert all(
        np.isin(np.flatnonzero(log.user == u), np.flatnonzero(np.isin(log.time, part.time))).all() for u in part.user
    )


def test_too_little_behind_the_moment_is_said():
    log = dataset(list("abcd") * 3, list("xyz") * 4, np.ones(12), np.arange(12.0))
    with pytest.raises(GnnrecError, match="looks at increment"):
        twins(log, ByCount(increments=1).build)


MODEL = '''"""A model from elsewhere."""

import numpy as np


class Popular:
    def fit(self, observed):
        self.counts = np.bincount(observed.events.item, minlength=observed.num_items)

    def recommend(self, users, k):
        return np.tile(np.argsort(-self.counts, kind="stable")[:k], (len(users), 1))


class Ahead(Popular):
    def recommend(self, users, k):
        return np.full((len(users), 1), len(self.counts))
'''


def test_the_command_names_a_leak_and_ends_with_1(tmp_path, monkeypatch, capsys):
    (tmp_path / "elsewhere_model.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    assert main(["leakcheck", "elsewhere_model:Popular"]) == 2
    assert "plugins.allow" in capsys.readouterr().err
    assert main(["leakcheck", "elsewhere_model:Popular", "--allow", "elsewhere_model."]) == 0
    assert "no leak found" in capsys.readouterr().out
    assert main(["leakcheck", "elsewhere_model:Ahead", "--allow", "elsewhere_model."]) == 1
    assert "LEAK  future_ids: Ahead.recommend names item" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["nothing_there"], "is no folder of a run"),
        (["filter", "--own-data"], "belong to the folder of a run"),
        (["popularity"], "is counted for every table"),
        (["gnnrec.untrained.popularity:Nobody"], "cannot be found"),
    ],
)
def test_what_cannot_be_checked_is_said(words, why, capsys):
    assert main(["leakcheck", *words]) == 2
    assert why in capsys.readouterr().err


def test_a_run_is_made_again_on_a_small_log_and_on_its_own(tmp_path, capsys):
    tiny = ["data.users=60", "data.items=40", "data.events=800", "stream.increments=3", "logger=none", "figures=false"]
    call = ["run", *tiny, "strategy=fine_tune", "encoder.width=8", "fit.max_epochs=1", f"output={tmp_path}"]
    assert main([*call, "fit.base.max_epochs=1"]) == 0
    (run,) = tmp_path.glob("fine_tune-*")
    capsys.readouterr()
    for more in ([], ["--own-data", "--events", "500"]):
        assert main(["leakcheck", str(run), *more]) == 0, more
        out = capsys.readouterr().out
        assert "no leak found" in out
        assert ("could tell nothing" in out) == ("\nn/a " in out)
