"""What holds an id is found, whatever kind of file it is, and what looks like it is not."""

from __future__ import annotations

import gzip
import json
import zipfile

import polars as pl
import pytest

from gnnrec.store.proof import look


def holding(folder, user):
    return [p.name for p in look(folder, user).holding]


@pytest.mark.parametrize("user", ["anna@example.org", 'o"neil', "a&b", "zoë", "17850", "u-1"])
def test_an_id_is_found_in_every_kind_of_file_that_names_it(tmp_path, user):
    pl.DataFrame({"user": ["x", user]}).write_parquet(tmp_path / "cells.parquet")
    pl.DataFrame({"users": [["x"], ["y", user]]}).write_parquet(tmp_path / "lists.parquet")
    (tmp_path / "plain.json").write_text(json.dumps({"who": [user]}))
    (tmp_path / "kept.json").write_text(json.dumps({"inner": json.dumps({"who": user})}))
    (tmp_path / "rows.jsonl").write_text("{}\n" + json.dumps({"user": user}) + "\n")
    pl.DataFrame({"user": [user], "n": [3]}).write_csv(tmp_path / "rows.csv")
    expected = {"cells.parquet", "lists.parquet", "plain.json", "kept.json", "rows.jsonl", "rows.csv"}
    if user != "17850":
        (tmp_path / "page.html").write_text(f"<p>{user.replace('&', '&amp;')}</p>")
        expected |= {"page.html"}
    if len(user) > 5:
        (tmp_path / "raw.bin").write_bytes(b"\x00\xff" + user.encode() + b"\x00")
        expected |= {"raw.bin"}
    assert set(holding(tmp_path, user)) == expected


def test_what_only_looks_like_an_id_is_none(tmp_path):
    pl.DataFrame({"user": ["u10", "xu1"], "n": [1, 1]}).write_parquet(tmp_path / "a.parquet")
    (tmp_path / "b.json").write_text(json.dumps({"user": "u1-2", "n": 17}))
    (tmp_path / "c.txt").write_text("u12 and mu1")
    pl.DataFrame({"user": ["x"], "n": [17]}).write_csv(tmp_path / "d.csv")
    (tmp_path / "e.jsonl").write_text(json.dumps({"17": "hash", "at": "2017"}) + "\n")
    assert holding(tmp_path, "u1") == []
    assert holding(tmp_path, "17") == []


def test_files_in_which_nobody_could_tell_are_counted(tmp_path):
    (tmp_path / "page.html").write_text("<td>17</td>")
    (tmp_path / "weights.safetensors").write_bytes(b"17")
    found = look(tmp_path, "17")
    assert (found.holding, found.files, found.untold) == ((), 2, 2)
    assert "in 2 of them it cannot be told" in found.said()


def test_what_is_packed_is_not_said_to_be_free_of_an_id(tmp_path):
    (tmp_path / "rows.csv.gz").write_bytes(gzip.compress(b"anna@example.org,3\n" * 9))
    with zipfile.ZipFile(tmp_path / "all.xlsx", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("sheet.xml", "anna@example.org " * 9)
    found = look(tmp_path, "anna@example.org")
    assert (found.holding, found.files, found.untold) == ((), 2, 2)


def test_links_are_counted_not_followed(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "who.txt").write_text("anna@example.org")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "moved").symlink_to(tmp_path / "real")
    (tmp_path / "runs" / "one.txt").symlink_to(tmp_path / "real" / "who.txt")
    found = look(tmp_path / "runs", "anna@example.org")
    assert (found.holding, found.files, found.links) == ((), 0, 2)
    assert "2 links were not followed" in found.said()


def test_ids_that_a_foreign_table_keeps_as_numbers_are_not_passed_over(tmp_path):
    pl.DataFrame({"user_id": [3, 17850], "n": [1, 2]}).write_parquet(tmp_path / "raw.parquet")
    pl.DataFrame({"user": ["x"], "n": [17850]}).write_parquet(tmp_path / "other.parquet")
    found = look(tmp_path, "17850")
    assert (found.holding, found.untold) == ((), 1)


def test_hidden_files_torn_tables_and_names_count(tmp_path):
    (tmp_path / ".part").mkdir()
    (tmp_path / ".part" / "torn.parquet").write_bytes(b"PAR1 anna@example.org")
    (tmp_path / "anna@example.org.txt").write_text("")
    (tmp_path / "torn.json").write_text('{"who": "anna@example.org')
    assert len(holding(tmp_path, "anna@example.org")) == 3
