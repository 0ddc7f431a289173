"""The best items under many weighted sums of the same parts, exactly, from a short list of candidates per user.

An item that is in no part's top D scores at most the weighted sum of the parts' D-th values (the threshold argument of Fagin,
Lotem & Naor, "Optimal aggregation algorithms for middleware", PODS 2001; weights are not negative). Where the K-th listed
item beats that bound, the list holds the answer; where it does not, every candidate is ranked after all.
Letters: n users, i items, m listed items, K.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gnnrec.evaluation.ranking import SPARE, in_order, on_device, places, top_items
from gnnrec.evaluation.settings import MaskedPairs
from gnnrec.scorers.blend import BlendWeights, Parts, combine

DEPTH = 128
"""D: items listed per part. Deeper lists cost more per setting, shallower ones send more users to the full ranking."""
MARGIN = 1e-5
"""By how much, relative, the bound must be beaten: sums of the same numbers may round differently."""
MASKED = -1e9
"""Standardised score of a masked item: below every other, and finite."""


@dataclass(frozen=True, slots=True)
class Everything:
    """Every candidate of a block of users, ranked anew for each setting.

    Attributes:
        parts: ingredients over every candidate, seen pairs at `MASKED`.
        seen: (row, item) pairs that are no candidates.
        order: [i] of ties.
    """

    parts: Parts
    seen: MaskedPairs
    order: Tensor

    def top(self, weights: BlendWeights, k: int) -> Tensor:
        """Return the k best items per user under `weights`, [n, k], as `top_items` does."""
        return top_items(combine(self.parts, weights), k, self.order, self.seen)

    def take(self, row: Tensor) -> Everything:
        """Return the candidates of some of the users."""
        place = np.full(self.parts.shape[0], -1)
        place[row.cpu().numpy()] = np.arange(len(row))
        inside = place[self.seen[0]] >= 0
        parts = self.parts.map(lambda p: p[row] if len(p) > 1 else p, (len(row), self.parts.shape[1]))
        return Everything(parts, (place[self.seen[0]][inside], self.seen[1][inside]), self.order)


@dataclass(frozen=True, slots=True)
class Shortlist:
    """A short list per user, and every candidate behind it.

    Attributes:
        everything: who the list is of.
        item: [n, m] listed items, ascending.
        allowed: [n, m] False for repeats in the list and for seen items.
        listed: the ingredients of the listed items, [n, m].
        bound: the ingredients' D-th values, [n, 1].
        place: [i] of each item in the order of ties.
    """

    everything: Everything
    item: Tensor
    allowed: Tensor
    listed: Parts
    bound: Parts
    place: Tensor

    def top(self, weights: BlendWeights, k: int) -> Tensor:
        """Return the k best items per user under `weights`, [n, k], as `top_items` does."""
        scores = combine(self.listed, weights).masked_fill_(~self.allowed, -torch.inf)
        value, position = scores.topk(min(k + SPARE, scores.shape[1]), dim=1)
        item = self.item.gather(1, position)
        bound = combine(self.bound, weights)[:, 0]
        sure = (value[:, k - 1] > bound + MARGIN * (1 + bound.abs())) & (value[:, k - 1] > value[:, -1])
        if len(tied := torch.nonzero((value[:, 1:] == value[:, :-1]).any(1)).squeeze(1)):
            item[tied] = in_order(value[tied], item[tied], self.place)[1]
        result = item[:, :k].cpu()
        if len(rest := torch.nonzero(~sure).squeeze(1)):
            result[rest.cpu()] = self.everything.take(rest).top(weights, k)
        return result


def shortlist(parts: Parts, seen: MaskedPairs, order: Tensor, depth: int = DEPTH) -> Everything | Shortlist:
    """List the `depth` best items of each part, unless there are so few that ranking all of them costs no more.

    Takes the parts over and masks the seen pairs in them.
    """
    users, items = parts.shape
    per_user = [p for p in (parts.model, parts.companion) if p is not None]
    for part in per_user:
        part[on_device(seen, part.device)] = MASKED
    everything = Everything(parts, seen, order)
    lists = (len(per_user) + len(parts.popularity)) * depth
    if not users or items <= 2 * lists:
        return everything
    chosen: list[Tensor] = []

    def edge(part: Tensor) -> Tensor:
        """List a part's best items, and return the value that no other one of its items exceeds."""
        best = part.topk(depth, dim=1)
        chosen.append(best.indices.expand(users, -1))
        return best.values[:, -1:]

    bound = parts.map(edge, (users, 1))
    item = torch.cat(chosen, dim=1).sort(1).values
    masked = torch.zeros(users, items, dtype=torch.bool, device=item.device)
    masked[on_device(seen, item.device)] = True
    allowed = ~masked.gather(1, item)
    allowed[:, 1:] &= item[:, 1:] != item[:, :-1]
    listed = parts.map(lambda p: _gathered(p, item), (users, lists))
    return Shortlist(everything, item, allowed, listed, bound, places(order).to(item.device))


def _gathered(part: Tensor, item: Tensor) -> Tensor:
    return part.expand(len(item), -1).gather(1, item)
