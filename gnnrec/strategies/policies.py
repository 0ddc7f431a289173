"""How likely a stored event is replayed: `strategy.policy` of replay.

Letters: n stored events, u users.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from gnnrec.core.errors import GnnrecError, above_zero
from gnnrec.data.types import Floats, Interactions
from gnnrec.learner import Learner
from gnnrec.scorers.pairs import pair_scores

ALIKE = 1e-12
"""Divergences of equal rows are below it, not 0."""


class ReplayPolicy(Protocol):
    """Weighs stored events."""

    def remember(self, learner: Learner) -> None:
        """Take note of what has served until now, before an increment is let in."""

    def weights(self, stored: Interactions, learner: Learner) -> Floats:
        """Return how likely each stored event is drawn, in any unit, [n]; 0: never. The increment's edges are in the graph."""
        ...


class Uniform:
    """All events alike: what no policy means, for sweeps over policies."""

    def remember(self, learner: Learner) -> None:
        """Need nothing."""

    def weights(self, stored: Interactions, learner: Learner) -> Floats:
        """Return ones, [n]."""
        return np.ones(len(stored))


class InverseDegree:
    """(1 / d_u)^τ, d_u the user's stored events: users with short histories are not drowned by those with long ones.

    The `inverse_deg` sampling of the code published with Ahrabian et al., "Structure aware experience replay for incremental
    learning in graph-based recommender systems", CIKM 2021, which sets τ = 3. With τ = 0 all events are alike.

    Args:
        temperature: τ.
    """

    def __init__(self, temperature: float = 1.0) -> None:
        if temperature < 0:
            raise GnnrecError(f"strategy.policy.temperature={temperature} must be 0 or more")
        self.temperature = temperature

    def remember(self, learner: Learner) -> None:
        """Need nothing."""

    def weights(self, stored: Interactions, learner: Learner) -> Floats:
        """Return [n]."""
        degree = np.bincount(stored.user)[stored.user] if len(stored) else np.ones(0)
        return np.asarray(degree.astype(float) ** -self.temperature)


class Recency:
    """2^(−age / h), age in stored events behind this one: what is old is replayed seldom.

    Args:
        half_life: h, in stored events.
    """

    def __init__(self, half_life: float = 10_000.0) -> None:
        above_zero("strategy.policy", half_life=half_life)
        self.half_life = half_life

    def remember(self, learner: Learner) -> None:
        """Need nothing."""

    def weights(self, stored: Interactions, learner: Learner) -> Floats:
        """Return [n]; events of one increment need not be in the order of time, hence the sort."""
        age = np.empty(len(stored))
        age[np.argsort(stored.time, kind="stable")] = np.arange(len(stored))[::-1]
        return np.asarray(2.0 ** (-age / self.half_life))


class NewestShare:
    """The newest share of the store alone (the sliding window of the GraphSAIL and DEGC code takes 60 % of the blocks).

    Args:
        share: above 0; 1: all events alike.
    """

    def __init__(self, share: float = 0.6) -> None:
        if not 0 < share <= 1:
            raise GnnrecError(f"strategy.policy.share={share} must be above 0 and 1 at most")
        self.share = share

    def remember(self, learner: Learner) -> None:
        """Need nothing."""

    def weights(self, stored: Interactions, learner: Learner) -> Floats:
        """Return 1 or 0, [n]."""
        weight = np.zeros(len(stored))
        newest = np.argsort(-stored.time, kind="stable")[: int(np.ceil(self.share * len(stored)))]
        weight[newest] = 1.0
        return weight


class LossRank:
    """exp(rank / n), rank by falling score of the present model: what it ranks badly comes more often.

    By rank, as in the sliding-window pools of Wang et al. (SPMF, "Streaming ranking based recommender systems", SIGIR 2018) as
    the code published with ASMG has it, so that the scale of scores does not matter; at most e times as often. Departs from
    both in ranking stored events alone: all new ones are fitted on anyway.

    Args:
        sharpness: multiplies the rank; 0: all events alike.
    """

    def __init__(self, sharpness: float = 1.0) -> None:
        if sharpness < 0:
            raise GnnrecError(f"strategy.policy.sharpness={sharpness} must be 0 or more")
        self.sharpness = sharpness

    def remember(self, learner: Learner) -> None:
        """Need nothing."""

    def weights(self, stored: Interactions, learner: Learner) -> Floats:
        """Return [n]."""
        if not len(stored):
            return np.ones(0)
        found = pair_scores(learner.objective, learner.embed(), stored.user, stored.item)
        rank = np.empty(len(stored))
        rank[np.argsort(-found, kind="stable")] = np.arange(1, len(stored) + 1)
        return np.asarray(np.exp(self.sharpness * rank / len(stored)))


class Proportional:
    """Each user's events together weigh exp(sign · s_u), s_u in [0, 1] how far the increment's edges shift the user.

    s_u is the Jensen-Shannon divergence between the softmax of the user's embedding before and after the increment's edges are
    in the graph, scaled by the least and the largest. Sign −1, stable users more, is the replay of Wang et al., "Balancing
    plasticity and stability in continual recommendation" (BPS, CIKM 2024); +1, shifted users more, that of F3CRec (CIKM 2025).
    Departs from both in comparing two graphs under one set of weights, not two blocks: no second table is kept, and encoders
    that pass no messages see no shift, so that every user weighs alike (`InverseDegree` of 1); and from BPS in that a user's
    own events are drawn alike, where its code prefers items far from the user's ten best.

    Args:
        sign: −1 or 1.
    """

    def __init__(self, sign: int = -1) -> None:
        if sign not in (-1, 1):
            raise GnnrecError(f"strategy.policy.sign={sign} must be -1 (stable users more) or 1 (shifted users more)")
        self.sign = sign
        self._was: Tensor | None = None

    def remember(self, learner: Learner) -> None:
        """Keep the users' embeddings."""
        self._was = learner.embed().user

    def weights(self, stored: Interactions, learner: Learner) -> Floats:
        """Return [n]."""
        assert self._was is not None, "remember() comes first"
        user, at, count = np.unique(stored.user, return_inverse=True, return_counts=True)
        places = torch.from_numpy(user).to(self._was.device)  # who has stored events was known before
        shift = _scaled(divergence(self._was[places], learner.embed().user[places]).cpu().numpy())
        self._was = None
        return np.asarray((np.exp(self.sign * shift) / count)[at])


@torch.no_grad()
def divergence(before: Tensor, after: Tensor) -> Tensor:
    """Return the Jensen-Shannon divergence of the rows' softmaxes, [u, d] and [u, d] to [u], in nats, at most ln 2."""
    p, q = (F.log_softmax(x.double(), dim=1) for x in (before, after))
    middle = torch.logaddexp(p, q) - np.log(2)
    found: Tensor = ((p.exp() * (p - middle)).sum(1) + (q.exp() * (q - middle)).sum(1)) / 2
    return found.clamp(min=0)


def _scaled(x: Floats) -> Floats:
    """Return x between 0 for the least and 1 for the largest; zeros where all are alike but for rounding."""
    if not len(x) or x.max() - x.min() < ALIKE:
        return np.zeros(len(x))
    return np.asarray((x - x.min()) / (x.max() - x.min()))
