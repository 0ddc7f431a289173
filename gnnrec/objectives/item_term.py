"""The item term of a ranking score: how popular an item is, which a cosine or a few epochs of descent do not know.

Letters: n pairs, i items.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gnnrec.data.types import Floats


class ItemTerm(nn.Module):
    """β · log(1 + n_i), n_i the absorbed events of item i, the older the less where a half-life is set.

    A model of p(i | u) ∝ exp(score) needs the items' own frequency: with β = 1 it is the prior, and embeddings learn what users
    add to it. The counts are the stream's and follow it, trained or not: they are no weights, and are not saved with them.

    Args:
        strength: β, in the units of the score that it is added to.
    """

    _log: Tensor
    _total: Tensor

    def __init__(self, strength: float) -> None:
        super().__init__()
        self.strength = strength
        self.register_buffer("_log", torch.zeros(0), persistent=False)
        self.register_buffer("_total", torch.zeros(0), persistent=False)

    def grow(self, num_items: int) -> None:
        """Make room for new items, without an event until they are counted."""
        more = self._log.new_zeros(max(num_items - len(self._log), 0))
        self._log, self._total = (torch.cat([x, more]) for x in (self._log, self._total))

    def count(self, total: Floats, aged: Floats | None = None) -> None:
        """Take the absorbed events of each item, [i], all alike and as the term counts them; None: all alike too."""
        self._total = torch.from_numpy(total).log1p().to(self._log)
        self._log = self._total if aged is None else torch.from_numpy(aged).log1p().to(self._log)

    def forward(self, item: Tensor) -> Tensor:
        """Return the term of each item numbered here, [n]; 0 [] where there is none."""
        return self.strength * self._log[item] if self.strength else self._log.new_zeros(())

    def expected(self, item: Tensor, by_popularity: bool) -> Tensor:
        """Return the log of how often each item is expected among as many draws as there are items here, [n].

        Args:
            item: [n].
            by_popularity: whether draws are by events, one added to each, or uniform.
        """
        draws = torch.full(item.shape, len(item) / max(len(self._log), 1), device=item.device).log()
        return draws + (self._total[item] - self._total.exp().mean().log()) if by_popularity else draws

    def all_items(self) -> Tensor:
        """Return the term of every item, [i]; 0 [] where there is none."""
        return self.strength * self._log if self.strength else self._log.new_zeros(())
