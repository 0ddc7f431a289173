"""Users scored together: what several rows of a table, or several of their slices, need of a block is computed once.

Letters: n users, i candidates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from gnnrec.counters.itemknn import ItemKNN
from gnnrec.data.types import Ints
from gnnrec.scorers.model import Scorer, to_width


class Source(Protocol):
    """Scores whose columns are the same for every number of candidates, cut or padded."""

    def scores(self, user: Ints, num_items: int) -> Tensor:
        """Return [n, num_items]."""
        ...


@runtime_checkable
class Mixture(Protocol):
    """A scorer made of others' scores, such as one that standardises them over the candidates."""

    def mixed(self, part: Part) -> Tensor:
        """Return the ranking scores of the part's users and candidates, in memory that may be written to."""
        ...


class Block:
    """Ascending users, and scores of them that were asked for.

    Args:
        user: [n].
        width: most candidates that a part has.

    What it was asked about must outlive it: scores are kept by identity.
    """

    def __init__(self, user: Ints, width: int) -> None:
        self.user, self.width = user, width
        self._found: dict[int, Tensor] = {}

    def scores(self, source: Source) -> Tensor:
        """Return a source's scores over all candidates, [n, width], not to be written to."""
        if id(source) not in self._found:
            self._found[id(source)] = source.scores(self.user, self.width)
        return self._found[id(source)]

    def cosines(self, itemknn: ItemKNN) -> Tensor:
        """Return ItemKNN's scores over all candidates, [n, width], on the CPU, not to be written to."""
        if id(itemknn) not in self._found:
            self._found[id(itemknn)] = to_width(torch.from_numpy(itemknn.scores(self.user)), self.width)
        return self._found[id(itemknn)]


@dataclass(frozen=True, slots=True)
class Part:
    """Some users of a block over the first candidates.

    Attributes:
        block: whose scores are shared.
        user: [m] ascending, all in the block.
        num_items: i.
    """

    block: Block
    user: Ints
    num_items: int

    @staticmethod
    def alone(user: Ints, num_items: int) -> Part:
        """Return these users as a block of their own."""
        return Part(Block(user, num_items), user, num_items)

    def scores(self, source: Source) -> Tensor:
        """Return a source's scores, [m, i], in memory of their own."""
        return self._own(self.block.scores(source))

    def cosines(self, itemknn: ItemKNN) -> Tensor:
        """Return ItemKNN's scores, [m, i], in memory of their own."""
        return self._own(self.block.cosines(itemknn))

    def _own(self, found: Tensor) -> Tensor:
        if len(self.user) == len(self.block.user):
            return found[:, : self.num_items].clone(memory_format=torch.contiguous_format)
        row = torch.from_numpy(np.searchsorted(self.block.user, self.user)).to(found.device)
        return found[:, : self.num_items].index_select(0, row)

    def ranked(self, scorer: Scorer) -> Tensor:
        """Return the ranking scores of a scorer that ranks, [m, i], in memory of their own."""
        if isinstance(scorer, Mixture):
            return scorer.mixed(self)
        return self.scores(scorer)  # type: ignore[arg-type]  # `scores` is None only where a scorer ranks nothing
