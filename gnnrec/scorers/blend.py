"""The blend head: a model's scores plus decayed popularity and co-occurrence, weights chosen on valid.

score = α·z(model) + β·z(log(1 + decayed popularity_h)) + κ·companion / sd, with z and sd per user over the candidates; the
companion is ItemKNN, or another recommender that needs no training.
Letters: n users, i candidates.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Protocol

import torch
from torch import Tensor

from gnnrec.core.errors import GnnrecError, nearest
from gnnrec.counters.counters import CompanionScores
from gnnrec.data.types import Floats, Ints
from gnnrec.scorers.block import Ingredient, own
from gnnrec.scorers.model import Scorer, to_width


class DecayedCounts(Protocol):
    """Events of each item, the older the less."""

    def at(self, half_life: float) -> Floats:
        """Return the counts of a half-life, [i]."""
        ...


class BlendCounts(Protocol):
    """What a blend reads of counters."""

    @property
    def popularity(self) -> DecayedCounts:
        """Popularity by half-life."""
        ...

    @property
    def companion(self) -> CompanionScores:
        """What is set beside the model."""
        ...


@dataclass(frozen=True, slots=True)
class BlendWeights:
    """One setting of the blend: weights of model, popularity, co-occurrence; popularity has a half-life, infinite: all-time."""

    alpha: float = 1.0
    beta: float = 0.0
    kappa: float = 0.0
    half_life: float = 1000.0

    def as_dict(self) -> dict[str, float | None]:
        """Return the weights by name, as JSON has them: it knows no infinity."""
        return asdict(self) | {"half_life": finite(self.half_life)}

    @staticmethod
    def of(saved: Mapping[str, float | None]) -> BlendWeights:
        """Return the weights that `as_dict` gave."""
        return BlendWeights(**{name: math.inf if x is None else x for name, x in saved.items()})


def finite(half_life: float) -> float | None:
    """Return a half-life as JSON has it: None where it is infinite."""
    return half_life if math.isfinite(half_life) else None


@dataclass(frozen=True, slots=True)
class Grid:
    """The settings to choose from; the first of equals wins, so the plain model comes first.

    Attributes:
        alpha, beta, kappa, half_life: values of `BlendWeights`, all combinations.
        counters: half-lives of the counters of which valid chooses one: it ranks for users without history, and is what the
            item term of a model's score counts by.
        memory: what an increment's evidence for a setting weighs at the next one: one increment's valid events are few, and
            the best of forty settings by them is chance in part. 0: the newest alone.
        most_users: whose valid events choose; of more, so many are drawn.
        judged: "valid": a setting is chosen on the increment's valid. "ahead": by how each would have ranked what came next
            after earlier updates, known once the next increment arrives and before anything of it is absorbed; on valid as
            long as nothing has come, and after a deletion. The counter is always chosen on valid. Valid lies inside an
            increment: where what is read together within a day is of little use tomorrow it asks for too much of the model.
    """

    alpha: Sequence[float] = (1.0, 0.0)
    beta: Sequence[float] = (0.0, 0.25, 0.5, 1.0, 2.0)
    kappa: Sequence[float] = (0.0, 0.5, 1.0)
    half_life: Sequence[float] = (1000.0, 3000.0)
    counters: Sequence[float] = (math.inf, 1000.0, 3000.0, 10_000.0, 30_000.0, 100_000.0)
    memory: float = 0.9
    most_users: int = 5_000
    judged: str = "valid"

    def __post_init__(self) -> None:
        for name in ("alpha", "beta", "kappa", "half_life", "counters"):
            if not len(getattr(self, name)):
                raise GnnrecError(f"scorer.grid.{name} is empty; give at least one value")
        if not 0 <= self.memory <= 1:
            raise GnnrecError(f"scorer.grid.memory={self.memory} must lie between 0 and 1")
        for name in ("half_life", "counters"):
            if wrong := [h for h in getattr(self, name) if not h > 0]:
                raise GnnrecError(
                    f"scorer.grid.{name}={wrong[0]} must be above 0, in absorbed events; inf counts all of them alike"
                )
        if self.judged not in (allowed := ("valid", "ahead")):
            raise GnnrecError(f"scorer.grid.judged={self.judged} is not known{nearest(str(self.judged), allowed)}")
        if self.most_users < 1:
            raise GnnrecError(f"scorer.grid.most_users={self.most_users} must be 1 or more")

    def settings(self) -> list[BlendWeights]:
        """Return every setting that scores by something; β = 0 needs no second half-life."""
        every = product(self.alpha, self.beta, self.kappa, self.half_life)
        return [BlendWeights(a, b, c, h) for a, b, c, h in every if (a or b or c) and (b or h == self.half_life[0])]

    def model_alone(self) -> Grid:
        """Return the grid of one setting, the model by itself: there is nothing to choose."""
        return replace(self, alpha=(1.0,), beta=(0.0,), kappa=(0.0,))

    def popularity_alone(self) -> Grid:
        """Return the grid of one counter by itself, chosen on valid: of users without history nothing came before."""
        return replace(self, alpha=(0.0,), beta=(1.0,), kappa=(0.0,), half_life=self.counters, judged="valid")

    @property
    def half_lives(self) -> tuple[float, ...]:
        """Every half-life that is counted by."""
        return tuple(dict.fromkeys((*self.half_life, *self.counters)))

    def without_model(self) -> Grid:
        """Return the grid with α = 0 only: popularity and co-occurrence alone."""
        return replace(self, alpha=(0.0,))


class BlendScorer:
    """A scorer on top of another one.

    Args:
        model: the trained model's scorer; its predicted values pass through.
        counters: counts of what that model absorbed.
        weights: the chosen setting.
    """

    def __init__(self, model: Scorer, counters: BlendCounts, weights: BlendWeights) -> None:
        self.model, self.counters, self.weights = model, counters, weights

    def scores(self, user: Ints, num_items: int) -> Tensor:
        """Return [n, num_items]."""
        return self.mixed(Ingredient.alone(user, num_items))

    def mixed(self, part: Ingredient) -> Tensor:
        """Return the scores of a part of a block, [m, i]."""
        # As `combine` of `Parts`, in one pass per ingredient: what is shared by the rows of a table is never copied first.
        weights, total = self.weights, torch.zeros(len(part.user), 1)
        if weights.alpha and self.model.scores is not None:
            ranked = part.scores(self.model)
            mean, over = _scale(ranked, 0.0)
            total = torch.addcmul(-weights.alpha * mean * over, ranked, weights.alpha * over)
        if weights.beta:
            total = total + weights.beta * _popularity(self.counters, weights.half_life, part).to(total.device)
        if weights.kappa:
            beside = part.beside(self.counters.companion).to(total.device)
            total = torch.addcmul(total, beside, weights.kappa * _scale(beside, 1.0)[1])
        return total if total.shape[1] == part.num_items else own(total.expand(-1, part.num_items))

    def predict(self, user: Ints, item: Ints) -> Floats | None:
        """Return the model's expected values, [n]."""
        return self.model.predict(user, item)


