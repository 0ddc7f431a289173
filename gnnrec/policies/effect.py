"""Policies by what has changed: the items of the events, how well what is served does, what an update would be worth."""

from __future__ import annotations

import math

from gnnrec.core.errors import GnnrecError, above_zero
from gnnrec.policies.base import Decision, Known

FIRST = "no update has been made yet, so that nobody knows what one is worth"


class OnDrift:
    """Update where other items are asked for: by the size of the change and by whether chance explains it.

    Args:
        psi: least population stability index of the most popular items.
        p: largest chance of such a change among events that have not changed.
    """

    by_quality = False

    def __init__(self, psi: float = 0.1, p: float = 0.01) -> None:
        above_zero("policy", psi=psi, p=p)
        self.psi, self.p = psi, p

    def decide(self, facts: Known) -> Decision:
        """Update on drift; where nothing can be said, wait for more events."""
        if (found := facts.drift) is None:
            return Decision(False, f"{facts.rows:,} events wait, too few to see a drift")
        said = f"PSI {found.psi:.2f} (least {self.psi:g}), p {found.p_value:.2g} (most {self.p:g})"
        return Decision(found.psi >= self.psi and found.p_value <= self.p, f"drift of items: {said}")


class OnPerformance:
    """Update where what was served did worse by what came than lists directly behind an update usually do.

    Args:
        drop: share of their recall@20 that may be lost.
    """

    def __init__(self, drop: float = 0.1) -> None:
        if not 0 <= drop < 1:
            raise GnnrecError(f"policy.drop={drop} is outside [0, 1)")
        self.drop = drop

    def decide(self, facts: Known) -> Decision:
        """Update where recall fell."""
        usual, now = facts.fresh_quality, facts.waiting[-1].quality
        if not math.isfinite(now) or not math.isfinite(usual):
            return Decision(True, "nothing that came could be scored, so that nobody knows how good the lists are")
        said = f"recall@20 {now:.4f} by what came, {usual:.4f} directly behind updates"
        return Decision(now < (1 - self.drop) * usual, said)


class ByCost:
    """Update where what was lost by waiting is worth the seconds of an update.

    Lost is, over the events that wait, by how much recall@20 lay below what lists directly behind an update usually have.

    Args:
        price: events with a recall of 1 that a second of an update must bring back.
    """

    def __init__(self, price: float = 10.0) -> None:
        above_zero("policy", price=price)
        self.price = price

    def decide(self, facts: Known) -> Decision:
        """Update where the loss has come up to the price."""
        if not math.isfinite(facts.seconds):
            return Decision(True, FIRST)
        usual = facts.fresh_quality
        lost = sum(c.rows * max(0.0, usual - c.quality) for c in facts.waiting if math.isfinite(c.quality))
        asked = self.price * facts.seconds
        return Decision(
            lost >= asked, f"{lost:.1f} events lost by waiting, {asked:.1f} asked for {facts.seconds:.1f} s"
        )


class WithinBudget:
    """Update as often as so many seconds for a thousand events allow; what is not spent is saved.

    Args:
        seconds: of updates for a thousand events.
    """

    by_quality = False

    def __init__(self, seconds: float = 1.0) -> None:
        above_zero("policy", seconds=seconds)
        self.seconds = seconds

    def decide(self, facts: Known) -> Decision:
        """Update where the saved seconds cover what an update takes."""
        if not math.isfinite(facts.seconds):
            return Decision(True, FIRST)
        given = self.seconds * sum(c.rows for c in (*facts.past, *facts.waiting)) / 1000
        left = given - sum(c.seconds for c in facts.past if c.updated)
        return Decision(left >= facts.seconds, f"{left:.1f} s saved, an update takes {facts.seconds:.1f} s")
