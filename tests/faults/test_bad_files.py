"""Every kind of bad file is refused in one line that says what is wrong and what to do."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import zipfile
from pathlib import Path

import polars as pl
import pytest

from gnnrec.data.datasets import File
from gnnrec.data.formats import load
from gnnrec.data.stream import ByCount
from gnnrec.errors import GnnrecError

GOOD = "user,item,rating,time\nu,i,4,1400000000\nv,i,5,1400000001\n"


def parquet(**columns: object) -> bytes:
    out = io.BytesIO()
    pl.DataFrame(columns).write_parquet(out)
    return out.getvalue()


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.csv", GOOD)
    return out.getvalue()


SOUND = parquet(user=["u"] * 50, item=["i"] * 50)
FILES: dict[str, tuple[str, bytes | str, dict[str, object], str]] = {
    "empty": ("a.csv", "", {}, "is empty"),
    "empty_gz": ("a.csv.gz", gzip.compress(b""), {}, "is empty"),
    "blank_lines": ("a.csv", "\n\n\n", {}, "no readable line"),
    "header_only": ("a.csv", "user,item\n", {}, "has no events"),
    "missing_column": ("a.csv", "userId,thing\n1,2\n", {}, r"no column for the item \(found: userId, thing\)"),
    "wrong_name": ("a.csv", GOOD, {"columns": {"user": "usr"}}, "found: user, item, rating, time.*did you mean 'user'"),
    "unknown_role": ("a.csv", GOOD, {"columns": {"usr": "user"}}, "did you mean 'user'"),
    "duplicate_column": ("a.csv", "user,item,user\n1,2,3\n", {}, "'user' occurs twice"),
    "wrong_delimiter": ("a.csv", GOOD.replace(",", ";"), {"delimiter": ","}, "likely one is ';'"),
    "wrong_tab": ("a.csv", GOOD, {"delimiter": "tab"}, "likely one is ','"),
    "no_delimiter": ("a.csv", "abc\ndef\n", {}, "no delimiter"),
    "extra_field_everywhere": ("a.csv", "user,item\n1,2,3\n4,5,6\n", {}, "no row has the 2 fields"),
    "short_everywhere": ("a.csv", "user,item,rating\n1,2\n4,5\n", {}, "no row has the 3 fields"),
    "utf16": ("a.csv", GOOD.encode("utf-16"), {}, r"UTF-16.*save it as UTF-8"),
    "latin1": ("a.csv", "user,item\n\xe9,\xe9\n\xe8,\xe8\n".encode("latin-1"), {}, "data.encoding=latin-1"),
    "latin1_header": ("a.csv", "us\xe9r,item\n1,1\n2,1\n".encode("latin-1"), {}, "first line 1"),
    "unknown_encoding": ("a.csv", GOOD, {"encoding": "utf-9"}, "is not known"),
    "truncated_parquet": ("a.parquet", SOUND[:-20], {}, r"footer missing, \d+ bytes"),
    "not_parquet": ("a.parquet", GOOD, {}, "does not begin with PAR1"),
    "damaged_parquet": ("a.parquet", b"PAR1" + b"\x00" * 60 + b"PAR1", {}, "damaged Parquet"),
    "nested_parquet": ("a.parquet", parquet(user=[["u"]], item=["i"]), {}, "'user' has type List"),
    "truncated_gzip": ("a.csv.gz", gzip.compress(GOOD.encode() * 50)[:-20], {}, "truncated gzip"),
    "damaged_gzip": ("a.csv.gz", gzip.compress(GOOD.encode())[:12] + b"\xff" * 40, {}, "gzip"),
    "gzip_bomb": ("a.csv.gz", gzip.compress(b"0" * 3_000_000), {"max_bytes": 1_000_000}, "unpacks to more than"),
    "too_big": ("a.csv", GOOD * 100, {"max_bytes": 1000}, "raise the cap"),
    "parquet_bomb": (
        "a.parquet",
        parquet(user=["u"] * 90_000, item=["i"] * 90_000),
        {"max_bytes": 100_000},
        "claims 90,000",
    ),
    "zip": ("a.csv", zipped(), {}, "zip archive; unpack"),
    "json_array": ("a.json", '[{"user": 1, "item": 2}]', {}, "one JSON array"),
    "json_broken": ("a.jsonl", '{"user": 1, "item"\n', {}, "no line is a JSON object"),
    "json_scalar": ("a.jsonl", "1\n2\n", {}, "not_an_object"),
    "mixed_units": ("a.csv", GOOD + "w,i,4,1400000000000\n", {}, r"mix units \(2 in s, 1 in ms\)"),
    "wrong_unit": ("a.csv", GOOD, {"time_unit": "min"}, "is not a unit"),
    "wrong_scale": ("a.csv", GOOD, {"scale": [0, 1]}, r"set data.scale=\[4,5\]"),
    "no_scale": ("a.csv", GOOD, {"scale": [5, 1]}, r"is not \[lowest, highest\]"),
    "all_bad_times": ("a.csv", "user,item,time\nu,i,12\nv,i,13\n", {}, "2 time_out_of_range"),
    "all_bad_ratings": ("a.csv", "user;item;rating\nu;i;4,5\nv;i;3,5\n", {}, "decimal comma"),
    "wrong_format": ("a.csv", GOOD, {"time_format": "%Y-%m-%d"}, "2 bad_time"),
    "bad_filter_key": (
        "a.csv",
        GOOD,
        {"filters": [{"colum": "user", "reason": "x", "min": 1}]},
        "did you mean 'column'",
    ),
    "bad_filter_column": (
        "a.csv",
        GOOD,
        {"filters": [{"column": "usr", "reason": "x", "min": 1}]},
        "did you mean 'user'",
    ),
    "bad_pattern": (
        "a.csv",
        GOOD,
        {"filters": [{"column": "user", "reason": "x", "matches": "("}]},
        "regular expression",
    ),
    "bad_choice": ("a.csv", GOOD, {"repeats": "frist"}, "did you mean 'first'"),
    "bad_feedback": ("a.csv", GOOD, {"feedback": "implcit"}, "did you mean 'implicit'"),
    "markup": ("a.csv", "<script>\x1b[31m,b\n1,2\n", {}, "no column for the user"),
}


@pytest.mark.parametrize("kind", FILES)
def test_refused_in_one_line(kind, tmp_path) -> None:
    name, content, options, message = FILES[kind]
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(GnnrecError, match=message) as caught:
        ByCount().build(File(path=str(path), **options).load())
    text = str(caught.value)
    assert text.isprintable(), "one line, no control codes"
    assert len(text) < 600


def refuse(path: object, message: str, **options: object) -> None:
    with pytest.raises(GnnrecError, match=message) as caught:
        File(path=str(path), **options).load()
    assert "\n" not in str(caught.value)


def test_directory_pipe_and_nothing(tmp_path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    refuse(tmp_path, "is a directory")
    refuse(tmp_path / "pipe.csv", "not a regular file")
    refuse(tmp_path / "none.csv", "does not exist")


def test_a_file_name_with_control_characters(tmp_path) -> None:
    path = tmp_path / "a\nb.csv"
    path.write_text(GOOD)
    refuse(path, "rename it")


def test_permission_denied(tmp_path, monkeypatch) -> None:
    path = tmp_path / "a.csv"
    path.write_text(GOOD)

    def denied(self: Path, *mode: str) -> object:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", denied)
    refuse(path, "permission denied")


@pytest.mark.parametrize("nth", [0, 1, 2, 3])
def test_a_file_that_changes_while_it_is_read(tmp_path, monkeypatch, nth) -> None:
    path = tmp_path / "a.csv"
    path.write_text(GOOD)
    real, reads = Path.open, []

    def open_and_grow(self: Path, *mode: str) -> object:
        if len(reads) == nth:
            with real(self, "a") as file:
                file.write("w,i,4,1400000002\n")
        reads.append(mode)
        return real(self, *mode)

    monkeypatch.setattr(Path, "open", open_and_grow)
    refuse(path, "changed while it was read")


def test_a_file_that_is_gone_before_its_rows_are_read(tmp_path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(GOOD)
    blob = load(path)
    path.unlink()
    with pytest.raises(GnnrecError, match="changed while it was read"):
        list(blob.pieces())


def test_a_missing_data_set_names_every_place_and_the_command(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    places = {
        "files": ["x/log.csv"],
        "root": str(tmp_path / "root"),
        "wheel": {"package": "no_such_package", "files": ["a"], "install": "pip install no-such-package==1"},
        "url": {"url": "https://example.org/x.zip", "md5": "0"},
    }
    with pytest.raises(GnnrecError) as caught:
        File(name="x", **places).load()
    for part in ("root/x/log.csv", "home/.cache/gnnrec/x/log.csv", "no_such_package", "pip install no-such-package==1",
                 "data.download=true", "https://example.org/x.zip", "data.path=", "data.root="):  # fmt: skip
        assert part in str(caught.value)
    with pytest.raises(GnnrecError, match=r"set data\.path"):
        File().load()


def archive_url(tmp_path: Path) -> dict[str, str]:
    data = zipped()
    (tmp_path / "x.zip").write_bytes(data)
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    return {"url": (tmp_path / "x.zip").as_uri(), "md5": md5, "member": "a.csv"}


def test_download_is_checked_and_kept(tmp_path) -> None:
    url = archive_url(tmp_path)
    root = tmp_path / "root"
    assert len(File(files=["x/log.csv"], root=str(root), url=url, download=True).load()) == 2
    assert (root / "x" / "log.csv").read_text() == GOOD
    assert [p.name for p in (root / "x").iterdir()] == ["log.csv"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"md5": "0"}, "expected 0"),
        ({"member": "../b.csv"}, "holds no readable"),
        ({"url": "file:///none"}, "cannot be fetched"),
    ],
)
def test_a_bad_download_leaves_nothing(tmp_path, change, message) -> None:
    url = archive_url(tmp_path)
    root = tmp_path / "root"
    with pytest.raises(GnnrecError, match=message):
        File(files=["x/log.csv"], root=str(root), url={**url, **change}, download=True).load()
    assert not root.exists()
