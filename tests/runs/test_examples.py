"""The lists of five users that a run keeps: what would have been served, before and after; nothing else is changed by it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal

from gnnrec.data.simulate.world import SimulatedWorld
from gnnrec.data.stream.cuts import ByCount
from gnnrec.evaluation.beyond.examples import LENGTH, USERS, example_users, last_scored
from gnnrec.evaluation.evaluate import rank
from gnnrec.evaluation.record import EXAMPLES
from gnnrec.evaluation.reference import reference_rows
from gnnrec.runs import experiment, state
from gnnrec.runs.folder import read_frames, write_frames
from gnnrec.scorers.blend import Grid
from gnnrec.scorers.model import Scorer
from gnnrec.strategies.fine_tune import FineTune
from gnnrec.strategies.stale import Stale
from gnnrec.testing.worlds import Game, simulated


@cache
def game() -> Game:
    return Game(simulated(increments=4))


@cache
def played():
    return game().play(FineTune())


def asked(t: int = 3):
    setting = game().setting
    found = example_users(setting.stream, setting.worlds, setting.measure, t)
    assert found is not None
    return found


class BySeed(Scorer):
    """Scores every pair by a seed, without ties."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.table = torch.from_numpy(rng.random((500, 500), dtype=np.float32))

    def scores(self, user, num_items):
        return self.table[torch.from_numpy(user), :num_items].clone()


def test_five_of_those_who_count_one_of_them_new_the_same_ones_again():
    stream, worlds, measure = game().stream, game().setting.worlds, game().setting.measure
    assert last_scored(stream) == 3, "behind increment 4 nothing comes"
    found = asked()
    world = worlds[3]
    counted = measure.truth(stream.increments[3].upcoming, world.seen)
    assert len(found.names) == USERS
    assert set(found.truth.user.tolist()) <= set(counted.user.tolist())
    new = counted.user >= world.num_users
    assert 0 < new.sum() < len(new)
    assert sum(not known for known in found.known) == 1
    assert found.names == tuple(map(str, stream.users[found.truth.user]))
    assert found.taken() == {
        str(stream.users[u]): counted.item[counted.user[counted.row] == u].tolist() for u in found.truth.user.tolist()
    }
    assert found.names == asked().names
    another = example_users(stream, worlds, replace(measure, seed=1), 3)
    assert another is not None
    assert another.names != found.names
    assert example_users(stream, worlds, measure, 2) is None


def test_of_few_users_all_are_kept():
    made = ByCount(increments=2).build(SimulatedWorld(users=8, items=30, events=200, arrivals=0).load())
    few = Game(made).setting
    t = last_scored(made)
    found = example_users(made, few.worlds, few.measure, t)
    counted = few.measure.truth(made.increments[t].upcoming, few.worlds[t].seen)
    assert 0 < len(found.names) == min(USERS, len(counted.user))


def test_lists_are_those_that_are_ranked_and_hits_are_what_is_taken():
    setting, found, scorer = game().setting, asked(), BySeed(0)
    frame = found.lists({"a": scorer}, setting.worlds[3], setting.measure)["a"]
    top = rank(scorer, found.truth.user, setting.worlds[3], replace(setting.measure, topk=(LENGTH,)))
    want = {name: [i for i in listed if i >= 0] for name, listed in zip(found.names, top.tolist(), strict=True)}
    assert {n: own["item"].to_list() for (n,), own in frame.group_by("user", maintain_order=True)} == want
    taken = found.taken()
    assert frame["relevant"].to_list() == [i in taken[u] for u, i in frame.select("user", "item").iter_rows()]
    assert frame["relevant"].any()
    assert dict(frame.select("user", "known").unique().iter_rows()) == dict(zip(found.names, found.known, strict=True))
    seen = setting.worlds[3].seen
    number = dict(zip(found.names, found.truth.user.tolist(), strict=True))
    pairs = [(number[u], i) for u, i in frame.select("user", "item").iter_rows()]
    assert not seen.has(*(np.array(c) for c in zip(*pairs, strict=True))).any(), "what a user has is not shown"


def test_a_run_keeps_its_lists_before_and_after_the_last_update_that_is_scored():
    run, setting = game().play(Stale()), game().setting
    frame = run.record.frames()["examples"]
    assert frame.schema == EXAMPLES
    assert set(frame.select("scorer", "trained_to", "evaluated_on").iter_rows()) == {
        (scorer, t, 4) for scorer in ("model", "blend") for t in (2, 3)
    }
    assert frame.height <= 4 * USERS * LENGTH
    model = run.learner.serving()  # that of the base, still
    for t in (2, 3):
        own = frame.filter(scorer="model", trained_to=t).select("user", "known", "rank", "item", "relevant")
        assert_frame_equal(own, asked().lists({"": model}, setting.worlds[t], setting.measure)[""])


def test_reference_rows_have_them_too():
    made, setting = game().stream, game().setting
    frame = reference_rows("e", made, setting.worlds, setting.measure, Grid())["examples"]
    assert set(frame["strategy"]) >= {"popularity", "itemknn", "oracle"}
    assert frame["seed"].is_null().all()
    assert set(frame["user"]) == set(asked().names)
    popular = frame.filter(strategy="popularity", trained_to=2).sort("user", "rank")
    world, number = setting.worlds[2], dict(zip(asked().names, asked().truth.user.tolist(), strict=True))
    for (name,), own in popular.group_by("user", maintain_order=True):
        counts = world.popularity[own["item"].to_numpy()]
        assert (np.diff(counts) <= 0).all(), "before the update: by what had been absorbed by then"
        left = [
            i for i in range(world.num_items) if not world.seen.has(np.array([number[str(name)]]), np.array([i]))[0]
        ]
        assert counts.min() >= np.sort(world.popularity[left])[-LENGTH:].min()


def test_nothing_else_is_another_for_it(monkeypatch):
    expected = played()
    monkeypatch.setattr(experiment, "example_users", lambda *_: None)
    without = game().play(FineTune())
    assert "examples" not in without.record.frames()
    assert_frame_equal(without.results(), expected.results())
    assert without.prints == expected.prints
    for table in ("per_user", "predictions"):
        assert_frame_equal(without.record.frames()[table], expected.record.frames()[table])


@pytest.mark.parametrize("until", [2, 3, 4])
def test_a_run_that_is_gone_on_with_has_the_same(tmp_path, until):
    game().play(FineTune(), tmp_path, until=until)
    again = game().play(FineTune(), tmp_path) if until < 4 else None
    kept = state.load_newest(tmp_path)
    assert kept is not None
    assert_frame_equal(kept.tables["examples"], played().record.frames()["examples"])
    if again is not None:
        assert_frame_equal(again.record.frames()["examples"], played().record.frames()["examples"])


def test_where_no_update_is_scored_there_are_none(tmp_path):
    one = Game(simulated(increments=1))
    assert last_scored(one.stream) is None
    frames = one.play(Stale()).record.frames()
    assert "examples" not in frames
    write_frames(tmp_path, frames)
    assert set(read_frames(tmp_path)) == {"results", "per_user", "predictions"}
    write_frames(tmp_path, played().record.frames())
    assert isinstance(read_frames(tmp_path)["examples"], pl.DataFrame)
