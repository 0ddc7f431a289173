"""Users scored together: what several rows of a table, or several of their slices, need of a block is computed once.

Letters: n users, i candidates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from gnnrec.counters.counters import CompanionScores
from gnnrec.data.types import Ints
from gnnrec.scorers.model import Scorer, to_width


@runtime_checkable
class Mixture(Protocol):
    """A scorer made of others' scores, such as one that standardises them over the candidates."""

    def mixed(self, part: Ingredient) -> Tensor:
        """Return the ranking scores of the part's users and candidates, in memory that may be written to."""
        ...


class UserBlock:
    """Ascending users, and scores of them that were asked for.

    Args:
        user: [n].
        width: most candidates that a part has.

    What it was asked about must outlive it: scores are kept by identity.
    """

    def __init__(self, user: Ints, width: int) -> None:
        self.user, self.width = user, width
        self._found: dict[int, Tensor] = {}

    def scores(self, scorer: Scorer) -> Tensor:
        """Return the scores of a scorer that ranks over all candidates, [n, width], not to be written to."""
        if id(scorer) not in self._found:
            assert scorer.scores is not None
            self._found[id(scorer)] = scorer.scores(self.user, self.width)
        return self._found[id(scorer)]

    def beside(self, companion: CompanionScores) -> Tensor:
        """Return a companion's scores over all candidates, [n, width], on the CPU, not to be written to."""
        if id(companion) not in self._found:
            self._found[id(companion)] = to_width(torch.from_numpy(companion.known_scores(self.user)), self.width)
        return self._found[id(companion)]


@dataclass(frozen=True, slots=True)
class Ingredient:
    """Some users of a block over the first candidates.

    Attributes:
        block: whose scores are shared.
        user: [m] ascending, all in the block.
        num_items: i.
    """

    block: UserBlock
    user: Ints
    num_items: int

    @staticmethod
    def alone(user: Ints, num_items: int) -> Ingredient:
        """Return these users as a block of their own."""
        return Ingredient(UserBlock(user, num_items), user, num_items)

    def scores(self, scorer: Scorer) -> Tensor:
        """Return the ranking scores of a scorer that ranks, [m, i], not to be written to."""
        return scorer.mixed(self) if isinstance(scorer, Mixture) else self._cut(self.block.scores(scorer))

    def beside(self, companion: CompanionScores) -> Tensor:
        """Return a companion's scores, [m, i], on the CPU, not to be written to."""
        return self._cut(self.block.beside(companion))

    def _cut(self, found: Tensor) -> Tensor:
        found = found[:, : self.num_items]
        if len(self.user) == len(self.block.user):
            return found
        return found[torch.from_numpy(np.searchsorted(self.block.user, self.user)).to(found.device)]


def own(scores: Tensor) -> Tensor:
    """Return a copy that may be written to, rows side by side."""
    return scores.clone(memory_format=torch.contiguous_format)
