"""How many epochs an update is worth, learnt from what came next.

Valid lies inside the increment, what is served lies after it: epochs that still gain on valid may lose on what comes. Under
``fit.budget=ahead`` the weights of a fit are kept at a grid of lengths. When the next increment arrives, and before anything
of it is absorbed, each length is scored on its events, and the mean gains over the start choose the length of the next fit.
Only events that the stream has released are used: those of increment t+1 choose the length for t+1, never for t.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from torch import Tensor

from gnnrec.core.seeds import generator
from gnnrec.data.types import Interactions

DECAY = 0.5
"""Weight of an update's gains against those of the update after it: what was right long ago may be wrong today."""
USERS = 2000
"""Most users that lengths are scored on; the mean over so many tells lengths apart that matter."""

HeldWeights = Mapping[str, Tensor]


def grid(most: int) -> list[int]:
    """Return the lengths 0, 1, 2, 3, 4, 6, 8, 12, 16, … up to `most` epochs, each about a third or a half above the last."""
    found, power = [0, 1, 2, 3], 4
    while power <= most:
        found += [power, power + power // 2]
        power *= 2
    return [length for length in found if length <= most]


class Ahead:
    """Weights at several lengths of the last fit, and what each length gained on the increments after earlier ones.

    Attributes:
        gain, weight: by length in epochs: decayed sum of gains over the start, and of how many they are.
        held: by length: weights of the last fit, until they are judged.
    """

    def __init__(self) -> None:
        self.gain: dict[int, float] = {}
        self.weight: dict[int, float] = {}
        self.held: dict[int, HeldWeights] = {}

    def chosen(self, most: int) -> int | None:
        """Return the length with the highest mean gain, the shortest of equals, `most` at most; None: nothing is known yet."""
        known = [length for length in sorted(self.gain) if length <= most]
        return max(known, key=lambda n: self.gain[n] / self.weight[n]) if known else None

    def lengths(self, chosen: int, most: int) -> list[int]:
        """Return the lengths to train through: up to the one beyond the chosen, so that a longer one can become the choice."""
        every = grid(most)
        return [n for at, n in enumerate(every) if at == 0 or every[at - 1] <= chosen]

    def judge(self, score: Callable[[HeldWeights], float]) -> None:
        """Score what is held on what has come since, and let go of it."""
        if len(self.held) > 1:
            found = {length: score(weights) for length, weights in sorted(self.held.items())}
            for known in (self.gain, self.weight):
                known.update({length: DECAY * value for length, value in known.items()})
            for length, value in found.items():
                self.gain[length] = self.gain.get(length, 0.0) + value - found[0]
                self.weight[length] = self.weight.get(length, 0.0) + 1.0
        self.held = {}

    def copy(self) -> Ahead:
        """Return a copy that learns on by itself."""
        twin = Ahead()
        twin.gain, twin.weight, twin.held = dict(self.gain), dict(self.weight), dict(self.held)
        return twin

    def tensors(self) -> dict[str, Tensor]:
        """Return what is held, by "<length>.<name>"."""
        return {f"{length}.{name}": x for length, held in self.held.items() for name, x in held.items()}

    def meta(self) -> list[list[float]]:
        """Return [length, gain, weight] of every length, as JSON."""
        return [[length, self.gain[length], self.weight[length]] for length in sorted(self.gain)]

    @staticmethod
    def of(meta: list[list[Any]], tensors: Mapping[str, Tensor]) -> Ahead:
        """Return what `meta` and `tensors` describe."""
        found = Ahead()
        found.gain = {int(length): gain for length, gain, _ in meta}
        found.weight = {int(length): weight for length, _, weight in meta}
        for name, x in tensors.items():
            length, _, rest = name.partition(".")
            found.held.setdefault(int(length), {})[rest] = x  # type: ignore[index]
        return found


def sample(events: Interactions, seed: int) -> Interactions:
    """Return the events of `USERS` users at most, drawn anew for every seed."""
    users = np.unique(events.user)
    if len(users) <= USERS:
        return events
    return events.take(np.isin(events.user, generator(seed, "ahead").choice(users, USERS, replace=False)))
