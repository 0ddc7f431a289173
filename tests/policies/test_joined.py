"""Increments that waited are taken up as one: nothing is lost, nothing comes twice, and order and numbers are kept."""

from __future__ import annotations

import numpy as np
import pytest

from gnnrec.data.simulate.world import SimulatedWorld
from gnnrec.data.stream.cuts import ByCount
from gnnrec.data.stream.joined import joined
from gnnrec.data.stream.removals import with_removals
from gnnrec.data.types import Interactions
from gnnrec.testing.worlds import simulated


def parts(stream, *indices):
    return [stream.increments[t].observed for t in indices]


def same(a, b):
    return all(np.array_equal(x, y, equal_nan=True) for x, y in zip(a.columns, b.columns, strict=True))


def test_one_is_itself():
    (one,) = parts(simulated(), 2)
    assert joined([one]) is one


def test_all_events_are_there_once_and_valid_is_the_newest():
    stream = simulated(increments=4)
    old, middle, new = parts(stream, 1, 2, 3)
    found = joined([old, middle, new])
    assert (found.index, found.first) == (3, 1)
    assert found.train is found.arrived
    expected = [old.train, old.valid, middle.train, middle.valid, new.train]
    assert same(found.train, Interactions.concat(expected))
    assert same(found.valid, new.valid)
    assert same(found.folded, new.folded)
    assert (found.num_users, found.num_items) == (new.num_users, new.num_items)
    assert np.array_equal(found.user_key, new.user_key)


def test_a_half_that_was_selected_on_is_trained_on_once():
    log = SimulatedWorld(users=60, items=40, events=800).load()
    for graph in ("strict", "fold_in"):
        stream = ByCount(increments=4, split="next_half", graph=graph).build(log)
        old, new = parts(stream, 1, 2)
        found = joined([old, new])
        assert same(found.train, Interactions.concat([old.train, new.train])), graph
        absorbed = Interactions.concat([old.arrived, old.folded, new.arrived])
        assert same(found.arrived, absorbed), graph


def test_what_is_taken_back_before_it_was_absorbed_is_left_out():
    stream = simulated(increments=3)
    user = stream.users[stream.increments[1].observed.train.user[0]]
    stream = with_removals(stream, {2: [(str(user), None)]})
    old, new = parts(stream, 1, 2)
    number = int(np.flatnonzero(stream.users == user)[0])
    found = joined([old, new])
    since = new.arrived.user == number  # what came again with the newer one stays
    assert (found.train.user == number).sum() == since.sum()
    base = stream.increments[0].observed
    held = sum(int((x.user == number).sum()) for x in (base.arrived, base.folded))
    assert len(found.removed) == held
    assert len(new.removed) > held


def test_a_gap_is_refused_and_joined_increments_are_none():
    from gnnrec.core.errors import GnnrecError
    from gnnrec.encoders.lightgcn import LightGCN
    from gnnrec.learner import Learner
    from gnnrec.objectives.joint import Joint
    from gnnrec.testing.worlds import FIT, MEASURE

    stream = simulated(increments=3)
    base, one, two, three = parts(stream, 0, 1, 2, 3)
    learner = Learner(LightGCN(8, 2), Joint(width=8), FIT, measure=MEASURE)
    learner.extend(base)
    learner.absorb(base)
    with pytest.raises(GnnrecError, match="increment 3 cannot follow increment 0"):
        learner.extend(three)
    with pytest.raises(GnnrecError, match="increment 2 cannot follow increment 0"):
        learner.extend(joined([two, three]))
    learner.extend(joined([one, two, three]))
    assert learner.index == 3
