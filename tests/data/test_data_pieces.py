"""A log read in small pieces is the log read at once; which rows count equals a row-by-row twin."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gnnrec.core.errors import GnnrecError
from gnnrec.data.clean.repeats import kept_rows
from gnnrec.data.datasets import File
from gnnrec.data.read import formats, parquet
from gnnrec.data.read.reader import open_table

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
    assert list(a.counts.set_aside.items()) == list(b.counts.set_aside.items())
    assert list(a.examples) == list(b.examples)
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
        text = dirty(seed, 400 if piece > 20 else 200).encode()  # a piece costs the same however small it is
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
    monkeypatch.setattr(parquet, "PARTS", 3)
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


def test_several_files_in_pieces(write, monkeypatch) -> None:
    paths = [write(f"{n}.csv", dirty(n)) for n in range(3)]
    for repeats in ("first", "last", "all"):
        file = File(path=paths, repeats=repeats)
        whole = file.load()
        with monkeypatch.context() as small:
            small.setattr(formats, "PIECE", 50)
            same(whole, file.load())


@pytest.mark.parametrize(
    "text", ["user,item\nu,i\n1\n1,2,3\n", 'user,item\nu,i\n"1"\n' + "2\n" * 6, "user,item\nu,i\n1,2,3\n1\n"]
)
def test_reasons_and_examples_come_in_one_order(write, monkeypatch, text) -> None:
    file = File(path=write("a.csv", text))
    whole = file.load()
    monkeypatch.setattr(formats, "PIECE", 4)
    same(whole, file.load())
    rows = [example.row for example in whole.examples["too_few_fields"]]
    assert rows == sorted(rows)


@pytest.mark.parametrize("form", ["jsonl.gz", "parquet.gz"])
def test_packed_tables_in_pieces(write, monkeypatch, form) -> None:
    frame = pl.DataFrame({"user": [f"u{n % 7}" for n in range(90)], "item": [f"i{n}" for n in range(90)]})
    plain = write("plain", b"")
    frame.write_parquet(plain) if form == "parquet.gz" else frame.write_ndjson(plain)
    path = write(f"a.{form}", gzip.compress(Path(plain).read_bytes()))
    whole = File(path=path).load()
    monkeypatch.setattr(formats, "PIECE", 64)
    monkeypatch.setattr(parquet, "ROWS", 20)
    same(whole, File(path=path).load())
    assert whole.counts.kept == 90


@pytest.mark.parametrize("encoding", ["utf-16-le", "iso2022_kr", "cp037", "gb18030", "latin-1", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_encodings_whose_line_ends_are_not_to_be_cut(write, monkeypatch, encoding, end) -> None:
    user = "\uac00" if encoding in {"iso2022_kr", "gb18030"} else "\u0a0d" if encoding == "utf-16-le" else "v"
    lines = ["user,item", *(f"{user}{n % 3},i{n}" for n in range(20)), ""]
    path = write("a.csv", end.join(lines).encode(encoding))
    monkeypatch.setattr(formats, "PIECE", 30)
    data = File(path=path, encoding=encoding).load()
    assert set(data.user_ids) == {f"{user}{n}" for n in range(3)}
    assert data.counts.kept == 20


def test_a_line_longer_than_pieces_is_one_line_and_one_without_end_is_refused(write, monkeypatch) -> None:
    path = write("a.csv", "user,item,what\nu,i," + "x" * 5000 + "\nv,j,y\n")
    monkeypatch.setattr(formats, "PIECE", 64)
    assert list(File(path=path).load().user) == ["u", "v"]
    monkeypatch.setattr(formats, "MAX_LINE", 4000)
    with pytest.raises(GnnrecError, match="has a line of more than 4,000 bytes"):
        File(path=path).load()


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_file_that_goes_away_between_pieces(write, monkeypatch, form) -> None:
    path = Path(write(f"a.{form}", b""))
    frame = pl.DataFrame({"user": [f"u{n}" for n in range(90)], "item": ["i"] * 90})
    frame.write_parquet(path) if form == "parquet" else frame.write_csv(path)
    monkeypatch.setattr(formats, "PIECE", 64)
    monkeypatch.setattr(parquet, "ROWS", 20)
    batches = open_table(path)[0].batches(["user", "item"])
    next(batches)
    path.unlink()
    with pytest.raises(GnnrecError, match="changed while it was read"):
        list(batches)


def _number(n: int) -> bytes:
    """Return a field of Thrift's compact protocol: 64 bits, the next one."""
    n, found = n << 1, bytearray(b"\x16")
    while n > 127:
        found.append(n & 127 | 128)
        n >>= 7
    return bytes([*found, n])


