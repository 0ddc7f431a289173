"""What is inferred about a file holds whatever its pieces, its format, the file before it; messages name the key."""

from __future__ import annotations

import bz2
import io
import lzma
import zipfile
from pathlib import Path

import polars as pl
import pytest

from gnnrec.core.errors import GnnrecError
from gnnrec.data.clean.cells import spellings
from gnnrec.data.clean.timestamps import TimeRule, parse_instant
from gnnrec.data.datasets import File
from gnnrec.data.read import formats
from gnnrec.data.read.reader import open_table
from gnnrec.data.stream.cuts import ByColumn
from gnnrec.store.ingest import ingest
from gnnrec.store.table import Store

HEAD = "user,item,rating,time\n"
GOOD = HEAD + "".join(f"u{k % 5},i{k % 3},{1 + k % 5},{1_400_000_000 + k}\n" for k in range(200))
DAY = 1_579_046_400.0  # 2020-01-15 00:00 UTC


def parquet(**columns) -> bytes:
    out = io.BytesIO()
    pl.DataFrame(columns).write_parquet(out)
    return out.getvalue()


def zstd(content: bytes) -> bytes:
    """Return a Zstandard frame of raw blocks (RFC 8878): no program is needed to pack what is not compressed."""
    blocks = [content[at : at + 65_536] for at in range(0, len(content), 65_536)]
    heads = [(len(b) << 3 | (n == len(blocks) - 1)).to_bytes(3, "little") for n, b in enumerate(blocks)]
    frame = b"\x28\xb5\x2f\xfd\xa0" + len(content).to_bytes(4, "little")
    return frame + b"".join(h + b for h, b in zip(heads, blocks, strict=True))


def zipped(name: str, content: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("a.csv.bz2", bz2.compress),
        ("a.csv.xz", lzma.compress),
        ("a.zip", lambda data: zipped("a.csv", data)),
        ("a.csv.zst", zstd),
    ],
)
@pytest.mark.parametrize("piece", [64, 1 << 20])
def test_a_packed_file_is_the_file(write, monkeypatch, name, pack, piece) -> None:
    plain = File(path=write("plain.csv", GOOD), repeats="all").load()
    monkeypatch.setattr(formats, "PIECE", piece)
    packed = File(path=write(name, pack(GOOD.encode())), repeats="all").load()
    assert list(packed.time) == list(plain.time)
    assert list(packed.user) == list(plain.user)
    assert packed.notes == plain.notes


def test_an_id_column_of_floats_is_one_of_integers_in_every_format(write) -> None:
    jan = write("jan.csv", "user,item,time\n17840,7,1400000000\n17841,8,1400000001\n")
    feb = write(
        "feb.parquet", parquet(user=[17840.0, None, float("nan")], item=[7.0, 8.5, 7.0], time=[1_400_000_009] * 3)
    )
    mar = write("mar.csv", "user,item,time\n17840.0,7,1400000011\n17842.0,7,1400000011\n")
    apr = write("apr.jsonl", '{"user": 17840.0, "item": "7", "time": 1400000012}\n')
    data = File(path=[jan, feb, mar, apr], repeats="all").load()
    assert sorted(data.user_ids) == ["17840", "17841", "17842"]
    assert sorted(data.item_ids) == ["7", "8"]
    assert data.counts.set_aside == {"missing_user": 2}
    assert sum("whole ones are taken as integers" in note for note in data.notes) == 4


def test_a_float_that_is_not_whole_is_an_id_as_it_is(write) -> None:
    path = write("a.parquet", parquet(user=[1.0, 1.5, 2.0**60], item=["i"] * 3))
    assert list(File(path=path).load().user) == ["1", "1.5", str(2.0**60)]


@pytest.mark.parametrize("first", [100, 0])
def test_whole_floats_are_decided_by_all_rows(write, monkeypatch, first) -> None:
    """The first piece of one of these files looks like whole floats, and the whole does not."""
    rows = ["1.0,i"] * first + ["x,i"] + ["2.0,i"] * 5
    path = write("a.csv", "user,item\n" + "\n".join(rows))
    whole = list(File(path=path).load().user_ids)
    monkeypatch.setattr(formats, "PIECE", 40)
    assert list(File(path=path).load().user_ids) == whole
    assert "2.0" in whole


