"""Where increments begin and end, and where train, valid and test lie inside them.

Positions are row numbers of the sorted log; every interval is half-open. Letters: n rows, t increments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from gnnrec.core.errors import GnnrecError
from gnnrec.data.types import Floats


@dataclass(frozen=True, slots=True)
class Cut:
    """One increment: train is [start, valid), valid is [valid, test), test is [test, end).

    Rows before `fresh` came late: they are older than events of earlier increments, and serve for training alone.
    """

    start: int
    valid: int
    test: int
    end: int
    late: int = 0

    @property
    def fresh(self) -> int:
        """First row that did not come late."""
        return self.start + self.late

    def __len__(self) -> int:
        return self.end - self.start


def after_ties(time: Floats | None, position: int, end: int) -> int:
    """Move a border behind the rows that share the time of the row before it: a tie goes to the earlier side."""
    if time is None or position <= 0 or position >= end:
        return min(max(position, 0), end)
    return min(int(np.searchsorted(time, time[position - 1], side="right")), end)


def split_within(
    time: Floats | None, edges: Sequence[int], valid_share: float, test_share: float, late: Sequence[int] | None = None
) -> list[Cut]:
    """Cut every increment chronologically into train, valid and test.

    In the base, valid and test have at most as many rows as those of one average later increment.

    Args:
        time: [n] or None when there is none.
        edges: [t + 1] borders of the increments.
        valid_share: of the rows of an increment.
        test_share: of the rows of an increment.
        late: [t] how many rows at the start of each increment came late and count for neither share; None: 0.
    """
    late = late or [0] * (len(edges) - 1)
    later = [
        _cut(time, s, e, *_sizes(e - s - old, valid_share, test_share), old)
        for (s, e), old in zip(pairwise(edges[1:]), late[1:], strict=True)
    ]
    valid, test = _sizes(edges[1] - edges[0], valid_share, test_share)
    if later:
        valid = min(valid, round(sum(c.test - c.valid for c in later) / len(later)))
        test = min(test, round(sum(c.end - c.test for c in later) / len(later)))
    return [_cut(time, edges[0], edges[1], valid, test), *later]


def _sizes(rows: int, valid_share: float, test_share: float) -> tuple[int, int]:
    return round(rows * valid_share), round(rows * test_share)


def _cut(time: Floats | None, start: int, end: int, valid: int, test: int, late: int = 0) -> Cut:
    # Without valid (or test) rows the border is the end itself and must not be moved behind a tie.
    border = after_ties(time, end - valid - test, end) if end - valid - test > start else start
    middle = after_ties(time, end - test, end) if end - test > start else start
    return Cut(start, border, max(middle, border), end, late)


def split_halves(time: Floats | None, edges: Sequence[int]) -> list[int]:
    """Return the middle of every increment: the first half is valid, the second test, for the increment before."""
    return [after_ties(time, s + (e - s) // 2, e) if e - s > 1 else s for s, e in pairwise(edges)]


def check_shares(valid_share: float, test_share: float) -> None:
    """Refuse shares that leave nothing to train on."""
    for key, share in (("valid_share", valid_share), ("test_share", test_share)):
        if not 0 <= share < 1:
            raise GnnrecError(f"stream.{key}={share} is outside [0, 1)")
    if valid_share + test_share >= 1:
        raise GnnrecError(
            f"stream.valid_share + stream.test_share = {valid_share + test_share:g} leave nothing to train on; "
            "keep their sum below 1"
        )