@pytest.mark.parametrize("claimed", [200, 400])
def test_a_footer_that_claims_other_rows_than_there_are_is_refused(write, claimed) -> None:
    path = Path(write("a.parquet", b""))
    pl.DataFrame({"user": range(300), "item": [f"i{k % 7}" for k in range(300)]}).write_parquet(path)
    found = path.read_bytes()
    size = int.from_bytes(found[-8:-4], "little")
    footer = found[-8 - size :].replace(_number(300), _number(claimed), 1)  # the first is the file's, then the groups'
    assert len(footer) == size + 8
    path.write_bytes(found[: -8 - size] + footer)
    with pytest.raises(GnnrecError, match=f"damaged Parquet .*claims {claimed} rows of 300"):
        File(path=path).load()


@pytest.mark.parametrize("name", ["x*.parquet", "x[1].parquet", "a=1.parquet"])
def test_a_parquet_name_is_no_pattern(write, name) -> None:
    for other, user in (("x1.parquet", "other"), (name, "u")):
        pl.DataFrame({"user": [user], "item": ["i"]}).write_parquet(Path(write(other, b"")))
    assert list(File(path=write("x1.parquet", b"")[: -len("x1.parquet")] + name).load().user) == ["u"]


def test_columns_named_like_patterns_and_dates_out_of_range(write) -> None:
    far = pl.Series([9 * 10**18, 1_400_000_000_000]).cast(pl.Datetime("ms"))
    frame = pl.DataFrame({"^u.*$": ["u", "v"], "*": ["i", "j"], "u": ["no", "no"], "time": far})
    path = write("a.parquet", b"")
    frame.write_parquet(path)
    data = File(path=path, columns={"user": "^u.*$", "item": "*"}).load()
    assert list(data.user) == ["v"]
    assert data.counts.set_aside == {"bad_time": 1}
    days = frame.with_columns(time=pl.Series([2**31 - 1, 16_000], dtype=pl.Int32).cast(pl.Date))
    days.write_parquet(path)
    assert File(path=path, columns={"user": "^u.*$", "item": "*"}).load().counts.set_aside == {"bad_time": 1}


def test_a_filter_may_share_its_name_with_a_rule(write) -> None:
    path = write("a.csv", "user,item,rating\nu,i,4\nu,j,5\nu,k,x\n")
    data = File(path=path, filters=[{"column": "rating", "reason": "bad_rating", "min": 5}]).load()
    assert data.counts.set_aside == {"bad_rating": 2}


@pytest.mark.parametrize("encoding", ["undefined", "utf-8\0", "punycode", "hex", "raw_unicode_escape"])
def test_odd_encodings_are_refused(write, encoding) -> None:
    path = write("a.csv", "user,item\nu,\\ud800\n\u00e9,i\n")
    with pytest.raises(GnnrecError) as caught:
        File(path=path, encoding=encoding).load()
    assert str(caught.value).isprintable()


def test_json_behind_much_blank_space(write) -> None:
    assert File(path=write("a.txt", "\n" * 70_000 + '{"user": 1, "item": 2}\n')).load().counts.kept == 1


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