def test_increments_of_a_store_agree_on_ids(write, tmp_path) -> None:
    store = Store(tmp_path / "store")
    jan = write("jan.csv", "user,item,time\n" + "".join(f"{17840 + k},7,{1_400_000_000 + k}\n" for k in range(20)))
    feb = write(
        "feb.parquet",
        parquet(user=[17840.0 + k for k in range(20)] + [None], item=["8"] * 21, time=[1_400_009_000] * 21),
    )
    ingest(store, File(path=jan), {})
    done = ingest(store, File(path=feb), {})
    assert done.version.new_users == 0
    assert done.version.counts.set_aside == {"missing_user": 1}


def test_titles_and_side_information_join_by_whole_ids(write) -> None:
    log = write("a.csv", "user,item\nu,7\nv,8\n")
    about = write("about.parquet", parquet(item=[7.0, 8.0, None], title=["seven", "eight", "none"]))
    data = File(path=log, items=about, side={"file": about, "id": "item"}).load()
    assert data.titles == {"7": "seven", "8": "eight"}
    assert any("for 2 of 2 items" in note for note in data.notes)


TIMES = [
    ("2020-01-15", DAY),
    ("2020/1/15 9:05", DAY + 9 * 3600 + 300),
    ("1/15/2020 9:05:58 AM", DAY + 9 * 3600 + 358),
    ("1/15/2020 12:00:00 AM", DAY),
    ("01/15/2020T09:05:58.250", DAY + 9 * 3600 + 358.25),
    ("01/15/2020 09:05:58 UTC", DAY + 9 * 3600 + 358),
    ("15.01.2020 21:05", DAY + 21 * 3600 + 300),
    ("1/15/20", DAY),
    ("20200115", DAY),
    ("20200115 093000", DAY + 9.5 * 3600),
    ("20200115093000", DAY + 9.5 * 3600),
    ("Jan 15, 2020", DAY),
    ("January 15, 2020 9:30 pm", DAY + 21.5 * 3600),
    ("15-Jan-2020", DAY),
    ("15th Jan 2020 10:00", DAY + 10 * 3600),
    ("Wed, 15 Jan 2020 10:30:00 +0100", DAY + 9.5 * 3600),
    ("15/Jan/2020:10:30:00 +0100", DAY + 9.5 * 3600),
    ("Wed Jan 15 10:30:00 +0000 2020", DAY + 10.5 * 3600),
    ("2020-01-15 10:30:00,250", DAY + 10.5 * 3600 + 0.25),
    ("2020-01-15 9 AM", DAY + 9 * 3600),
]


@pytest.mark.parametrize(("cell", "seconds"), TIMES)
def test_a_time_is_read_however_it_is_written(write, cell, seconds) -> None:
    path = write("a.csv", f"user\titem\ttime\nu\ti\t{cell}\n")
    assert list(File(path=path).load().time) == [seconds]


@pytest.mark.parametrize("cell", ["2020-02-30", "15.13.2020", "32 Jan 2020", "20201315", "2020-01-15 13:00 PM", "Jan"])
def test_what_is_no_date_is_no_time(cell) -> None:
    assert TimeRule("iso", day_first=True).seconds(pl.Series([cell])).to_list() == [None]


def test_dates_have_the_zone_that_is_declared_or_their_own(write) -> None:
    path = write("a.csv", "user\titem\ttime\nu\ti\t15.01.2020 10:00\nv\ti\t15.01.2020 10:00 UTC\n")
    assert list(File(path=path, time_zone="Europe/Berlin").load().time) == [DAY + 9 * 3600, DAY + 10 * 3600]


def test_order_of_day_and_month_is_declared_without_a_format(write) -> None:
    path = write("a.csv", "user,item,time\nu,i,1/2/2020\nv,i,3/4/2020 10:00\n")
    with pytest.raises(GnnrecError, match=r"data\.time_format=day_first or month_first"):
        File(path=path).load()
    assert File(path=path, time_format="day_first").load().time[0] == DAY + 17 * 86_400
    assert File(path=path, time_format="month_first").load().time[0] == DAY - 13 * 86_400


