"""Policies by how much has come: every increment, every n-th, after so many events or so long."""

from __future__ import annotations

from gnnrec.core.errors import GnnrecError, above_zero
from gnnrec.data.stream.calendar import parse_width
from gnnrec.policies.base import Decision, Known


class Every:
    """Update with every increment: what a table of strategies is made by."""

    by_quality = False

    def decide(self, facts: Known) -> Decision:
        """Update."""
        return Decision(True, "every increment")


class EveryN:
    """Update with every n-th increment.

    Args:
        n: increments that an update takes up.
    """

    by_quality = False

    def __init__(self, n: int = 4) -> None:
        above_zero("policy", n=n)
        self.n = int(n)

    def decide(self, facts: Known) -> Decision:
        """Update where n increments wait."""
        return Decision(len(facts.waiting) >= self.n, f"{len(facts.waiting)} of {self.n} increments wait")


class AfterRows:
    """Update after so many events, or, with fewer, once the newest that the model has seen is so old.

    Args:
        rows: events that have to wait.
        age: a number and s, m, h, d or w, in event time; None: however long it takes.
    """

    by_quality = False

    def __init__(self, rows: int = 1000, age: str | None = None) -> None:
        above_zero("policy", rows=rows)
        self.rows, self.age = int(rows), age
        self._seconds = None if age is None else float(parse_width(age, "policy.age").seconds)
        if self._seconds is not None and self._seconds <= 0:
            raise GnnrecError(
                f"policy.age={age} must be a number of seconds, minutes, hours, days or weeks, such as 7d"
            )

    def decide(self, facts: Known) -> Decision:
        """Update where enough waits, or waits long enough."""
        if facts.rows >= self.rows:
            return Decision(True, f"{facts.rows:,} events wait, {self.rows:,} are enough")
        if self._seconds is not None and facts.age >= self._seconds:
            return Decision(
                True, f"the newest event that the model has seen is {facts.age / 86400:.1f} days old ({self.age})"
            )
        return Decision(False, f"{facts.rows:,} of {self.rows:,} events wait")