@dataclass(frozen=True, slots=True)
class Parts:
    """Normalised ingredients: model [n, i], popularity by half-life [1, i], co-occurrence [n, i]; None where unused."""

    model: Tensor | None
    popularity: dict[float, Tensor]
    companion: Tensor | None
    shape: tuple[int, int]

    @staticmethod
    def of(model: Scorer, counters: BlendCounts, part: Ingredient, settings: Sequence[BlendWeights]) -> Parts:
        """Compute the ingredients that any of `settings` uses, where the model's scores are."""
        ranked = companion = None
        if any(w.alpha for w in settings) and model.scores is not None:
            ranked = standardised(own(part.scores(model)))
        device = ranked.device if ranked is not None else torch.device("cpu")
        if any(w.kappa for w in settings):
            companion = _over_deviation(own(part.beside(counters.companion)).to(device))
        halves = {w.half_life for w in settings if w.beta}
        popularity = {h: _popularity(counters, h, part).to(device) for h in sorted(halves)}
        return Parts(ranked, popularity, companion, (len(part.user), part.num_items))

    def map(self, change: Callable[[Tensor], Tensor], shape: tuple[int, int]) -> Parts:
        """Return the parts with `change` applied to model, co-occurrence and popularities, in this order."""
        model = None if self.model is None else change(self.model)
        companion = None if self.companion is None else change(self.companion)
        return Parts(model, {h: change(p) for h, p in self.popularity.items()}, companion, shape)


def combine(parts: Parts, weights: BlendWeights) -> Tensor:
    """Return α·model + β·popularity + κ·companion, [n, i], fresh memory."""
    terms = [] if parts.model is None or not weights.alpha else [(weights.alpha, parts.model)]
    terms += [] if parts.companion is None or not weights.kappa else [(weights.kappa, parts.companion)]
    terms += [(weights.beta, parts.popularity[weights.half_life])] if weights.beta else []
    if not terms:
        return torch.zeros(parts.shape)
    (first, term), *others = terms
    total = term.expand(parts.shape) * first
    for weight, term in others:
        total.add_(term, alpha=weight)
    return total


CONSTANT = 1e-6
"""A row whose deviation is below this share of its mean is one value and rounding."""


CANCELS = 0.3
"""A deviation below this share of the mean is computed from differences: E[x²] − E[x]² loses digits."""


def standardised(scores: Tensor) -> Tensor:
    """Return z per row: minus the mean, over the deviation; 0 where all are equal. Takes the memory of `scores` over."""
    mean, over = _scale(scores, 0.0)
    return scores.sub_(mean).mul_(over)


def _over_deviation(scores: Tensor) -> Tensor:
    """Return each row over its deviation; as it is where all are equal. Takes the memory of `scores` over."""
    return scores.mul_(_scale(scores, 1.0)[1])


def _popularity(counters: BlendCounts, half_life: float, part: Ingredient) -> Tensor:
    """Return z of the logarithm of decayed popularity, [1, i]."""
    counts = torch.from_numpy(counters.popularity.at(half_life)).log1p().float()
    return standardised(own(to_width(counts[None], part.num_items)))


def _scale(scores: Tensor, constant: float) -> tuple[Tensor, Tensor]:
    """Return mean and 1 / deviation per row, [n, 1] each, the latter `constant` where all are equal.

    Two passes that write nothing; `torch.std` takes six times as long.
    """
    mean, count = scores.mean(1, keepdim=True), max(scores.shape[1], 1)
    square = torch.linalg.vector_norm(scores, dim=1, keepdim=True).square() / count
    deviation = (square - mean.square()).clamp(min=0).sqrt()
    row = torch.nonzero((deviation <= CANCELS * mean.abs()).squeeze(1)).squeeze(1)
    if len(row):
        deviation[row] = torch.linalg.vector_norm(scores[row] - mean[row], dim=1, keepdim=True) / count**0.5
    return mean, torch.where(deviation > CONSTANT * mean.abs(), 1 / deviation, constant)