@pytest.mark.parametrize(
    ("text", "year"), [("2011", 1_293_840_000.0), ("2013", 1_356_998_400.0), ("1400000000", 1.4e9)]
)
def test_a_number_that_can_only_be_a_year_is_one(text, year) -> None:
    assert parse_instant(text, "data.time_range") == year


def test_a_common_name_makes_no_times(write) -> None:
    path = write("a.csv", "user,item,timestamp\n" + "".join(f"u{k},i{k % 3},{k % 6}\n" for k in range(60)))
    stream = ByColumn(column="timestamp", split="within").build(File(path=path).load(keep=["timestamp"]))
    assert len(stream.increments) == 6
    for options in ({"columns": {"time": "timestamp"}}, {"time_unit": "s"}):
        with pytest.raises(GnnrecError, match=r"data\.time_range.*data\.columns\.time=false"):
            File(path=path, **options).load()
    kept = File(path=path, columns={"time": "timestamp"}, time_range=["1970-01-01", "2020-01-01"]).load()
    assert kept.counts.kept == 60


def test_an_empty_time_column_makes_no_times_and_a_declared_range_makes_some(write) -> None:
    data = File(path=write("a.csv", "user,item,date\nu,i,\nv,j,\n")).load()
    assert data.time is None
    assert data.counts.kept == 2
    steps = write("b.csv", "user,item,time\nu,i,0\nv,j,5\n")
    assert list(File(path=steps, time_range=["1970-01-01", "1970-01-02"]).load().time) == [0, 5]
    parts = [steps, write("c.csv", "user,item,time\n"), write("d.csv", "user,item,time\nw,j,7\n")]
    assert File(path=parts).load().counts.kept == 3
    with pytest.raises(GnnrecError, match="3 time_out_of_range"):
        File(path=[*parts, write("e.csv", "user,item,time\nw,j,1400000000\n")], on_bad="refuse").load()


def test_a_store_with_times_takes_no_file_without(write, tmp_path) -> None:
    store = Store(tmp_path / "store")
    ingest(store, File(path=write("a.csv", GOOD)), {})
    with pytest.raises(GnnrecError, match="has times and these files have none"):
        ingest(store, File(path=write("b.csv", "user,item,timestamp\nx,i,0\ny,i,5\n")), {})


def test_empty_parts_among_others_are_passed_over(write) -> None:
    paths = [
        write("a.csv", "user,item\nu,i\n"),
        write("b.csv", ""),
        write("c.csv", "\n\n"),
        write("d.csv", "user,item\n"),
    ]
    data = File(path=paths).load()
    assert data.counts.kept == 1
    assert [n for n in data.notes if "empty" in n] == [f"{n}.csv is empty and was passed over" for n in "bc"]
    with pytest.raises(GnnrecError, match="is empty"):
        File(path=paths[1:3]).load()


def test_a_glob_names_files(write, tmp_path) -> None:
    write("b.csv", "user,item\nv,i\n")
    write("a.csv", "user,item\nu,i\n")
    assert list(File(path=str(tmp_path / "*.csv")).load().user) == ["u", "v"]
    assert list(File(path=write("[ab].csv", "user,item\nw,i\n")).load().user) == ["w"]
    with pytest.raises(GnnrecError, match=r"data\.path=.*matches no file"):
        File(path=str(tmp_path / "*.tsv")).load()


@pytest.mark.parametrize("piece", [7, 1 << 20])
def test_headers_and_marks_in_mid_file(write, monkeypatch, piece) -> None:
    monkeypatch.setattr(formats, "PIECE", piece)
    parts = ['\ufeff"user","item"\r\nu,i\r\n', '\ufeff"user","item"\r\nv,i\r\n', "user,item\r\nw,i\r\n"]
    data = File(path=write("a.csv", "".join(parts))).load()
    assert list(data.user) == ["u", "v", "w"]
    assert data.counts.set_aside == {"header_again": 2}


@pytest.mark.parametrize(
    ("text", "users"),
    [
        ("u\titem\n" + '"weird al" x\t"y"\n' * 3, ['"weird al" x']),
        ("u,item\n" + '"a ""b"" c",i\n"d,e",j\n', ['a "b" c', "d,e"]),
        ("u,item\n" + '"a",i\n' * 5 + '"b" c,i\n', ["a"]),
    ],
)
def test_quotes_enclose_unless_they_are_plainly_text(write, text, users) -> None:
    assert list(File(path=write("a.csv", text), columns={"user": "u"}).load().user_ids) == users


