"""The contract of a data set, as tests. A new one passes it by two lines.

class TestSimulatedWorld(DatasetContract):
    make = staticmethod(lambda: SimulatedWorld(users=60, items=40, events=800))
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Protocol

import numpy as np

from gnnrec.data.dataset import Dataset
from gnnrec.data.stream.cuts import ByCount


class Loader(Protocol):
    """What `data` configures: it loads a clean log."""

    def load(self, keep: Sequence[str] = ()) -> Dataset:
        """Return the log, with these raw columns beside it."""
        ...


class DatasetContract:
    """What every data set keeps.

    Attributes:
        make: returns what loads it.
    """

    make: Callable[[], Loader]

    def test_no_row_is_lost_or_counted_twice(self) -> None:
        log = self.make().load()
        log.counts.check()
        assert log.counts.kept == len(log) > 0

    def test_events_are_sorted_by_time(self) -> None:
        time = self.make().load().time
        assert time is None or (np.isfinite(time).all() and np.all(np.diff(time) >= 0))

    def test_ids_are_distinct_texts_that_all_occur(self) -> None:
        log = self.make().load()
        for ids, code in ((log.user_ids, log.user_code), (log.item_ids, log.item_code)):
            assert all(type(i) is str for i in ids)
            assert len(set(ids)) == len(ids)
            assert np.array_equal(np.unique(code), np.arange(len(ids)))

    def test_values_are_finite_and_inside_the_scale(self) -> None:
        log = self.make().load()
        assert np.isfinite(log.value).all()
        assert log.feedback in ("explicit", "implicit")
        if log.scale is not None:
            assert log.scale[0] <= log.value.min() <= log.value.max() <= log.scale[1]

    def test_loading_twice_gives_the_same_bytes(self) -> None:
        first, second = (self.make().load() for _ in range(2))
        for name in (f.name for f in fields(Dataset)):
            one, other = getattr(first, name), getattr(second, name)
            assert not isinstance(one, np.ndarray) or np.array_equal(one, other), name

    def test_makes_a_stream_whose_slices_share_no_event(self) -> None:
        log = self.make().load()
        stream = ByCount(increments=2).build(log)
        parts = [e for i in stream.increments for e in (i.observed.train, i.observed.valid, i.test)]
        assert sum(map(len, parts)) == len(log)
