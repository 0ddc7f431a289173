"""How lists of another library are set beside gnnrec's: by user, ties told from what differs otherwise."""

from __future__ import annotations

import numpy as np
import pytest
import with_recbole
from with_recbole import PAIRINGS, Side, by_gnnrec, lines, read_back, tied

from gnnrec.data.simulate.world import SimulatedWorld
from gnnrec.data.stream.cuts import ByCount
from gnnrec.interop.extract import split
from gnnrec.interop.recbole import write_recbole

POPULAR, NEAREST = PAIRINGS[1], PAIRINGS[3]


@pytest.fixture(scope="module")
def back(tmp_path_factory):
    log = SimulatedWorld(users=60, items=60, events=900, arrivals=0.6).load()
    folder = tmp_path_factory.mktemp("split") / "cut"
    write_recbole(split(log, ByCount(increments=3).build(log), 1), folder)
    return read_back(folder)


def answered(pairing, back):
    stream, world, settings = back
    made = pairing.fitted(stream, everything=False)
    return made, by_gnnrec(made, stream, world, settings)


@pytest.mark.parametrize("pairing", [POPULAR, NEAREST])
def test_beside_itself_nobody_differs_and_users_with_and_without_events_are_apart(back, pairing):
    _, own = answered(pairing, back)
    shuffled = np.random.default_rng(0).permutation(len(own.users))
    theirs = Side([own.users[n] for n in shuffled], own.recall[shuffled], own.ndcg[shuffled], own.lists[shuffled])
    table = lines(pairing, theirs, *back)
    assert [row[1].split(" ", 1)[1] for row in table] == ["with events in train", "without events in train"]
    assert sum(int(row[1].split()[0]) for row in table) == len(own.users)
    assert all(row[2] == row[3] and row[4:6] == ["0", "0"] for row in table)


def test_lists_that_differ_by_equal_scores_are_ties_and_others_are_not(back):
    stream = back[0]
    made, own = answered(POPULAR, back)
    user_at = {u: n for n, u in enumerate(stream.users)}
    item_at = {i: n for n, i in enumerate(stream.items)}
    lists = own.lists.copy()
    scores = made.scores(np.array([user_at[own.users[0]]]), len(stream.items))[0].numpy()
    counts = [scores[item_at[i]] for i in lists[0]]
    alike = next(n for n in range(len(counts) - 1) if counts[n] == counts[n + 1])
    lists[0, [alike, alike + 1]] = lists[0, [alike + 1, alike]]
    lists[1, [0, -1]] = lists[1, [-1, 0]]
    assert tied(made, stream, own.users, lists, own.lists).tolist()[:3] == [True, False, True]
    theirs = Side(
        own.users, own.recall + np.eye(len(own.users))[0] * 0.5 + np.eye(len(own.users))[1] * 0.5, own.ndcg, lists
    )
    table = lines_of(back, theirs)
    assert (table[0], table[1]) == (2, 1)


def lines_of(back, theirs):
    """Return how many users differ, and how many of them by ties alone."""
    rows = lines(POPULAR, theirs, *back)
    return sum(int(row[4]) for row in rows), sum(int(row[5]) for row in rows)


def test_it_needs_the_python_of_an_environment_with_recbole(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["scripts/with_recbole.py", "data=simulated"])
    with pytest.raises(SystemExit):
        with_recbole.main()
    assert "--python" in capsys.readouterr().err
