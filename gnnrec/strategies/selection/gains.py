"""What strategies have been worth, and what each is expected to be worth of the increment that has come.

Letters: f features, n earlier gains.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import jensenshannon

from gnnrec.data.types import Floats, Interactions
from gnnrec.evaluation.world import World

FEATURES = ("one", "new users", "new items", "shift", "size", "gap")
"""What is known of an increment before it is fitted on; `context` says how each is computed."""

FORGOTTEN = 1e-12
"""Least weight of a gain: what has not been tried for very long is still known by what it was worth."""


def context(arrived: Interactions, world: World, gap: float | None) -> Floats:
    """Return the features of what has arrived, [f]; `world` is what there was before.

    One; shares of its events with new users and with new items; how far its items' popularity is from that of before
    (Jensen-Shannon divergence, base 2); log2(1 + its events / those of before); and `gap`, by how much what has served was
    better on it than a counter (0 where nobody could say).
    """
    count, before = len(arrived), float(world.popularity.sum())
    if not count:
        return np.array([1.0, 0, 0, 0, 0, gap or 0.0])
    fresh = np.bincount(arrived.item, minlength=world.num_items).astype(float)
    known = np.pad(world.popularity, (0, len(fresh) - world.num_items))
    # Of all but equal shares scipy takes the root of what rounding has left below 0.
    shift = float(np.nan_to_num(jensenshannon(known, fresh, base=2)) ** 2) if before else 1.0
    users, items = np.mean(arrived.user >= world.num_users), np.mean(arrived.item >= world.num_items)
    return np.array([1.0, users, items, shift, np.log2(1 + count / max(before, 1.0)), gap or 0.0])


@dataclass(frozen=True, slots=True)
class Gain:
    """How a strategy served what came next, less what a counter would have been worth.

    Attributes:
        update: whose number this was of.
        context: what was known of its increment, [f].
        value: NDCG plus recall, above the counter's.
    """

    update: int
    context: tuple[float, ...]
    value: float


class Gains:
    """A ridge regression of gains on what was known, for each strategy; the older a gain, the less it weighs.

    θ = argmin Σ_n memory^age_n · (gain_n − θ·x_n)² + ridge · Σ_{f > 1} θ_f², the mean itself being free; what is expected of x
    is θ·x + optimism · s · √(xᵀ A⁻¹ x), A the normal matrix and s the deviation of all gains known: LinUCB (Li et al., WWW
    2010) with age and a free mean. Few gains tell means; what features say comes with more.

    Args:
        memory: weight of a gain per update of age.
        ridge: of all features but the first.
        optimism: deviations by which what is little known is thought better than it has been.
    """

    def __init__(self, memory: float, ridge: float, optimism: float) -> None:
        self.memory, self.ridge, self.optimism = memory, ridge, optimism
        self.past: dict[str, list[Gain]] = {}

    def add(self, name: str, gain: Gain) -> None:
        """Take note of a gain."""
        self.past.setdefault(name, []).append(gain)

    def expected(self, name: str, now: int, x: Floats) -> float | None:
        """Return what a strategy is expected to be worth of update `now`; None where nothing of it is known."""
        if not (past := self.past.get(name)):
            return None
        known = np.array([gain.context for gain in past])
        age = np.array([float(now - gain.update) for gain in past])
        weight = np.maximum(self.memory**age, FORGOTTEN)
        penalty = np.full(len(x), self.ridge)
        penalty[0] = 0.0
        normal = (known * weight[:, None]).T @ known + np.diag(penalty)
        theta = np.linalg.solve(normal, known.T @ (weight * [gain.value for gain in past]))
        width = float(np.sqrt(x @ np.linalg.solve(normal, x)))
        return float(theta @ x) + self.optimism * self._spread() * width

    def _spread(self) -> float:
        return float(np.std([gain.value for past in self.past.values() for gain in past]))

    def state(self) -> dict[str, list[list[float]]]:
        """Return the gains, as JSON."""
        return {n: [[gain.update, gain.value, *gain.context] for gain in past] for n, past in self.past.items()}

    def restore(self, state: dict[str, list[Sequence[float]]]) -> None:
        """Take up what `state` returned."""
        self.past = {
            name: [Gain(int(update), tuple(x), value) for update, value, *x in rows] for name, rows in state.items()
        }
