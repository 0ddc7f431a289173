"""Events that the biases, which are counters, have not taken in: those of every increment since the last fit."""

from __future__ import annotations

from gnnrec.counters.log import EventLog
from gnnrec.data.types import Interactions, Observed
from gnnrec.objectives.base import Objective


class Waiting:
    """A refused, skipped or closed-form update fits nothing; its events wait here, so that none is lost to the next.

    Attributes:
        since: the first increment whose events wait.
        solved: whether the biases are up to date with the present increment's fit.
    """

    def __init__(self) -> None:
        self.since, self.solved = 0, False
        self._events: tuple[Interactions, ...] = ()

    def __len__(self) -> int:
        return sum(map(len, self._events))

    def add(self, new: Observed, events: Interactions) -> None:
        """Keep events of an increment."""
        if not self._events:
            self.since = new.index
        self._events = (*self._events, events)

    def restart(self, index: int, history: Interactions) -> None:
        """Wait with all that has been absorbed, for biases that start again."""
        self.since, self._events = index, (history,)

    def clear(self) -> None:
        """Forget what waits."""
        self._events = ()

    def solve(self, objective: Objective) -> None:
        """Let everything that waits into the biases."""
        if self._events:
            objective.refit(Interactions.concat(self._events))
        self._events, self.solved = (), True

    def take_back(self, removed: Interactions, objective: Objective | None) -> None:
        """Let removed events go, out of the biases where they had been let in."""
        # Of a pair that came several times some events may wait and others have been let in: each goes from where it is.
        waiting, let_in = EventLog(self._events), EventLog((removed,))
        let_in.remove(waiting.remove(removed))
        if objective is not None:
            objective.retract(Interactions.concat(list(let_in)))
        self._events = tuple(waiting)

    def next(self, index: int) -> int:
        """Return the first increment whose events wait, the one after `index` where none does."""
        return self.since if self._events else index + 1

    def fork(self) -> Waiting:
        """Return a copy that goes on by itself."""
        twin = Waiting()
        twin.since, twin.solved, twin._events = self.since, self.solved, self._events
        return twin
