"""Ids are numbered once, and what one update has numbered is nothing to another that begins where it did."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gnnrec.core.seeds import node_key
from gnnrec.live.numbers import Numbers

NAMES = st.lists(st.sampled_from([f"n{k}" for k in range(12)]), max_size=8)


@given(steps=st.lists(st.tuples(st.integers(0, 20), NAMES), max_size=12))
def test_any_tree_of_numberings_is_that_of_plain_lists(steps):
    made, plain = [Numbers.of([])], [[]]
    for at, names in steps:
        old = at % len(made)
        made.append(made[old].with_new(names))
        plain.append(list(dict.fromkeys([*plain[old], *names])))
    for numbers, ids in zip(made, plain, strict=True):
        assert numbers.ids == ids
        assert len(numbers) == len(ids)
        assert numbers.keys.tolist() == [node_key(name) for name in ids]
        assert numbers.numbers(ids).tolist() == list(range(len(ids)))
        for name in {f"n{k}" for k in range(12)} - set(ids):
            with pytest.raises(KeyError):
                numbers.numbers([name])


def test_what_grows_is_not_copied():
    first = Numbers.of([str(k) for k in range(1000)])
    second = first.with_new(["x"]).with_new(["y"])
    third = first.with_new(["x", "y", "z"])
    assert first._table is second._table is third._table
    assert np.shares_memory(second.keys, third.keys)
