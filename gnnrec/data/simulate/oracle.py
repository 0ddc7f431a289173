"""The truth of a simulated world, at any time: expected ratings and the log-odds of every event.

Letters: u users, i items, c tastes, n events. A user's taste is a mixture over c that turns with time:

    p_u(t) = softmax(sharpness · (cos a(t) · z_u + sin a(t) · z'_u)),   a(t) = drift · π/2 · turned((t − start) / span)

    P(i | u, t) = Σ_c p_uc(t) · w_ci / Σ_{j arrived by t} w_cj,         w_ci = popularity_i · exp(appeal · v_ic)

    rating before noise = mean + b_u + b_i + strength · Σ_c p_uc(t) · v_ic
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from gnnrec.data.types import Floats, Ints, Texts

MEAN, STRENGTH, SHARPNESS, APPEAL, BIAS = 2.9, 0.8, 4.0, 2.0, 0.35
STEP = 0.5


@dataclass(frozen=True, slots=True)
class Population:
    """Everything that is true of users and items; both are ordered by arrival.

    Attributes:
        start_taste, end_taste: [u, c] the two directions between which tastes turn.
        user_bias: [u]. item_bias: [i]. appeal: [i, c] the v above.
        weights: [c, i] the w above.
        user_arrival, item_arrival: [u], [i] seconds, ascending.
        activity: [u] how often a user acts.
        start, span: seconds.
        drift, recurrence, smoothness: how far tastes turn, how often they come back, how evenly; see `turned`.
    """

    start_taste: Floats
    end_taste: Floats
    user_bias: Floats
    item_bias: Floats
    appeal: Floats
    weights: Floats
    user_arrival: Floats
    item_arrival: Floats
    activity: Floats
    start: float
    span: float
    drift: float
    noise: float
    scale: tuple[float, float]
    recurrence: float = 0.0
    smoothness: float = 1.0

    def tastes(self, user: Ints, time: Floats | float) -> Floats:
        """Return the mixtures p_u(t), [n, c]."""
        way = turned((np.asarray(time) - self.start) / self.span, self.recurrence, self.smoothness)
        angle = np.asarray(self.drift * np.pi / 2 * way)[..., None]
        taste = np.cos(angle) * self.start_taste[user] + np.sin(angle) * self.end_taste[user]
        return _softmax(np.asarray(SHARPNESS * taste, np.float64))

    def levels(self, user: Ints, item: Ints, tastes: Floats) -> Floats:
        """Return ratings before noise, rounding and clipping, [n]."""
        liking = np.einsum("nc,nc->n", tastes, self.appeal[item])
        return np.asarray(MEAN + self.user_bias[user] + self.item_bias[item] + STRENGTH * liking, np.float64)

    def observed(self, level: Floats, error: Floats) -> Floats:
        """Return ratings as given: with error, in half stars, inside the scale."""
        return np.asarray(np.clip(np.round((level + error) / STEP) * STEP, *self.scale), np.float64)

    def expected(self, level: Floats) -> Floats:
        """Return the mean of `observed` over the error: lowest + step · Σ_k P(level + error ≥ k-th border)."""
        low, high = self.scale
        ks = np.arange(low + STEP, high + STEP / 2, STEP) - STEP / 2
        if not self.noise:
            return self.observed(level, np.zeros_like(level))
        total = sum(ndtr((level - k) / self.noise) for k in ks)
        return np.asarray(low + STEP * total, np.float64)


class Oracle:
    """Answers what a perfect model would; asked by external ids.

    Args:
        world: the truth.
        user_ids, item_ids: external ids in the order of the population.
        explicit: whether events carry ratings.
    """

    def __init__(self, world: Population, user_ids: Texts, item_ids: Texts, explicit: bool) -> None:
        self.world, self.explicit = world, explicit
        self._user = {u: k for k, u in enumerate(user_ids)}
        self._item = {i: k for k, i in enumerate(item_ids)}

    def value(self, user_ids: Texts, item_ids: Texts, time: Floats | float) -> Floats:
        """Return the expected rating of each (user, item) at `time` (one for all, or [n]); 1 for implicit feedback."""
        if not self.explicit:
            return np.ones(len(user_ids))
        user, item = self._rows(self._user, user_ids), self._rows(self._item, item_ids)
        world = self.world
        return world.expected(world.levels(user, item, world.tastes(user, np.broadcast_to(time, user.shape))))

    def scores(self, user_ids: Texts, time: float, item_ids: Texts) -> Floats:
        """Return log P(i | u, t), [u, i]; an item that has not arrived yet scores as if it were there."""
        user, item = self._rows(self._user, user_ids), self._rows(self._item, item_ids)
        world = self.world
        present = int(np.searchsorted(world.item_arrival, time, side="right"))
        share = world.weights[:, item] / world.weights[:, :present].sum(axis=1, keepdims=True)
        return np.asarray(np.log(world.tastes(user, time) @ share), np.float64)

    @staticmethod
    def _rows(index: dict[str, int], ids: Texts) -> Ints:
        return np.fromiter((index[i] for i in ids), np.int64, len(ids))


def turned(time: Floats, recurrence: float, smoothness: float) -> Floats:
    """Return how far on their way from the first to the second direction tastes are, 0 to 1, at times from 0 to 1.

    Args:
        time: as a share of the span.
        recurrence: times that tastes have been there and back by the end; 0: they go one way.
        smoothness: 1: evenly; 0: at once, halfway; between: in part.
    """
    way = time if not recurrence else 1 - np.abs(2 * ((recurrence * time) % 1) - 1)
    return np.asarray(smoothness * way + (1 - smoothness) * (way >= 0.5), np.float64)


def _softmax(x: Floats) -> Floats:
    raised = np.exp(x - x.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True), np.float64)
