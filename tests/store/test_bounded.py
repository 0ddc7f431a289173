"""A log that memory does not hold makes the version that it would make in memory."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.stores import DAY, START, add, events, rows, write

from gnnrec.data.clean import external_sort
from gnnrec.data.read import parquet
from gnnrec.store import ingest
from gnnrec.store.table import Store
from gnnrec.store.verify import verify

BAD = ["u1,,3,1300000000", "u1,i1,abc,1300000000", "u2,i2,3,never"]
MEMORY = """
import sys
from pathlib import Path
from gnnrec.core import allocator
from gnnrec.data.datasets import File
from gnnrec.store.ingest import ingest
from gnnrec.store.table import Store
options = {"columns": {"user": "user", "item": "item", "time": "time"}}
done = ingest(Store(sys.argv[2]), File(path=sys.argv[1], **options), options, page=False)
print(allocator.peak(), done.version.counts.kept)
"""


def shuffled(lines, seed):
    return [lines[n] for n in np.random.default_rng(seed).permutation(len(lines))]


def reports(store):
    found = [store.quality(v) for v in store.versions]
    return [{k: r[k] for k in r if k not in ("store", "lineage", "examples")} for r in found]


def facts(store):
    fields = ("content", "counts", "first", "last", "users", "items", "new_users", "new_items", "feedback", "aside")
    return [[getattr(v, f) for f in fields] for v in store.versions]


def small(monkeypatch, limit):
    monkeypatch.setattr(ingest, "LIMIT", limit)
    monkeypatch.setattr(parquet, "ROWS", 32)
    monkeypatch.setattr(external_sort, "SAMPLE", 2)


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["first", "all"]), st.sampled_from([10, 64, 150]))
def test_a_version_is_the_same_whether_memory_holds_it_or_not(tmp_path_factory, seed, repeats, limit):
    folder = tmp_path_factory.mktemp("b")
    first = [*shuffled(rows(200, seed), seed), *BAD, *rows(30, seed)]
    then = [*rows(150, seed + 1, START + DAY, users=30), *rows(40, seed), *rows(9, 3, START - DAY)]
    files = [write(folder / f"{n}.csv", lines) for n, lines in enumerate((first, then))]
    pl.read_csv(files[1]).write_parquet(folder / "1.parquet")
    files[1] = folder / "1.parquet"
    stores = []
    for name, most in (("memory", external_sort.LIMIT), ("files", limit)):
        store = Store(folder / name)
        with pytest.MonkeyPatch.context() as patch:
            small(patch, most)
            for file in files:
                done = add(store, file, repeats=repeats)
        assert done.version is not None
        assert all(problem is None for _, problem in verify(store))
        assert not [*(folder / name / "_gnnrec/scratch").glob("*")]
        stores.append(store)
    held, written = stores
    assert facts(written) == facts(held)
    assert events(written) == events(held)
    order = [store.rows().sort("version", "place").drop("place").collect() for store in stores]
    assert order[0].equals(order[1])
    assert reports(written) == reports(held)


def test_a_wrong_guess_of_how_times_are_written_is_taken_back(tmp_path, monkeypatch):
    """The first piece looks like seconds; the file as a whole is in dates."""
    lines = [f"u{n},i{n % 7},3,{START + n if n < 40 else f'2012-01-{1 + n % 28:02} 10:00:00'}" for n in range(400)]
    file = write(tmp_path / "a.csv", lines)
    held = add(Store(tmp_path / "held"), file).version
    small(monkeypatch, 50)
    monkeypatch.setattr("gnnrec.data.read.formats.PIECE", 600)
    written = add(Store(tmp_path / "written"), file).version
    assert (written.content, written.counts) == (held.content, held.counts)


def test_a_log_without_times_is_taken_too(tmp_path, monkeypatch):
    file = write(tmp_path / "a.csv", [",".join(line.split(",")[:3]) for line in rows(300)], "user,item,rating")
    held = add(Store(tmp_path / "held"), file).version
    small(monkeypatch, 50)
    monkeypatch.setattr("gnnrec.data.read.formats.PIECE", 600)
    store = Store(tmp_path / "written")
    assert add(store, file).version.content == held.content


def test_times_finer_than_a_microsecond_keep_their_order(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    frame = pl.DataFrame({"user": rng.integers(0, 40, 900), "item": np.arange(900) % 300})
    frame = frame.with_columns(time=pl.Series(1_300_000_000_000_000_000 + rng.integers(0, 4000, 900)))
    frame.write_parquet(tmp_path / "a.parquet")
    found = []
    for limit in (external_sort.LIMIT, 100):
        small(monkeypatch, limit)
        store = Store(tmp_path / f"s{limit}")
        add(store, tmp_path / "a.parquet")
        assert all(problem is None for _, problem in verify(store))
        found.append(store.rows().sort("place").collect())
    assert found[0].equals(found[1])


def test_a_refused_file_leaves_nothing_behind(tmp_path, monkeypatch):
    from gnnrec.core.errors import GnnrecError

    small(monkeypatch, 20)
    store = Store(tmp_path / "s")
    with pytest.raises(GnnrecError, match="on_bad"):
        add(store, write(tmp_path / "a.csv", [*rows(200), *BAD]), on_bad="refuse")
    left = [p for p in (tmp_path / "s").rglob("*") if p.is_file() and p.name != "lock"]
    assert not left


@pytest.mark.slow
def test_memory_does_not_follow_the_length_of_the_log(tmp_path):
    """Three times the rows of the same users and items: a third more memory would follow; a tenth is what may."""
    peaks = []
    for n in (8_000_000, 24_000_000):
        rng = np.random.default_rng(0)
        frame = pl.DataFrame(
            {"user": rng.integers(0, 200_000, n), "item": rng.integers(0, 20_000, n), "time": START + np.arange(n) // 4}
        )
        frame.write_csv(tmp_path / f"{n}.csv")
        command = [sys.executable, "-c", MEMORY, str(tmp_path / f"{n}.csv"), str(tmp_path / f"s{n}")]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=1800)
        peaks.append(float(done.stdout.split()[-2]))
    assert peaks[1] < 1.25 * peaks[0], [f"{p / 2**20:.0f} MiB" for p in peaks]
    assert peaks[1] < 2 * 2**30
