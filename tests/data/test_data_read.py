"""Every format gives the same log; what is inferred is right and is said."""

from __future__ import annotations

import gzip
import io
import json

import numpy as np
import polars as pl
import pytest

from gnnrec.core.errors import GnnrecError
from gnnrec.data.datasets import File

ROWS = [("NA", "007", "4", "1400000000"), ("1e5", "9" * 70, "2.5", "1400000060"), ("null", "7", "5", "1400000030")]
NAMES = ("user", "item", "rating", "timestamp")
DAY = 1_291_161_600.0  # 2010-12-01 00:00 UTC


def text(mark: str, header: str | None, rows=ROWS) -> str:
    lines = ([header] if header else []) + [mark.join(row) for row in rows]
    return "\n".join(lines) + "\n"


def jsonl() -> str:
    lines = [
        f'{{"user": {json.dumps(u)}, "item": {json.dumps(i)}, "rating": {r}, "timestamp": {t}}}' for u, i, r, t in ROWS
    ]
    return "\n".join(lines)


def parquet() -> bytes:
    out = io.BytesIO()
    pl.DataFrame([dict(zip(NAMES, r, strict=True)) for r in ROWS]).write_parquet(out)
    return out.getvalue()


FORMATS = {
    "log.csv": text(",", ",".join(NAMES)),
    "log.csv.gz": gzip.compress(text(",", ",".join(NAMES)).encode()),
    "packed.csv": gzip.compress(text(",", ",".join(NAMES)).encode()),
    "semicolon.csv": text(";", ";".join(NAMES)),
    "log.tsv": text("\t", "\t".join(NAMES)),
    "ratings.dat": text("::", None),
    "u.data": text("\t", None),
    "log.rating": text("\t", None),
    "log.inter": text("\t", "user_id:token\titem_id:token\trating:float\ttimestamp:float"),
    "bom.csv": "\ufeff" + text(",", "USER_ID, movieId ,Stars,Time"),
    "crlf.csv": text(",", ",".join(NAMES)).replace("\n", "\r\n"),
    "cr.csv": text(",", ",".join(NAMES)).replace("\n", "\r"),
    "quoted.csv": text('","', '","'.join(NAMES)).replace("\n", '"\n"')[:-1].join(['"', ""]),
    "nofinalnewline.csv": text(",", ",".join(NAMES)).rstrip("\n"),
    "log.jsonl": jsonl(),
    "log.ndjson.gz": gzip.compress(jsonl().encode()),
    "log.json": jsonl(),
    "log.parquet": parquet(),
    "parquet_by_content.csv": parquet(),
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_log(write, name) -> None:
    data = File(path=write(name, FORMATS[name])).load()
    assert list(data.user) == ["NA", "null", "1e5"]
    assert list(data.item) == ["007", "7", "9" * 70]
    assert list(data.value) == [4, 5, 2.5]
    assert list(data.time) == [1400000000, 1400000030, 1400000060]
    assert data.feedback == "explicit"
    assert data.counts.rows_read == data.counts.kept == 3
    assert data.sources[0].name == name
    assert len(data.sources[0].sha256) == 64


def test_long_json_integers_stay_exact(write) -> None:
    path = write(
        "a.jsonl", '{"user": 9007199254740993, "item": ' + "1" * 70 + ', "rating": 1e0}\n{"user": 7, "item": "7"}'
    )
    data = File(path=path, columns={"rating": False}).load()
    assert list(data.user) == ["9007199254740993", "7"]
    assert list(data.item) == ["1" * 70, "7"]


def test_typed_parquet_columns(write) -> None:
    from datetime import datetime, timedelta, timezone

    zone = timezone(timedelta(hours=2))
    frame = pl.DataFrame({"user": [2**53 + 1, 7], "item": ["a", "b"], "rating": [1.5, 3.0]}).with_columns(
        pl.col("item").cast(pl.Categorical),
        pl.Series("time", [datetime(2010, 12, 1, 2, tzinfo=zone), datetime(2010, 12, 1, 3, tzinfo=zone)]),
    )
    out = io.BytesIO()
    frame.write_parquet(out)
    data = File(path=write("a.parquet", out.getvalue())).load()
    assert list(data.user) == [str(2**53 + 1), "7"]
    assert list(data.time) == [DAY, DAY + 3600]


@pytest.mark.parametrize(
    ("cells", "unit"),
    [
        (["1291161600", "1291165200"], "auto"),
        (["1291161600000", "1291165200000"], "auto"),
        (["1291161600000000", "1291165200000000"], "auto"),
        (["1291161600000000000", "1291165200000000000"], "auto"),
        (["1291161600000", "1291165200000"], "ms"),
        (["2010-12-01", "2010-12-01 01:00:00"], "auto"),
        (["2010-12-01T00:00:00Z", "2010-12-01T01:00:00.000Z"], "iso"),
        (["2010-12-01T02:00:00+02:00", "2010-12-01 00:30:00-00:30"], "auto"),
        (["2010-12-01 00:00", "2010-12-01 01:00"], "auto"),
        (["1.2911616e9", "1.2911652e9"], "auto"),
    ],
)
def test_times(write, cells, unit) -> None:
    path = write("a.csv", "user,item,time\n" + "".join(f"u{k},i,{c}\n" for k, c in enumerate(cells)))
    assert list(File(path=path, time_unit=unit).load().time) == [DAY, DAY + 3600]


def test_day_and_month_are_told_apart_or_refused(write) -> None:
    clear = write("a.csv", "user,item,date\nu,i,12/1/2010 8:26\nv,i,12/31/2010 8:26\n")
    data = File(path=clear).load()
    assert data.time[0] == DAY + 8 * 3600 + 26 * 60
    assert any("month first" in note for note in data.notes)
    unclear = write("b.csv", "user,item,date\nu,i,12/1/2010\nv,i,1/12/2010\n")
    with pytest.raises(GnnrecError, match=r"data\.time_format"):
        File(path=unclear).load()
    assert list(File(path=unclear, time_format="%m/%d/%Y").load().time)[-1] == DAY


@pytest.mark.parametrize(
    ("cell", "pattern"),
    [
        ("12/01/2010 08:26 PM", "%m/%d/%Y %I:%M %p"),
        ("01.12.2010 20:26", "%d.%m.%Y %H:%M"),
        ("20101201T2026", "%Y%m%dT%H%M"),
    ],
)
def test_declared_formats(write, cell, pattern) -> None:
    data = File(path=write("a.csv", f"user,item,time\nu,i,{cell}\n"), time_format=pattern).load()
    assert data.time[0] == DAY + 20 * 3600 + 26 * 60


def test_one_letter_names_count_only_together(write) -> None:
    assert File(path=write("a.csv", "u,i,r,t\na,b,3,1400000000\n")).load().time[0] == 1_400_000_000
    assert File(path=write("a.csv", "user,item,t\na,b,text\n")).load().time is None


def test_columns_are_declared_by_name_or_position(write) -> None:
    path = write("a.csv", "item,who,x\n1,2,3\n")
    data = File(path=path, columns={"user": "who", "item": "item", "rating": "x"}).load()
    assert (data.user[0], data.item[0], data.value[0]) == ("2", "1", 3)
    path = write("b.csv", "1,2,3\n4,5,6\n")
    data = File(path=path, header=False, columns={"user": 1, "item": 0, "rating": False}).load()
    assert list(data.user) == ["2", "5"]
    assert list(data.value) == [1, 1]


def test_three_columns_without_header_may_end_in_time(write) -> None:
    data = File(path=write("a.csv", "u,i,1400000000\nv,i,1400000001\n")).load()
    assert data.time is not None
    assert data.feedback == "implicit"


def test_what_is_inferred_is_said(write) -> None:
    notes = " ".join(File(path=write("a.csv", "CustomerID;StockCode;InvoiceDate\n1;2;1400000000000\n")).load().notes)
    for word in ("CustomerID", "StockCode", "InvoiceDate", "';'", "ms"):
        assert word in notes


def test_several_files_are_one_log_and_the_same_bytes_count_once(write) -> None:
    paths = [write("a.csv", "user,item\n1,2\n"), write("b.csv", "user,item\n3,4\n"), write("c.csv", "user,item\n1,2\n")]
    data = File(path=paths).load()
    assert list(data.user) == ["1", "3"]
    assert data.counts.rows_read == 2
    assert any("read once" in note for note in data.notes)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", 'movieId,title\n007,"Bond, James"\n'),
        ("t.dat", "007::Bond, James::Action\n"),
        ("t.jsonl", '{"id": "007", "title": "Bond, James"}'),
    ],
)
def test_titles(write, name, content) -> None:
    log = write("a.csv", "user,item\n1,007\n1,7\n")
    assert File(path=log, items=write(name, content)).load().titles == {"007": "Bond, James"}


def test_titles_from_a_column_of_the_log(write) -> None:
    log = write("a.csv", "user,item,what\n1,7,\n2,7,Seven\n")
    assert File(path=log, columns={"title": "what"}).load().titles == {"7": "Seven"}


def test_kept_columns_follow_the_events(write) -> None:
    log = write("a.csv", "user,item,time,value\n1,7,1400000009,b\n2,7,1400000000,a\n")
    data = File(path=log, columns={"rating": False}).load(keep=["value", "time"])
    assert list(data.extra["value"]) == ["a", "b"]
    assert list(data.extra["time"]) == ["1400000000", "1400000009"]


def test_reading_is_fast_enough(write) -> None:
    import time

    rng = np.random.default_rng(0)
    n = 100_000
    cells = zip(rng.integers(0, 9999, n), rng.integers(0, 999, n), rng.integers(1, 6, n), range(n), strict=True)
    path = write(
        "a.csv", "user,item,rating,time\n" + "".join(f"{u},{i},{r},{1_400_000_000 + t}\n" for u, i, r, t in cells)
    )
    start = time.perf_counter()
    File(path=path).load()
    assert time.perf_counter() - start < 3, "far below the 300k rows a second that are usual"
