"""The lists of five users before and after the last update that is scored: numbers say how many, these say which.

Letters: u users, K = 10 the length of a list.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
import torch

from gnnrec.core.seeds import generator
from gnnrec.data.types import Ints, Stream
from gnnrec.evaluation.lists import Asked, best
from gnnrec.evaluation.ranking import hits, steady_order
from gnnrec.evaluation.settings import Bools, Relevant, Settings
from gnnrec.evaluation.world import World
from gnnrec.scorers.model import Scorer

USERS, LENGTH = 5, 10
"""How many users, and how much of their lists."""
LISTED = pl.Schema(
    {"user": pl.String(), "known": pl.Boolean(), "rank": pl.Int64(), "item": pl.Int64(), "relevant": pl.Boolean()}
)
"""A place in a list: whose, whether the user is known, the item's number in the stream, whether the user takes it next."""


@dataclass(frozen=True, slots=True)
class ExampleUsers:
    """Users whose lists are kept: the same for every row of a table.

    Attributes:
        index: t, the last increment behind which something is scored.
        truth: what is relevant of increment t + 1, of these users alone.
        names: [u] what tables call them.
        known: [u] whether they are known at t.
    """

    index: int
    truth: Relevant
    names: tuple[str, ...]
    known: tuple[bool, ...]

    def lists(self, scorers: Mapping[str, Scorer], world: World, measure: Settings) -> dict[str, pl.DataFrame]:
        """Return a frame of `LISTED` for each scorer that ranks: what would be served, ties in one order at every t.

        Args:
            scorers: by name.
            world: what they have absorbed.
            measure: candidates and masks.
        """
        ranking = {name: scorer for name, scorer in scorers.items() if scorer.scores is not None}
        candidates = measure.universe if measure.candidates == "universe" else world.num_items
        asked = [Asked(self.truth.user, candidates, world.seen)]
        (found,) = best(ranking, asked, replace(measure, topk=(LENGTH,)), steady_order)
        return {name: self._frame(top) for name, top in found.items()}

    def taken(self) -> dict[str, list[int]]:
        """Return by user the numbers of the items that they take next."""
        return {name: self.truth.item[self.truth.row == n].tolist() for n, name in enumerate(self.names)}

    def _frame(self, top: torch.Tensor) -> pl.DataFrame:
        relevant = hits(top, self.truth.row, self.truth.item, len(self.names))
        rows = [
            (self.names[u], self.known[u], rank + 1, item, bool(relevant[u, rank]))
            for u, listed in enumerate(top.tolist())
            for rank, item in enumerate(listed)
            if item >= 0
        ]
        return pl.DataFrame(rows, schema=LISTED, orient="row")


def last_scored(stream: Stream) -> int | None:
    """Return the last t ≥ 1 behind which there are events to score; None where no update is scored."""
    return max((t for t, increment in enumerate(stream.increments) if t and len(increment.upcoming)), default=None)


def example_users(stream: Stream, worlds: list[World], measure: Settings, t: int) -> ExampleUsers | None:
    """Return five of those who count in `next` of increment t, drawn by a seed, one of them new where there is one.

    None where t is not the last one behind which something is scored.
    """
    if last_scored(stream) != t:
        return None
    world = worlds[t]
    truth = measure.truth(stream.increments[t].upcoming, world.seen)
    user = _drawn(truth.user, truth.user < world.num_users, measure.seed, t)
    whose = truth.user[truth.row]
    own = np.isin(whose, user)
    mine = Relevant(user, np.searchsorted(user, whose[own]), truth.item[own])
    return ExampleUsers(t, mine, tuple(map(str, stream.named[user])), tuple((user < world.num_users).tolist()))


def _drawn(user: Ints, known: Bools, seed: int, t: int) -> Ints:
    """Return as many as are kept, ascending: one new where there is one, more where too few are known."""
    rng = generator(seed, t, "examples")
    old, new = rng.permutation(user[known]), rng.permutation(user[~known])
    kept = old[: USERS - min(1, len(new))]
    return np.sort(np.concatenate([kept, new[: USERS - len(kept)]]))
