"""The best candidates of many users under many scorers, for several slices of held-out events at once.

What a model, or co-occurrence, says of a user is computed once per block of users, whichever rows and slices ask for it.
Letters: n users of a block, u users of a slice, i candidates, K the largest cut-off.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gnnrec.data.types import Ints
from gnnrec.evaluation.ranking import tie_order, top_items
from gnnrec.evaluation.settings import MaskedPairs, Relevant, Settings
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.scorers.block import Ingredient, UserBlock
from gnnrec.scorers.model import Scorer

Lists = dict[str, Tensor]
"""Scorer → [u, K] numbers of items on the CPU, −1 where there are fewer candidates."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Whose lists, out of what.

    Attributes:
        user: [u] ascending.
        num_items: candidates are the items below.
        seen: pairs that are no candidates, by the settings' mask.
        kept: pairs that are candidates all the same.
    """

    user: Ints
    num_items: int
    seen: BipartiteGraph
    kept: Relevant | None = None

    def masked(self, start: int, end: int, settings: Settings) -> MaskedPairs:
        """Return the (row, item) pairs of the users from start to end that are no candidates, rows counted from start."""
        row, item = settings.masked(self.seen, self.user[start:end])
        inside = item < self.num_items
        if self.kept is not None and len(row):
            own = self.kept.between(start, end)
            span = self.num_items + int(own[1].max(initial=0)) + 1
            inside[inside] = ~np.isin(row[inside] * span + item[inside], own[0] * span + own[1])
        return row[inside], item[inside]


def best(
    scorers: Mapping[str, Scorer],
    asked: Sequence[Asked],
    settings: Settings,
    order: Callable[[int, int], Tensor] = tie_order,
) -> list[Lists]:
    """Return the lists of every scorer, all of which rank, for everything that is asked.

    Args:
        scorers: by name.
        asked: whose lists, out of what.
        settings: length of the lists, masks, seed of the order of ties.
        order: (seed, number of items) → the order that breaks ties, [i].
    """
    k = max(settings.topk)
    found = [{name: torch.full((len(a.user), k), -1) for name in scorers} for a in asked]
    if not asked:
        return found
    everyone = np.unique(np.concatenate([a.user for a in asked]))
    width = max(a.num_items for a in asked)
    orders = {a.num_items: order(settings.seed, a.num_items) for a in asked}
    starts = settings.starts(len(everyone), width)
    for begin in starts:
        block = UserBlock(everyone[begin : begin + starts.step], width)
        for a, lists in zip(asked, found, strict=True):
            start, end = np.searchsorted(a.user, [block.user[0], block.user[-1] + 1])
            if start == end:
                continue
            part, masked = Ingredient(block, a.user[start:end], a.num_items), a.masked(start, end, settings)
            for name, scorer in scorers.items():
                lists[name][start:end] = top_items(part.scores(scorer), k, orders[a.num_items], masked)
    return found
