"""Each row is kept or counted under one reason."""

from __future__ import annotations

import csv
import io

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gnnrec.core.errors import GnnrecError
from gnnrec.data.dataset import Counts
from gnnrec.data.datasets import File

quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
printable = st.characters(categories=["L", "M", "N", "P", "S"]) | st.sampled_from(' ",;:|#')
ids = st.text(printable, min_size=1, max_size=20).filter(str.strip)


def test_each_reason_is_counted_once_with_examples(write) -> None:
    rows = [
        "u,i,4,1400000000",
        ",i,4,1400000001",
        "u, ,4,1400000001",
        ",,x,y",
        "u,i2,abc,1400000001",
        "u,i2,nan,1400000001",
        "u,i2,inf,1400000001",
        "u,i2,11,1400000001",
        "u,i2,4,never",
        "u,i2,4,12",
        "u,i2,4,99999999999",
        "u\x01,i2,4,1400000001",
        "u" * 257 + ",i2,4,1400000001",
        "u,i2,4",
        "u,i2,4,1400000001,more",
        'u,"i2,4,1400000001',
        "u,i,4,1400000000",
        "u,i,5,1400000099",
        "v,i,5,1400000002",
    ]
    data = File(path=write("a.csv", "user,item,rating,time\n" + "\n".join(rows)), scale=[1, 5]).load()
    assert data.counts.set_aside == {
        "open_quote": 1,
        "too_many_fields": 1,
        "too_few_fields": 1,
        "missing_user": 2,
        "missing_item": 1,
        "control_characters": 1,
        "id_too_long": 1,
        "bad_rating": 3,
        "out_of_scale": 1,
        "bad_time": 1,
        "time_out_of_range": 2,
    }
    assert data.counts.matched["missing_item"] == 2
    assert (data.counts.kept, data.counts.duplicate, data.counts.repeat) == (2, 1, 1)
    assert data.counts.rows_read == len(rows)
    assert data.examples["bad_rating"][0].row == 6
    assert data.examples["bad_rating"][0].value == "u, i2, abc, 1400000001"


@pytest.mark.parametrize(("repeats", "values"), [("first", [1, 9]), ("last", [9, 3]), ("all", [1, 9, 3])])
def test_repeats(write, repeats, values) -> None:
    path = write(
        "a.csv", "user,item,rating,time\nu,i,3,1400000009\nu,i,1,1400000000\nu,i,1,1400000000\nv,i,9,1400000005\n"
    )
    data = File(path=path, repeats=repeats).load()
    assert list(data.value) == values
    assert data.counts.duplicate == 1
    assert data.counts.repeat == 3 - len(values)


def test_without_time_a_row_is_a_duplicate_by_pair_and_value(write) -> None:
    data = File(path=write("a.csv", "user,item\nu,i\nu,i\nu,j\n")).load()
    assert (data.counts.kept, data.counts.duplicate) == (2, 1)
    assert data.time is None
    assert any("no time column" in note for note in data.notes)


def test_equal_times_keep_the_order_of_the_file(write) -> None:
    rows = "".join(f"u{k},i{k},{1_400_000_000 + k % 3}\n" for k in range(30))
    data = File(path=write("a.csv", "user,item,time\n" + rows)).load()
    assert list(data.user) == [f"u{k}" for r in range(3) for k in range(r, 30, 3)]


def test_filters_take_the_first_reason_and_count_all(write) -> None:
    path = write("a.csv", "user,item,q,no\nu,i,1,5\nu,j,0,C5\nu,k,-1,6\nu,l,,7\n")
    filters = [
        {"column": "no", "not_matches": "^C", "reason": "cancellation"},
        {"column": "q", "above": 0, "reason": "quantity"},
    ]
    data = File(path=path, filters=filters).load()
    assert data.counts.set_aside == {"cancellation": 1, "quantity": 2}
    assert data.counts.matched == {"cancellation": 1, "quantity": 3}


@pytest.mark.parametrize(
    ("condition", "kept"),
    [({"min": 2}, "23"), ({"max": 2}, "12"), ({"above": 2}, "3"), ({"below": 2}, "1"), ({"values": [1, 3]}, "13"),
     ({"matches": "^[12]$"}, "12"), ({"not_matches": "3"}, "12")],
)  # fmt: skip
def test_conditions(write, condition, kept) -> None:
    path = write("a.csv", "user,item\nu,1\nu,2\nu,3\n")
    data = File(path=path, filters=[{"column": "item", "reason": "r", **condition}]).load()
    assert "".join(data.item) == kept


