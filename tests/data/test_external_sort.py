"""Rows that are written down come back: by pair, whole and in order, then by time, equal times together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnrec.data.clean import external_sort
from gnnrec.data.clean.external_sort import Overflow


@pytest.fixture(autouse=True)
def _dense_sample(monkeypatch):
    monkeypatch.setattr(external_sort, "SAMPLE", 3)


def columns(n, seed, instants):
    rng = np.random.default_rng(seed)
    found = {"user": rng.integers(0, 9, n), "item": rng.integers(0, 7, n), "value": rng.integers(1, 6, n)}
    return {**found, "time": rng.integers(0, instants, n).astype(float)}


def put(spill, found, at):
    for start, end in zip([0, *at], [*at, len(found["user"])], strict=True):
        spill.put([{name: column[start:end] for name, column in found.items()}])


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 300), st.integers(0, 99), st.sampled_from([1, 5, 1000]), st.lists(st.integers(0, 300), max_size=3)
)
def test_rows_come_back_by_pair_and_by_time(tmp_path_factory, n, seed, instants, cuts):
    found = columns(n, seed, instants)
    with Overflow(tmp_path_factory.mktemp("o"), limit=40) as spill:
        put(spill, found, sorted(c for c in cuts if c <= n))
        parts = list(spill.pairs())
        pairs = [set(zip(p["user"].tolist(), p["item"].tolist(), strict=True)) for p in parts]
        assert sum(map(len, pairs)) == len(set.union(*pairs))
        for part in parts:
            assert (np.lexsort((part["row"], part["time"])) == np.arange(len(part))).all()
            spill.keep(part[part["value"] > 2])
        expected = np.flatnonzero(found["value"] > 2)
        expected = expected[np.argsort(found["time"][expected], kind="stable")]
        for _ in range(2):
            bands = list(spill.bands())
            rows = np.concatenate([b["row"] for b in bands] or [np.empty(0, int)])
            assert rows.tolist() == expected.tolist()
            times = [set(b["time"].tolist()) for b in bands]
            assert sum(map(len, times)) == len(set().union(*times))
        for name, column in found.items():
            assert all((b[name] == column[b["row"]]).all() for b in bands)
    assert not list(spill.folder.iterdir())


def test_bands_are_of_like_size(tmp_path):
    found = columns(4000, 0, 10**6)
    with Overflow(tmp_path, limit=400) as spill:
        put(spill, found, [])
        for part in spill.pairs():
            spill.keep(part)
        sizes = [len(b) for b in spill.bands()]
    assert sum(sizes) == 4000
    assert max(sizes) < 2 * spill.part


def test_what_is_taken_back_is_gone(tmp_path):
    with Overflow(tmp_path, limit=10) as spill:
        put(spill, columns(100, 0, 50), [])
        put(spill, columns(60, 1, 50), [])
        spill.rewind(100)
        put(spill, columns(20, 2, 50), [])
        rows = np.sort(np.concatenate([p["row"] for p in spill.pairs()]))
    assert rows.tolist() == list(range(120))


def test_what_a_killed_process_left_is_deleted(tmp_path):
    (tmp_path / "dead-pair-00001.part").write_bytes(b"1234")
    with Overflow(tmp_path):
        assert not list(tmp_path.iterdir())
