"""From which price of a second full retraining pays, against a row that is cheaper and worse."""

from __future__ import annotations

import math
from dataclasses import dataclass

NEVER, ANY = "never", "any"
"""Full retraining costs more and is no better; it costs no more and is no worse."""


@dataclass(frozen=True, slots=True)
class RetrainPrice:
    """The price of a second, in events with a recall of 1 that it must bring back (as `policy.price`), below which full
    retraining pays.

    Attributes:
        value: what a second of full retraining brings; None where it brings nothing or saves nothing.
        low, high: its interval by that of the difference in recall; None where that is not known, or nothing above 0 is in it.
        word: "never" and "any" where every price gives one answer, by the means; else "".
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    word: str = ""


def retrain_price(
    gain: float, saved: float, events: float, low: float | None = None, high: float | None = None
) -> RetrainPrice:
    """Return (recall_full − recall_row) · events ÷ (seconds_full − seconds_row) and its interval.

    The seconds are taken as they were measured: the interval is that of recall alone.

    Args:
        gain: recall of full retraining less the row's.
        saved: seconds of full retraining less the row's, per update.
        events: relevant ones of a next increment.
        low, high: interval of `gain`; None: not known.
    """
    if not all(map(math.isfinite, (gain, saved, events))) or events <= 0:
        return RetrainPrice()
    if saved <= 0:
        return RetrainPrice(word=ANY if gain >= 0 else "")
    per = events / saved
    most = per * high if high is not None and high > 0 else None
    if gain <= 0:
        return RetrainPrice(high=most, word=NEVER)
    return RetrainPrice(per * gain, None if low is None else max(0.0, per * low), most)
