"""How often to update, by the decisions of a live run: what is known of waiting, and what cannot be told."""

from __future__ import annotations

from gnnrec.live.interval import break_even, served
from gnnrec.live.journal import ACCEPTED, KEPT, ROLLED_BACK, WAITS, Entry
from gnnrec.policies.break_even import best_interval

PRICE = 5.0


def decided(outcome, parent, quality, champion=0, seconds=0.0, rows=100):
    """Return a decision on versions by the quality of what served them."""
    versions = {str(v): "x" for v in quality}
    known = {str(v): q for v, q in quality.items()}
    return Entry(outcome, champion or parent, parent, versions, rows * len(quality), quality=known, seconds=seconds)


def journal(loss, versions=12, each=3):
    """Return the decisions of a run that is updated with every `each`-th version, and loses as much with each that waits."""
    entries = []
    for champion, first in enumerate(range(1, versions, each)):
        own = {first + age: 0.4 - loss * age for age in range(each)}
        for count in range(1, each):
            entries.append(decided(WAITS, champion, dict(list(own.items())[:count])))
        entries.append(decided(ACCEPTED, champion, own, champion + 1, seconds=40.0))
    return entries


def test_the_interval_is_that_of_the_loss_and_the_seconds():
    said = break_even(journal(loss=0.04, versions=48, each=12), PRICE)
    n = best_interval(loss=0.04, rows=100, seconds=40.0, price=PRICE)
    assert n == 10
    assert said.startswith(f"Break-even: at a price of 5, update with every {n} versions: an update takes 40.0 s")
    assert "a version has 100 events" in said
    assert "loses 0.0400 (0.0400 to 0.0400) of recall@20 with each version that waits, by 44 that did" in said
    assert "update with every version:" in break_even(journal(loss=0.04), 0.001)


def test_an_interval_that_nobody_has_tried_is_called_a_guess():
    said = break_even(journal(loss=0.04), PRICE)
    assert "update with every 10 versions; no update has let more than 2 wait, so that more is a guess: " in said


def test_a_version_that_was_decided_on_twice_counts_once():
    assert [len(own) for own in served(journal(loss=0.04, versions=6))] == [3, 3]


def test_an_older_champion_that_serves_again_goes_on_where_it_was():
    entries = [
        decided(ACCEPTED, 0, {1: 0.3}, 1, seconds=2.0),
        decided(KEPT, 1, {2: 0.2}),
        Entry(ROLLED_BACK, 0, 1),
        decided(WAITS, 0, {1: 0.3, 2: 0.25, 3: None}),
    ]
    known = served(entries)
    assert known[1] == [0.2]
    assert known[0][:2] == [0.3, 0.25]
    assert known[0][2] != known[0][2]  # nothing could be scored


def test_what_cannot_be_told_is_said():
    assert "no update has been accepted" in break_even([], PRICE)
    assert "no update has been accepted" in break_even([decided(KEPT, 0, {1: 0.3}, seconds=9.0)], PRICE)
    always = [decided(ACCEPTED, n, {n + 1: 0.3}, n + 1, seconds=4.0) for n in range(20)]
    assert "fewer than 5 versions were served by what had let an earlier one wait (0)" in break_even(always, PRICE)
    assert "no loss by waiting is shown: +0.0000" in break_even(journal(loss=0.0), PRICE)
    assert "no loss by waiting is shown: -0.0200" in break_even(journal(loss=-0.02), PRICE)
