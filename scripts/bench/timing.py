"""Timing of alternatives side by side, and the lines of the table."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

Work = Callable[[], object]


@dataclass(frozen=True)
class Line:
    """One line of the table.

    Attributes:
        benchmark: which one it belongs to.
        what: the quantity.
        value: its number; None: could not be measured, and `note` says why.
        unit: of the value.
        low, high: spread of the value over rounds (10 % and 90 % quantiles), or None.
        target: what is asked, as text; empty: reported only.
        met: whether the target is met; None: there is none.
        note: what the number rests on.
        exact: whether the target is asked of any size, as equal gradients are; times are asked at their sizes only.
    """

    benchmark: str
    what: str
    value: float | None
    unit: str
    low: float | None = None
    high: float | None = None
    target: str = ""
    met: bool | None = None
    note: str = ""
    exact: bool = False


def seconds(work: Work) -> float:
    """Return the wall-clock seconds of one call; waits for an accelerator."""
    begin = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - begin


def alternate(
    works: Mapping[str, Work], rounds: int, repeat: Mapping[str, int] | None = None
) -> dict[str, list[float]]:
    """Return seconds per call and round of each work, run in turns so that a busy machine slows all of them alike.

    Args:
        works: the alternatives.
        rounds: turns each gets.
        repeat: calls per turn, 1 by default. The call before them is not timed: in its own loop a work would not meet the
            memory that another one has just given back.
    """
    times: dict[str, list[float]] = {name: [] for name in works}
    for n in range(rounds):
        for name in list(works) if n % 2 == 0 else list(works)[::-1]:
            works[name]()
            calls = (repeat or {}).get(name, 1)
            times[name].append(seconds(lambda w=works[name], c=calls: [w() for _ in range(c)]) / calls)
    return times


def ratio(slow: list[float], fast: list[float]) -> tuple[float, float, float]:
    """Return (median, 10 %, 90 %) of slow / fast over rounds."""
    found = np.array(slow) / np.array(fast)
    return float(np.median(found)), float(np.quantile(found, 0.1)), float(np.quantile(found, 0.9))


def at_least(benchmark: str, what: str, slow: list[float], fast: list[float], target: float, note: str = "") -> Line:
    """Return the line of a ratio that should be `target` or more."""
    middle, low, high = ratio(slow, fast)
    return Line(benchmark, what, middle, "×", low, high, f"≥ {target:g}×", middle >= target, note)


def at_most(
    benchmark: str, what: str, slow: list[float], fast: list[float], target: float | None, note: str = ""
) -> Line:
    """Return the line of a ratio that should be `target` or less; None: it is reported only."""
    middle, low, high = ratio(slow, fast)
    if target is None:
        return Line(benchmark, what, middle, "×", low, high, note=note)
    return Line(benchmark, what, middle, "×", low, high, f"≤ {target:g}×", middle <= target, note)


def bootstrap(benchmark: str, what: str, large: list[float], small: list[float], target: float) -> Line:
    """Return the line of a ratio of medians of two samples, not paired; its spread is bootstrapped."""
    rng = np.random.default_rng(0)
    drawn = [np.median(rng.choice(x, (2000, len(x))), axis=1) for x in (large, small)]
    low, high = (float(q) for q in np.quantile(drawn[0] / drawn[1], (0.1, 0.9)))
    middle = float(np.median(large) / np.median(small))
    return Line(benchmark, what, middle, "×", low, high, f"≤ {target:g}×", middle <= target)


def absolute(benchmark: str, what: str, times: list[float], note: str = "") -> Line:
    """Return the line of a time in milliseconds."""
    ms = 1e3 * np.array(times)
    return Line(
        benchmark, what, float(np.median(ms)), "ms", float(np.quantile(ms, 0.1)), float(np.quantile(ms, 0.9)), note=note
    )


def copy_bandwidth(device: str = "cpu") -> float:
    """Return bytes per second that a copy of 256 MB reads and writes together."""
    source = torch.ones(64 << 20, device=device)
    target = torch.empty_like(source)
    times = alternate({"copy": lambda: target.copy_(source)}, rounds=7)["copy"]
    return 2 * source.nbytes / float(np.median(times))
