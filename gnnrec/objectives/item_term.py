"""The item term of a ranking score: how popular an item is, which a cosine or a few epochs of descent do not know.

Letters: n pairs, m items, i all items, s slices of time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from gnnrec.counters.past import PastPopularity
from gnnrec.data.types import Floats


class ItemTerm(nn.Module):
    """β · log(1 + n_i), n_i the absorbed events of item i, the older the less where a half-life is set.

    A model of p(i | u) ∝ exp(score) needs the items' own frequency: with β = 1 it is the prior, and embeddings learn what users
    add to it. The counts are the stream's and follow it, trained or not: they are no weights, and are not saved with them.

    While a fit goes over events of the past, the term of an event is what it was when the event came (`as_of`). With today's
    counts, what was in fashion then would look like what its users prefer, and what is in fashion now like what they did not
    want: embeddings would learn to take the term back.

    Args:
        strength: β, in the units of the score that it is added to.
    """

    _log: Tensor
    _total: Tensor

    def __init__(self, strength: float) -> None:
        super().__init__()
        self.strength = strength
        self._chances: tuple[int, Tensor] | None = None
        self._then: Tensor | None = None
        self.register_buffer("_log", torch.zeros(0), persistent=False)
        self.register_buffer("_total", torch.zeros(0), persistent=False)

    def grow(self, num_items: int) -> None:
        """Make room for new items, without an event until they are counted."""
        more = self._log.new_zeros(max(num_items - len(self._log), 0))
        self._log, self._total = (torch.cat([x, more]) for x in (self._log, self._total))
        self._chances = None

    def count(self, total: Floats, aged: Floats | None = None) -> None:
        """Take the absorbed events of each item, [i], all alike and as the term counts them; None: all alike too."""
        self._chances = None
        self._total = torch.from_numpy(total).log1p().to(self._log)
        self._log = self._total if aged is None else torch.from_numpy(aged).log1p().to(self._log)

    def forward(self, item: Tensor) -> Tensor:
        """Return the term of each item numbered here, [n]; 0 [] where there is none."""
        return self.strength * self._log[item] if self.strength else self._log.new_zeros(())

    def table(self, past: PastPopularity) -> Tensor:
        """Return the term of every item in every slice of time, [s, i]."""
        term: Tensor = torch.from_numpy(past.counts).log1p() * self.strength
        return term

    @contextmanager
    def as_of(self, table: Tensor | None) -> Iterator[None]:
        """Let events that name their slice of time have the term of `table` [s, i] inside; None: today's."""
        before, self._then = self._then, table
        try:
            yield
        finally:
            self._then = before

    def when(self, item: Tensor, within: Tensor) -> Tensor:
        """Return the term of each event's items as of its slice of time, shaped as `item`; 0 [] where there is none.

        Args:
            item: [n], or [n, k] where an event has several.
            within: the slice of each event, [n]; empty: today's term.
        """
        if self._then is None or not len(within):
            return self.forward(item)
        return self._then[within.view(-1, *[1] * (item.dim() - 1)), item]

    def by_slice(self, within: Tensor, item: Tensor | None = None) -> Tensor:
        """Return the term of these items, or of all, in every slice of time, [s, m]; today's, [m], where `within` is empty."""
        if self._then is None or not len(within):
            return self.all_items() if item is None else self.forward(item)
        return self._then if item is None else self._then[:, item]

    def drawn(self, item: Tensor, by_popularity: bool) -> Tensor:
        """Return the log of the chance of each of these items to be among as many distinct ones as they are, [n].

        Args:
            item: [n].
            by_popularity: whether items are drawn by events, one added to each, or uniformly.
        """
        if not by_popularity:
            return self._total.new_full(item.shape, min(len(item) / max(len(self._total), 1), 1.0)).log()
        if self._chances is None or self._chances[0] != len(
            item
        ):  # a step's number of samples is mostly the last one's
            self._chances = len(item), inclusion(self._total.exp(), len(item))
        return self._chances[1].to(item.device)[item].log()

    def all_items(self) -> Tensor:
        """Return the term of every item, [i]; 0 [] where there is none."""
        return self.strength * self._log if self.strength else self._log.new_zeros(())


def inclusion(weight: Tensor, number: int) -> Tensor:
    """Return the chance of each item to be among `number` distinct ones, drawn by weight one after the other, [i].

    1 − exp(−t w_i) with t such that they sum to it (Hájek's approximation of successive sampling); 1 where all are drawn.
    """
    if number >= len(weight):
        return torch.ones_like(weight)
    share, low, high = weight.double() / weight.double().mean(), 0.0, 1.0
    while float(-torch.expm1(-high * share).sum()) < number:
        high *= 2
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if float(-torch.expm1(-middle * share).sum()) < number else (low, middle)
    return (-torch.expm1(-high * share)).to(weight)
