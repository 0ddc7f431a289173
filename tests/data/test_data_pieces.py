"""A log read in small pieces is the log read at once; which rows count equals a row-by-row twin."""

from __future__ import annotations

import gzip

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gnnrec.data import formats, parquet
from gnnrec.data.datasets import File
from gnnrec.data.repeats import kept_rows

quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def dirty(seed: int, rows: int = 400) -> str:
    """Return a log with every kind of dirt, CRLF here and there, blank lines and late rows."""
    rng = np.random.default_rng(seed)
    lines = ["user,item,rating,time,what"]
    for n in range(rows):
        user, item = f"u{rng.integers(12)}", f"i{rng.integers(9)}"
        lines.append(f"{user},{item},{rng.integers(1, 6)},{1_400_000_000 + rng.integers(200)},t{n}")
        if rng.random() < 0.3:
            bad = [
                ",i,3,1400000000,x",
                "u,i,x,1400000000,x",
                "u,i,3,never,x",
                "u,i,3",
                'u,"i,3,1400000000,x',
                "",
                "u,i,9,12,x",
            ]
            lines.append(str(rng.choice(bad)))
        if rng.random() < 0.1:
            lines.append(f'"{user}","{item}","2","1400000001","a, ""b"""')
        if rng.random() < 0.1:
            lines[-1] += "\r"
    return "\n".join(lines) + ("\n" if seed % 2 else "")


def same(a, b) -> None:
    assert a.counts == b.counts
    assert list(a.user_ids) == list(b.user_ids)
    assert list(a.item_ids) == list(b.item_ids)
    for name in ("user_code", "item_code", "value", "time"):
        assert np.array_equal(getattr(a, name), getattr(b, name)), name
    assert {n: list(x) for n, x in a.extra.items()} == {n: list(x) for n, x in b.extra.items()}
    assert a.examples == b.examples
    assert a.titles == b.titles
    assert a.notes == b.notes


@pytest.mark.parametrize("piece", [1, 17, 100, 4096])
@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "cr.csv"])
def test_pieces_of_text_give_the_whole(write, monkeypatch, name, piece) -> None:
    for seed in range(3):
        text = dirty(seed).encode()
        text = text.replace(b"\r", b"").replace(b"\n", b"\r") if name == "cr.csv" else text
        file = File(path=write(name, gzip.compress(text) if name.endswith("gz") else text), columns={"title": "what"})
        whole = file.load(keep=["what"])
        with monkeypatch.context() as small:
            small.setattr(formats, "PIECE", piece)
            same(whole, file.load(keep=["what"]))
    assert whole.counts.duplicate
    assert whole.counts.repeat
    assert len(whole.counts.set_aside) > 5


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_pieces_of_tables_give_the_whole(write, monkeypatch, form) -> None:
    rng = np.random.default_rng(0)
    frame = pl.DataFrame({
        "user": [None if n % 50 == 7 else f"u{n}" for n in rng.integers(0, 300, 1000)],
        "item": rng.integers(0, 40, 1000),
        "time": 1_400_000_000_000 + rng.integers(0, 10**9, 1000),
    })  # fmt: skip
    path = write(f"a.{form}", b"")
    frame.write_parquet(path) if form == "parquet" else frame.write_ndjson(path)
    whole = File(path=path).load()
    monkeypatch.setattr(formats, "PIECE", 300)
    monkeypatch.setattr(parquet, "ROWS", 17)
    same(whole, File(path=path).load())
    assert whole.counts.set_aside["missing_user"]


@pytest.mark.parametrize(
    "cells",
    [
        ["12/1/2010"] * 40 + ["12/31/2010"],
        ["1/12/2010"] * 40 + ["31/12/2010"],
        ["1400000000"] * 3 + ["2014-05-13 16:53:20"] * 40,
        ["2014-05-13 16:53:20"] * 3 + ["1400000000"] * 40,
        ["x"] * 5 + ["1400000000000"] * 40,
    ],
)
def test_how_times_are_written_is_decided_by_all_rows(write, monkeypatch, cells) -> None:
    """The first piece of these files points elsewhere than the whole."""
    text = "user,item,time\n" + "".join(f"u{n},i,{cell}\n" for n, cell in enumerate(cells))
    file = File(path=write("a.csv", text))
    whole = file.load()
    monkeypatch.setattr(formats, "PIECE", 40)
    same(whole, file.load())
    assert whole.counts.kept >= 40


def twin(rows, repeats):
    """Return kept rows, duplicates and repeats, one row at a time."""
    single, duplicate = [], 0
    for n, row in enumerate(rows):
        if row in [rows[m] for m in single]:
            duplicate += 1
        else:
            single.append(n)
    if repeats == "all":
        return single, duplicate, 0
    ordered = single if repeats == "first" else single[::-1]
    chosen = {}
    for n in ordered:
        chosen.setdefault(rows[n][:2], n)
    return sorted(chosen.values()), duplicate, len(single) - len(chosen)


@quick
@given(
    rows=st.lists(st.tuples(*(st.integers(0, 2) for _ in range(4))), max_size=25),
    repeats=st.sampled_from(["first", "last", "all"]),
)
def test_kept_rows_equal_the_twin(rows, repeats) -> None:
    user, item, value, time = (np.array([r[c] for r in rows]) for c in range(4))
    columns = {"user": user.astype(np.uint32), "item": item.astype(np.uint32), "value": value * 1.0, "time": time * 1.0}
    kept, duplicate, repeat = kept_rows(columns, repeats)
    kept = range(len(rows)) if kept is None else kept
    assert (list(kept), duplicate, repeat) == twin(rows, repeats)
