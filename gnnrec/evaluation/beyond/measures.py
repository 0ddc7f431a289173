"""Coverage, concentration, novelty, popularity lift, new items and calibration of lists.

Letters: u users, i candidates, K = 20 the length of a list.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from gnnrec.data.types import Floats, Ints
from gnnrec.evaluation.settings import Bools
from gnnrec.evaluation.world import World

LENGTH = 20
"""Of the lists: the cut-off of tables and selection."""
TIERS = 3
"""Head, middle and tail of the catalogue."""
SMOOTHING = 0.01
"""Share of the history that is mixed into a list, so that a tier it lacks costs no infinity (Steck 2018)."""

BeyondRow = tuple[str, str, float, int]
"""(segment, metric, value, n)."""


@dataclass(frozen=True, slots=True)
class Backdrop:
    """What lists are seen against, one and the same for every row of a table.

    Attributes:
        popularity: [i] absorbed events per candidate, 0 of those that are not known.
        tier: [i] 0 (head), 1 (middle) or 2 (tail); of a candidate that is not known, tail.
        new: [i] whether the candidate is known since the newest increment; None: everything is, it is the base.
        history: [u] distinct items that a user has.
        had: [u] mean popularity of these; 0 without any.
        shares: [u, 3] of these by tier; 0 without any.
    """

    popularity: Floats
    tier: Ints
    new: Bools | None
    history: Ints
    had: Floats
    shares: Floats

    @staticmethod
    def of(user: Ints, world: World, candidates: int) -> Backdrop:
        """Return what the lists of these users, [u], are seen against; `candidates` may be more than the known items."""
        more = max(0, candidates - world.num_items)
        popularity = np.pad(world.popularity, (0, more))
        tier = np.pad(world.thirds(), (0, more), constant_values=TIERS - 1)
        row, item = world.seen.neighbours(user, of_users=True)
        history = np.bincount(row, minlength=len(user))
        each = np.maximum(history, 1)
        had = np.bincount(row, popularity[item], len(user)) / each
        shares = _by_tier(row, tier[item], len(user)) / each[:, None]
        number = np.arange(len(popularity))
        new = None if world.old_items is None else (number >= world.old_items) & (number < world.num_items)
        return Backdrop(popularity, tier, new, history, had, shares)


def beyond(top: Tensor, behind: Backdrop) -> list[BeyondRow]:
    """Return the rows of lists [u, ≥ K], −1 behind the end of one; nothing where there is no list."""
    listed = top[:, :LENGTH].numpy()
    given = (listed >= 0).any(1)
    if not given.any():
        return []
    row, at = np.nonzero(listed >= 0)
    item, users = listed[row, at], int(given.sum())
    length = np.maximum(np.bincount(row, minlength=len(listed)), 1)
    shown = np.bincount(item, minlength=len(behind.popularity))
    known = given & (behind.history > 0)

    def mean(value: Floats) -> float:
        """Return the mean over users of the mean over their lists of something of each item shown."""
        return float((np.bincount(row, value, len(listed)) / length)[given].mean())

    rows = [("coverage", float((shown > 0).mean()), users), ("gini", gini(shown), users)]
    rows.append(("novelty", mean(novelty(behind.popularity)[item]), users))
    if behind.new is not None:
        rows.append(("new_items", mean(behind.new[item].astype(float)), users))
    if known.any():
        lists = np.bincount(row, behind.popularity[item], len(listed)) / length
        shares = _by_tier(row, behind.tier[item], len(listed)) / length[:, None]
        apart = divergence(behind.shares[known], shares[known])
        rows += _of_known(lists[known], behind.had[known], apart)
    return [("all", f"{metric}@{LENGTH}", value, n) for metric, value, n in rows]


def _of_known(lists: Floats, had: Floats, apart: Floats) -> Iterator[tuple[str, float, int]]:
    """Yield what sets lists against what their users have had."""
    if had.mean() > 0:  # what was taken back may have left nothing
        yield "popularity_lift", float(lists.mean() / had.mean() - 1), len(had)
    yield "calibration", float(apart.mean()), len(had)


def gini(count: Ints) -> float:
    """Return how unequal counts [i] are: 0 where all are alike, 1 − 1/i where one has everything; 0 where all are 0."""
    ordered, n = np.sort(count).astype(float), len(count)
    total = ordered.sum()
    rank = np.arange(1, n + 1)
    return float(((2 * rank - n - 1) * ordered).sum() / (n * total)) if total else 0.0


def novelty(popularity: Floats) -> Floats:
    """Return −log2 of each item's share of the absorbed events, [i]; an item without counts as if it had one."""
    found: Floats = -np.log2(np.maximum(popularity, 1) / max(popularity.sum(), 1))
    return found


def divergence(history: Floats, shown: Floats) -> Floats:
    """Return Σ_g p(g) ln(p(g) / q̃(g)), q̃ = .99 q + .01 p, [u], of shares p of what was had and q of what is shown, [u, g]."""
    smooth = (1 - SMOOTHING) * shown + SMOOTHING * history
    ratio = np.divide(history, smooth, out=np.ones_like(history), where=history > 0)
    found: Floats = (history * np.log(ratio)).sum(1)
    return found


def _by_tier(row: Ints, tier: Ints, users: int) -> Floats:
    """Return how many items of each tier a row has, [u, 3]."""
    return np.bincount(row * TIERS + tier, minlength=users * TIERS).reshape(users, TIERS).astype(float)
