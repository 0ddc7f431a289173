"""Other Delta tables as sources: their commits become versions; what cannot be one is refused."""

from __future__ import annotations

import json

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake
from support.stores import DAY, START, add, events, rows, write

from gnnrec.cli.main import main
from gnnrec.core.errors import GnnrecError
from gnnrec.store.delta_commits import commits
from gnnrec.store.log import StoreLog
from gnnrec.store.source import groups
from gnnrec.store.table import Store


def frame(k, n=40):
    lines = [line.split(",") for line in rows(n, k, START + k * DAY, users=60 + 20 * k)]
    table = pl.DataFrame(lines, schema=["user", "item", "rating", "time"], orient="row")
    return table.with_columns(pl.col("rating").cast(pl.Float64), pl.col("time").cast(pl.Int64))


def table(folder, count=3):
    for k in range(count):
        write_deltalake(folder / "theirs", frame(k), mode="append")
    return folder / "theirs"


def test_every_commit_of_a_delta_table_becomes_a_version(tmp_path, capsys):
    theirs = table(tmp_path)
    assert main(["data", "ingest", str(tmp_path / "s"), str(theirs)]) == 0
    store = Store(tmp_path / "s")
    assert [v.counts.read for v in store.versions] == [40, 40, 40]
    whole = Store(tmp_path / "whole")
    add(whole, write(tmp_path / "all.csv", [",".join(map(str, r)) for k in range(3) for r in frame(k).rows()]))
    assert events(store) == events(whole)
    write_deltalake(theirs, frame(3), mode="append")
    main(["data", "ingest", str(tmp_path / "s"), str(theirs)])
    out = capsys.readouterr().out
    assert out.count("already in version") == 3
    assert len(Store(tmp_path / "s").versions) == 4


def test_compaction_changes_no_rows_and_makes_no_version(tmp_path):
    theirs = table(tmp_path)
    before = [c.files for c in commits(theirs)]
    DeltaTable(theirs).optimize.compact()
    assert [c.files for c in commits(theirs)] == before


def test_a_commit_that_takes_rows_away_is_refused(tmp_path):
    theirs = table(tmp_path)
    DeltaTable(theirs).delete("rating = 1")
    with pytest.raises(GnnrecError, match="took rows away"):
        list(commits(theirs))


def test_a_partitioned_table_is_refused(tmp_path):
    write_deltalake(tmp_path / "theirs", frame(0), partition_by=["item"])
    with pytest.raises(GnnrecError, match="partitioned by item"):
        list(commits(tmp_path / "theirs"))


def test_a_damaged_table_is_refused_in_one_line(tmp_path):
    theirs = table(tmp_path, 1)
    (theirs / "_delta_log" / f"{0:020}.json").write_text("{")
    with pytest.raises(GnnrecError, match="cannot be read as a Delta table"):
        list(commits(theirs))


def test_a_table_that_gnnrec_did_not_make_is_no_data_set_yet(tmp_path):
    with pytest.raises(GnnrecError, match="did not make"):
        StoreLog(str(table(tmp_path))).load()


def test_files_make_one_version_or_one_each(tmp_path):
    for k in range(2):
        write(tmp_path / f"{k}.csv", rows(5, k))
    name = str(tmp_path / "?.csv")
    assert [[p.name for p in g.files] for g in groups([name], each=False)] == [["0.csv", "1.csv"]]
    assert [[p.name for p in g.files] for g in groups([name], each=True)] == [["0.csv"], ["1.csv"]]


def test_a_table_that_was_compacted_and_vacuumed_goes_on_where_it_was(tmp_path, capsys):
    theirs, store = table(tmp_path), tmp_path / "s"
    assert main(["data", "ingest", str(store), str(theirs)]) == 0
    DeltaTable(theirs).optimize.compact()
    DeltaTable(theirs).vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    write_deltalake(theirs, frame(3), mode="append")
    capsys.readouterr()
    assert main(["data", "ingest", str(store), str(theirs)]) == 0
    assert capsys.readouterr().out.count("already in version") == 3
    assert [v.counts.read for v in Store(store).versions] == [40] * 4


def test_a_log_that_names_a_file_outside_its_table_is_not_believed(tmp_path):
    theirs = table(tmp_path, 1)
    write(tmp_path / "secret.csv", rows(5))
    log = theirs / "_delta_log" / f"{0:020}.json"
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    for entry in entries:
        if "add" in entry:
            entry["add"]["path"] = "../secret.csv"
    log.write_text("\n".join(map(json.dumps, entries)))
    with pytest.raises(GnnrecError, match="outside the table"):
        list(commits(theirs))


FOREIGN = {"user": ["a", "b"], "item": ["x", "y"], "rating": [1.0, 2.0], "time": [1_300_000_000, 1_300_000_001]}


@pytest.mark.parametrize("columns", [["user", "item", "rating", "time"], ["user", "item"], ["rating"]])
def test_a_table_that_gnnrec_did_not_make_is_no_store_and_stays_as_it_is(tmp_path, columns):
    write_deltalake(str(tmp_path / "theirs"), pl.DataFrame(FOREIGN).select(columns))
    with pytest.raises(GnnrecError, match="did not make, and stays as it is"):
        add(Store(tmp_path / "theirs"), write(tmp_path / "a.csv", rows(20)))
    assert DeltaTable(str(tmp_path / "theirs")).version() == 0
    assert pl.read_delta(str(tmp_path / "theirs")).equals(pl.DataFrame(FOREIGN).select(columns))


def test_a_table_that_somebody_makes_meanwhile_is_not_written_to(tmp_path, monkeypatch):
    store, append = Store(tmp_path / "s"), Store.append

    def late(self, staged, version):
        write_deltalake(str(self.path), pl.DataFrame(FOREIGN))
        append(self, staged, version)

    monkeypatch.setattr(Store, "append", late)
    with pytest.raises(GnnrecError, match="was not committed"):
        add(store, write(tmp_path / "a.csv", rows(20)))
    assert pl.read_delta(str(store.path)).equals(pl.DataFrame(FOREIGN))
