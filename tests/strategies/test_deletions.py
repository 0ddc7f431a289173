"""A deletion travels the whole way: graph, masks, counters, biases, what strategies store, resume."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from polars.testing import assert_frame_equal

from gnnrec.core.errors import GnnrecError
from gnnrec.data.simulate.world import SimulatedWorld
from gnnrec.data.stream.cuts import ByCount
from gnnrec.data.stream.removals import read_removals, with_removals
from gnnrec.data.types import Interactions
from gnnrec.encoders.lightgcn import LightGCN
from gnnrec.evaluation import record
from gnnrec.evaluation.reference import reference_rows
from gnnrec.evaluation.world import worlds
from gnnrec.learner import Learner
from gnnrec.learner.waiting import Waiting
from gnnrec.objectives.joint import Joint
from gnnrec.scorers.blend import Grid
from gnnrec.strategies.fine_tune import FineTune
from gnnrec.strategies.frozen import Frozen
from gnnrec.strategies.full_retrain import FullRetrain
from gnnrec.strategies.replay import Replay, Reservoir
from gnnrec.testing.worlds import FIT, MEASURE, Game, daily, differing, interactions, simulated, some_rows

PLAIN = simulated()
BASE = PLAIN.increments[0].observed
GONE = int(np.bincount(BASE.train.user).argmax())
USER = PLAIN.users[GONE]
PAIR = next((u, i) for u, i in zip(BASE.train.user, BASE.train.item, strict=True) if u != GONE)
REMOVALS = {2: [(USER, None), (PLAIN.users[PAIR[0]], PLAIN.items[PAIR[1]])]}
STREAM = with_removals(PLAIN, REMOVALS)

pytestmark = pytest.mark.usefixtures("one_thread")


def game(rows="all"):
    fit = replace(FIT, budget="equal", steps=8, rows=rows)
    return Game(STREAM, lambda: Learner(LightGCN(8, 2), Joint(width=8), fit, FIT, measure=MEASURE))


GAMES = {rows: game(rows) for rows in ("all", "touched")}
MAKERS = {
    "fine_tune": FineTune,
    "frozen": Frozen,
    "replay": lambda: Replay(50),
    "reservoir": lambda: Replay(50, Reservoir(80)),
    "full_retrain": FullRetrain,
}


def test_an_increment_names_every_event_that_was_absorbed_and_no_other():
    removed = STREAM.increments[2].observed.removed
    earlier = [e for i in PLAIN.increments[:2] for e in (i.observed.arrived, i.observed.folded)]
    count = sum(int((e.user == GONE).sum() + ((e.user == PAIR[0]) & (e.item == PAIR[1])).sum()) for e in earlier)
    assert len(removed) == count > 1
    assert not len(STREAM.increments[1].observed.removed)
    assert STREAM.fingerprint != PLAIN.fingerprint


@pytest.mark.parametrize("rows", GAMES)
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_nothing_keeps_a_removed_pair(make, rows):
    played = GAMES[rows].play(make(), until=2)
    learner, removed = played.learner, STREAM.increments[2].observed.removed
    assert not learner.seen.has(removed.user, removed.item).any()
    assert learner.graph is learner.seen
    assert learner.counters.popularity.total.sum() == len(learner_events(2))
    stored = getattr(played.strategy, "stored", getattr(played.strategy, "history", None))
    stored = getattr(stored, "events", stored)
    if stored is not None:
        pairs = set(zip(stored.user.tolist(), stored.item.tolist(), strict=True))
        assert not pairs & set(zip(removed.user.tolist(), removed.item.tolist(), strict=True))


def learner_events(t):
    """Return the events that are absorbed and not taken back after increment t."""
    held = []
    for increment in STREAM.increments[: t + 1]:
        new = increment.observed
        gone = set(zip(new.removed.user, new.removed.item, strict=True))
        held = [pair for pair in held if pair not in gone]
        held += [p for e in (new.arrived, new.folded) for p in zip(e.user, e.item, strict=True)]
    return held


def test_the_world_and_the_learner_agree():
    played, setting = GAMES["all"].play(FineTune()), GAMES["all"].setting
    for t in (2, 3):
        world = setting.worlds[t]
        assert world.seen.num_edges == len(set(learner_events(t)))
        assert world.popularity.sum() == len(learner_events(t))
    assert set(zip(*played.learner.seen.edges(), strict=True)) == set(learner_events(3))


def test_the_mask_of_the_matrix_holds_what_was_ever_absorbed():
    absorbed = [e for i in STREAM.increments for e in (i.observed.arrived, i.observed.folded)]
    for t in range(len(STREAM.increments)):
        for _, held in record.tests(STREAM, t, GAMES["all"].setting.worlds, MEASURE):
            assert all(held.seen.has(events.user, events.item).all() for events in absorbed)
    removed = STREAM.increments[2].observed.removed
    assert not GAMES["all"].setting.worlds[2].seen.has(removed.user, removed.item).any()
    assert all(world.ever is None for world in worlds(PLAIN))


def test_the_reference_rows_count_what_is_left():
    frames = reference_rows("e", STREAM, worlds(STREAM), MEASURE, Grid(half_life=(100.0,)))
    plain = reference_rows("e", PLAIN, worlds(PLAIN), MEASURE, Grid(half_life=(100.0,)))
    mse = [f["results"].filter(strategy="bias", metric="mse", split="next")["value"].to_list() for f in (frames, plain)]
    assert mse[0][:2] == mse[1][:2]
    assert mse[0][2] != mse[1][2]


@pytest.mark.parametrize("rows", GAMES)
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_a_resumed_run_ends_with_the_same_bytes(make, rows, tmp_path):
    whole = GAMES[rows].play(make(), tmp_path / "whole")
    GAMES[rows].play(make(), tmp_path / "torn", until=2)
    resumed = GAMES[rows].play(make(), tmp_path / "torn")
    assert not differing(whole.prints[3], resumed.prints[3])
    assert_frame_equal(whole.results(), resumed.results(), check_exact=True)


def test_the_biases_of_a_user_without_events_are_those_of_nobody():
    for make in (FineTune, Frozen):
        learner = GAMES["all"].play(make(), until=2).learner
        back = np.concatenate(
            [e.user for e in (STREAM.increments[2].observed.train, STREAM.increments[2].observed.valid)]
        )
        if GONE not in back:
            assert float(learner.objective.bias.user.weight[GONE]) == 0.0
        assert learner.objective.bias.user_count.weight.min() >= 0


def test_nothing_that_is_taken_back_is_trained_on_with_the_same_increment():
    """Under `next_half` an increment trains on what was folded in before it."""
    world = SimulatedWorld(users=60, items=40, events=800).load()
    plain = ByCount(increments=4, split="next_half", graph="fold_in").build(world)
    user = int(np.bincount(plain.increments[1].observed.folded.user).argmax())
    stream = with_removals(plain, {2: [(plain.users[user], None)]})
    played = Game(stream, GAMES["all"].learner).play(FullRetrain(), until=2)
    history = played.strategy.history.events
    assert len(stream.increments[2].observed.removed)
    assert played.learner.seen.has(history.user, history.item).all()


@pytest.mark.parametrize("wait", [0, 1, 2])
def test_of_a_pair_that_came_twice_each_event_goes_from_where_it_is(wait):
    events = interactions([(0, 0), (0, 0)], [5.0, 1.0])
    waiting, retracted = Waiting(), []
    waiting.add(STREAM.increments[1].observed, events.take(slice(2 - wait, 2)))

    class Objective:
        def retract(self, gone):
            retracted.extend(gone.value.tolist())

    waiting.take_back(events, Objective())
    assert retracted == events.value[: 2 - wait].tolist()
    assert not len(waiting)


def test_removals_that_cannot_be_are_refused():
    with pytest.raises(GnnrecError, match="removes in 1 to 3"):
        with_removals(PLAIN, {4: [(USER, None)]})
    with pytest.raises(GnnrecError, match="the user 'nobody'"):
        with_removals(PLAIN, {1: [("nobody", None)]})


def test_a_file_says_what_is_taken_back(tmp_path):
    path = tmp_path / "removals.csv"
    user, item = (ids[number] for ids, number in zip((PLAIN.users, PLAIN.items), PAIR, strict=True))
    path.write_text(f"user,increment,item\n{USER},2,\n{user},2,{item}\n")
    assert read_removals(path) == REMOVALS
    log = SimulatedWorld(users=60, items=40, events=800).load()
    stream = ByCount(increments=3, removals=str(path)).build(log)
    assert stream.fingerprint == STREAM.fingerprint
    for one, other in zip(stream.increments, STREAM.increments, strict=True):
        assert differing_columns(one.observed.removed, other.observed.removed) == []


def test_everything_of_an_item_is_taken_back(tmp_path):
    path, item = tmp_path / "removals.csv", PLAIN.items[PAIR[1]]
    path.write_text(f"increment,user,item\n2,,{item}\n")
    assert read_removals(path) == {2: [(None, item)]}
    removed = with_removals(PLAIN, read_removals(path)).increments[2].observed.removed
    before = [e for i in PLAIN.increments[:2] for e in (i.observed.arrived, i.observed.folded)]
    assert set(removed.item.tolist()) == {PAIR[1]}
    assert len(removed) == sum(int((e.item == PAIR[1]).sum()) for e in before) > 1


def differing_columns(one, other):
    """Return the columns in which two sets of events differ."""
    return [c for c in ("user", "item", "value", "time") if not np.array_equal(getattr(one, c), getattr(other, c))]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "is no file"),
        ("user,item\na,b\n", "needs the columns increment, user, item, got user, item"),
        ("increment,user,item\nlast,a,b\n", "line 2: needs an increment"),
        ("increment,user,item\n1,u1,\n2,,\n", "line 3: needs an increment"),
        ("increment,user,item\n1,,nothing\n", "the item 'nothing'"),
        ("increment,user,item\n1,nobody,\n", "the user 'nobody'"),
        ("increment,user,item\n9,u1,\n", "removes in 1 to 3"),
        ("increment,user,item\n1,u1,\n1,u2\n", "line 3: 2 fields, the header has 3"),
        ("", "needs the columns increment, user, item, got $"),
        ('increment,user,item\n1,"u1,\n', "cannot be read as CSV"),
    ],
)
def test_a_file_that_names_nothing_to_take_back_is_refused(text, message, tmp_path):
    path = tmp_path / "removals.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(GnnrecError, match=message):
        ByCount(increments=3, removals=str(path)).build(SimulatedWorld(users=60, items=40, events=800).load())


def test_a_file_without_lines_takes_nothing_back(tmp_path):
    path = tmp_path / "removals.csv"
    path.write_text("increment,user,item\n")
    log = SimulatedWorld(users=60, items=40, events=800).load()
    assert ByCount(increments=3, removals=str(path)).build(log).fingerprint == PLAIN.fingerprint


def test_what_was_never_absorbed_is_passed_over_everywhere():
    removed = STREAM.increments[2].observed.removed
    strange = replace(removed.take(slice(0, 1)), value=np.array([9.5]))
    more = replace(STREAM.increments[2].observed, removed=Interactions.concat([removed, strange]).owned())
    increments = [*STREAM.increments]
    increments[2] = replace(increments[2], observed=more)
    stream = replace(STREAM, increments=tuple(increments))
    one, other = (Game(s, GAMES["all"].learner).play(FullRetrain(), until=2) for s in (STREAM, stream))
    assert not differing(one.prints[2], other.prints[2])
    rows = [reference_rows("e", s, worlds(s), MEASURE, Grid(half_life=(100.0,)))["results"] for s in (STREAM, stream)]
    assert_frame_equal(*rows, check_exact=True)


def repeated():
    """Return a stream whose first pair comes three times in the base; increment 2 takes back the newest but one of them."""
    days = [some_rows(60, seed=d) for d in range(3)]
    first = days[0][0]
    stream = daily([first, (*first[:2], 1.0), (*first[:2], 2.0), *days[0][1:]], *days[1:])
    base, second = (stream.increments[t].observed for t in (0, 2))
    user, item = (ids.tolist().index(first[n]) for n, ids in enumerate((stream.users, stream.items)))
    held = Interactions.concat([base.arrived, base.folded])
    at = np.flatnonzero((held.user == user) & (held.item == item))
    assert len(at) == 3
    gone = held.take(at[-2:-1])
    second = replace(second, removed=gone.owned())
    first_two, rest = stream.increments[:2], stream.increments[3:]
    return replace(stream, increments=(*first_two, replace(stream.increments[2], observed=second), *rest)), gone


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_one_of_several_events_of_a_pair_goes_alone(make):
    stream, gone = repeated()
    game = Game(stream)
    played = game.play(make(), until=2)
    learner, world = played.learner, game.setting.worlds[2]
    assert learner.seen.has(gone.user, gone.item).all()
    assert world.seen.has(gone.user, gone.item).all()
    np.testing.assert_array_equal(learner.counters.popularity.total, world.popularity)
    events = sum(len(e) for i in stream.increments[:3] for e in (i.observed.arrived, i.observed.folded))
    assert world.popularity.sum() == events - 1
    history = getattr(played.strategy, "absorbed", None)
    if history is not None:
        history = history.events
        assert sum(history.value == gone.value[0]) == sum(every(stream, 2).value == gone.value[0]) - 1
        assert len(history) == events - 1


def every(stream, t):
    """Return what increments up to t bring."""
    return Interactions.concat([e for i in stream.increments[: t + 1] for e in (i.observed.arrived, i.observed.folded)])


def test_of_equal_events_the_newest_goes_and_as_many_as_are_given():
    log = interactions([(0, 0), (1, 1), (0, 0), (0, 0)], [3, 3, 3, 4])
    log = replace(log, time=np.array([0.0, 0.0, 0.0, 1.0]))
    one = log.take(np.array([0]))
    assert log.without(one).value.tolist() == [3, 3, 4]
    np.testing.assert_array_equal(log.without(one).item, [0, 1, 0])
    assert log.without(Interactions.concat([one, one])).item.tolist() == [1, 0]
    assert len(log.without(replace(one, time=np.array([9.0])))) == 4
    assert log.without(Interactions.empty()) is log
