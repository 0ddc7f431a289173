"""How often to update: what waiting loses against what updates cost, both in events with a recall of 1.

Letters: n increments that an update takes up, E events of an increment, L recall@20 that what serves loses with each increment
that waits, S seconds of an update, P price: events with a recall of 1 that a second must bring
back, as that of policy `cost`.

Of n increments the first is served by what is fresh, the next by what has lost L, and so on; an update is paid for once. So an
event costs L (n − 1) / 2 + P S / (n E). That is the economic order quantity; but n is whole, and so is its answer here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class AgeLoss:
    """What serving one increment longer loses.

    Attributes:
        loss: of recall@20 with each increment that waits.
        low, high: its interval of 95 %; NaN where too little is known for one.
        waited: increments that were served by what had let others wait: what the loss is known from.
        oldest: most that had waited before one of them; beyond that the line is a guess.
    """

    loss: float
    low: float
    high: float
    waited: int
    oldest: int


def cost_of(n: int, loss: float, rows: float, seconds: float, price: float) -> float:
    """Return what updating with every n-th increment costs: events with a recall of 1 lost or paid, per event.

    Args:
        n: increments that an update takes up, 1 or more.
        loss: of recall@20 with each increment that waits.
        rows: events of an increment.
        seconds: of an update.
        price: events with a recall of 1 that a second must bring back.
    """
    return loss * (n - 1) / 2 + price * seconds / (n * rows)


def best_interval(loss: float, rows: float, seconds: float, price: float) -> int | None:
    """Return the n that costs least, the smaller of two that cost the same; None where waiting is not known to lose anything.

    Args:
        loss, rows, seconds, price: as of `cost_of`.
    """
    if not all(map(math.isfinite, (loss, rows, seconds, price))) or min(loss, rows) <= 0 or min(seconds, price) < 0:
        return None
    # n + 1 is cheaper than n while n (n + 1) < 2 P S / (L E); the root may be off by one where floats round.
    ratio = 2 * price * seconds / (loss * rows)
    if not math.isfinite(ratio):
        return None
    n = max(1, math.ceil((math.sqrt(1 + 4 * ratio) - 1) / 2))
    while n > 1 and (n - 1) * n >= ratio:
        n -= 1
    while n * (n + 1) < ratio:
        n += 1
    return n


def break_even_price(lost: float, saved: float) -> float:
    """Return the price of a second from which on updating more seldom pays.

    It is 0 where nothing is lost, so that it pays at any price, and NaN where nothing is saved.

    Args:
        lost: events with a recall of 1 that are lost by it.
        saved: seconds that are saved by it, over the same events.
    """
    if not (math.isfinite(lost) and math.isfinite(saved)) or saved <= 0:
        return math.nan
    return max(0.0, lost) / saved


def worth(lost: float, saved: float, price: float) -> float:
    """Return what updating more seldom is worth at a price, in events with a recall of 1: above 0 it pays.

    Args:
        lost, saved: as of `break_even_price`.
        price: events with a recall of 1 that a second must bring back.
    """
    return price * saved - lost


def loss_by_age(served: Sequence[Sequence[float]]) -> AgeLoss:
    """Return what each increment that waits loses, by what was served: a line through each model's own mean.

    Increments differ, and models too: only what one and the same model served is compared. The interval takes what is left
    of an increment's quality for chance.

    Args:
        served: for each model that served, recall@20 by the increments that came, the one directly behind its update first;
            NaN where nothing could be scored.
    """
    pairs = [[(age, q) for age, q in enumerate(own) if math.isfinite(q)] for own in served]
    groups = [np.array(own) for own in pairs if len(own) > 1]
    waited = sum(len(own) - 1 for own in groups)
    if not groups:
        return AgeLoss(math.nan, math.nan, math.nan, 0, 0)
    oldest = int(max(own[:, 0].max() for own in groups))
    age, quality = np.concatenate([own - own.mean(axis=0) for own in groups]).T
    spread = float(age @ age)
    slope = float(age @ quality) / spread
    free = waited - 1
    if free < 1:
        return AgeLoss(-slope, math.nan, math.nan, waited, oldest)
    left = quality - slope * age
    error = math.sqrt(float(left @ left) / free / spread)
    reach = float(stats.t.ppf((1 + LEVEL) / 2, free)) * error
    return AgeLoss(-slope, -slope - reach, -slope + reach, waited, oldest)