def test_upper_items_and_normalised_ids(write) -> None:
    path = write("a.csv", "user,item\nu,85123a\nu,85123A\n")
    assert File(path=path).load().counts.kept == 2
    assert File(path=path, upper_items=True).load().counts.kept == 1
    path = write("b.csv", "user,item\ncafe\u0301 ,i\ncaf\u00e9,i\n")
    assert File(path=path).load().counts.kept == 2
    assert File(path=path, normalise_ids=True).load().counts.kept == 1


def test_feedback_is_implicit_for_constant_ratings_unless_declared(write) -> None:
    path = write("a.csv", "user,item,rating\nu,i,3\nu,j,3\n")
    assert File(path=path).load().feedback == "implicit"
    assert File(path=path, feedback="explicit").load().feedback == "explicit"


MULTILINE = 'user,item,what,rating\na,b,"two\n\nlines",5\nc,d,"open,4\ne,f,"say ""x""",3\ng,h,,2\n'


def test_an_open_quote_spoils_its_own_line_only(write) -> None:
    data = File(path=write("a.csv", MULTILINE)).load()
    assert list(data.user) == ["e", "g"]
    assert data.counts.rows_read == 5
    assert any("data.multiline" in note for note in data.notes)


def test_fields_may_hold_line_ends_where_that_is_declared(write) -> None:
    text = MULTILINE.replace('c,d,"open,4\n', "")
    data = File(path=write("a.csv", text), multiline=True).load(keep=["what"])
    assert list(data.extra["what"]) == ["two\n\nlines", 'say "x"', ""]
    assert data.counts.rows_read == data.counts.kept == 3
    assert data.counts.kept == 3


def test_on_bad_refuse_and_hint_on_decimal_comma(write) -> None:
    path = write("a.csv", "user;item;rating\nu;i;4,5\nu;j;3.5\n")
    with pytest.raises(GnnrecError, match=r"on_bad=refuse: 1 bad_rating.*a\.csv:2.*decimal comma"):
        File(path=path, on_bad="refuse").load()


@quick
@given(
    pairs=st.lists(st.tuples(ids, ids), min_size=1, max_size=8, unique=True),
    form=st.sampled_from(["csv", "jsonl", "parquet"]),
)
def test_any_printable_id_survives(write, pairs, form) -> None:
    frame = pl.DataFrame({"user": [u for u, _ in pairs], "item": [i for _, i in pairs]})
    if form == "csv":
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows([("user", "item"), *pairs])
        path = write("a.csv", out.getvalue())
    else:
        path = write(f"a.{form}", b"")
        frame.write_parquet(path) if form == "parquet" else frame.write_ndjson(path)
    data = File(path=path).load()
    assert list(zip(data.user, data.item, strict=True)) == pairs


def read_or_refuse(path: str) -> Counts | str:
    try:
        counts = File(path=path).load().counts
    except GnnrecError as error:
        return str(error)
    counts.check()
    return counts


@quick
@given(lines=st.lists(st.text(alphabet='ab,"1.\x00\té \\', max_size=12), max_size=12))
def test_no_row_is_lost_whatever_the_text(write, lines) -> None:
    found = read_or_refuse(write("a.csv", "user,item,rating\n" + "\n".join(lines)))
    assert "\n" not in found if isinstance(found, str) else found.rows_read == sum(line != "" for line in lines)


@quick
@given(content=st.binary(max_size=200), name=st.sampled_from(["a.csv", "a.jsonl", "a.parquet", "a.dat", "a.csv.gz"]))
def test_any_bytes_are_read_or_refused_in_one_line(write, content, name) -> None:
    assert "\n" not in str(read_or_refuse(write(name, content)))


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_every_prefix_is_read_or_refused(write, name) -> None:
    out = io.BytesIO()
    frame = pl.DataFrame({"user": ["a", "b"], "item": ["c", "d"], "rating": [1, 2]})
    {"a.csv": frame.write_csv, "a.jsonl": frame.write_ndjson, "a.parquet": frame.write_parquet}[name](out)
    whole = out.getvalue()
    refused = 0
    for end in range(0, len(whole), 1 if len(whole) < 100 else 7):
        try:
            File(path=write(name, whole[:end])).load().counts.check()
        except GnnrecError:
            refused += 1
    assert refused
    if name == "a.parquet":
        assert refused == len(range(0, len(whole), 7))


@quick
@given(
    rows=st.lists(st.tuples(ids, ids, ids), min_size=1, max_size=5),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
)
def test_cells_equal_those_of_the_csv_module(write, rows, quoting) -> None:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n", quoting=quoting).writerows([("user", "item", "what"), *rows])
    data = File(path=write("a.csv", out.getvalue()), repeats="all").load(keep=["what"])
    expected = list(dict.fromkeys((u, i) for u, i, _ in rows))
    assert list(zip(data.user, data.item, strict=True)) == expected
    assert set(data.extra["what"]) <= {w for _, _, w in rows}
    assert data.counts.rows_read == len(rows)