def test_quotes_are_declared(write) -> None:
    path = write("a.csv", "user,item\n'u, v',\"i\"\n")
    data = File(path=path, quote="single").load()
    assert (data.user[0], data.item[0]) == ("u, v", '"i"')
    with pytest.raises(GnnrecError, match=r"data\.quote=triple is not a choice"):
        File(path=path, quote="triple").load()


def test_truth_values_and_numbers_are_met_as_they_are_spelt(write) -> None:
    path = write("a.csv", "user,item,done\nu,i,True\nv,i,False\nw,i,true\nx,i,1\n")
    kept = File(path=path, filters=[{"column": "done", "reason": "open", "values": [True]}]).load()
    assert list(kept.user) == ["u", "w"]
    weighed = File(path=path, columns={"rating": "done"}, weights={"true": 1, False: 0.5, "1": 2}).load()
    assert list(weighed.value) == [1, 0.5, 1, 2]
    assert spellings("True") == ("True",)


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("1|Toy, Story (1995)|a\n2|Heat, The|b\n3|None|c\n", "|"),
        ("u1,i1,2014-01-01 10:00:00\nu2,i1,2014-01-02 10:00:00\n", ","),
        ("1::2::5::978300760\n2::2::5::978300761\n", "::"),
        ("u1\ti1\t4,5\nu2\ti1\t3,5\n", "\t"),
        ("Bond James,Sean Connery\nBond James,Roger Moore\n", ","),
        ("196 242 3 881250949\n22 377 1 878887116\n", " "),
    ],
)
def test_the_delimiter_is_what_makes_sense_of_the_fields(write, text, mark) -> None:
    table, _ = open_table(Path(write("a.csv", text)))
    assert table.dialect.mark == mark


def test_lines_of_any_length_name_the_keys(write) -> None:
    path = write("a.txt", "".join(f"u{k} " + " ".join(f"i{n}" for n in range(k % 9)) + "\n" for k in range(60)))
    with pytest.raises(GnnrecError, match=r"data\.format=adjacency"):
        File(path=path).load()
    assert File(path=path, format="adjacency").load().counts.kept > 100


@pytest.mark.parametrize("kind", ["latin-1", "parquet"])
def test_zstd_of_what_is_no_utf8_is_to_be_unpacked(write, kind) -> None:
    content = (
        "user,item\nv,caf\u00e9\n".encode("latin-1") if kind == "latin-1" else parquet(user=range(999), item=range(999))
    )
    packed = zstd(content)
    with pytest.raises(GnnrecError, match="unpack it by `zstd -d`"):
        File(path=write("a.zst", packed), encoding="latin-1").load()


def test_control_characters_of_latin_1_name_cp1252(write) -> None:
    path = write("a.csv", b"user,item\nu,i\n" + "v,€\n".encode("cp1252"))
    data = File(path=path, encoding="latin-1").load()
    assert data.counts.set_aside == {"control_characters": 1}
    assert any("data.encoding=cp1252" in note for note in data.notes)
    assert File(path=path, encoding="cp1252").load().item[1] == "€"


def test_an_adjacency_list_in_pieces_loses_nothing(write, monkeypatch) -> None:
    lines = [b"0 1 2 3 4", b"1", b"2  5 5\t6", b"\xff 7 8", b"", b"3 9"]
    path = write("train.txt", b"\n".join(lines))
    whole = File(path=path, format="adjacency").load()
    for piece in (1, 9, 1 << 20):
        monkeypatch.setattr(formats, "PIECE", piece)
        reading = File(path=path, format="adjacency").gather()
        data = reading.events.dataset("log")
        assert data.counts == whole.counts
        assert [text for _, _, _, text in reading.lost[0]] == ["1", "\\xff 7 8"]
    assert whole.counts.rows_read == 10
    assert whole.counts.duplicate == 1
    assert whole.counts.set_aside == {"invalid_utf8": 1, "missing_item": 1}
