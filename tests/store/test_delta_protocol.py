"""Delta tables of other engines, read by the protocol: deleted rows stay deleted, what is not read is refused by its name."""

from __future__ import annotations

import json

import polars as pl
import pytest
from delta_logs import actions, added, commit, delete_by_vector, entry, protocol, vector
from deltalake import DeltaTable, write_deltalake
from support.stores import START

from gnnrec.cli.main import main
from gnnrec.store.delta_commits import commits
from gnnrec.store.table import Store

PEOPLE = [f"u{k}" for k in range(12)]
GONE = [1, 3, 4, 7, 11]
STAY = [u for k, u in enumerate(PEOPLE) if k not in GONE]


def people(names, start=0):
    times = [START + start + k for k in range(len(names))]
    return pl.DataFrame({"user": names, "item": [f"i{k % 5}" for k in range(len(names))], "time": times})


@pytest.fixture
def table(tmp_path):
    write_deltalake(str(tmp_path / "theirs"), people(PEOPLE))
    return tmp_path / "theirs"


def ingested(source, capsys, store=None):
    store = store or source.parent / "s"
    code = main(["data", "ingest", str(store), str(source)])
    said = capsys.readouterr()
    users = Store(store).rows().sort("time").collect()["user"].to_list() if Store(store).exists else []
    return code, users, said.err


@pytest.mark.parametrize("kind", ["i", "u", "p"])
def test_people_deleted_by_a_vector_do_not_come_back(table, capsys, kind):
    delete_by_vector(table, 1, GONE, kind)
    assert DeltaTable(str(table)).scan().read_all().num_rows == len(STAY)
    code, users, said = ingested(table, capsys)
    assert (code, users) == (2, [])
    assert "commit 1 of" in said
    assert "took rows away" in said


@pytest.mark.parametrize("kind", ["i", "u", "p"])
def test_a_file_that_comes_with_a_vector_is_read_without_the_rows_it_deletes(table, capsys, kind):
    add = next(a for a in actions(table, 0) if "add" in a)
    add["add"]["deletionVector"] = vector(table, GONE, kind)
    rest = [a for a in actions(table, 0) if "add" not in a and "protocol" not in a]
    commit(table, 0, [*rest, protocol("deletionVectors"), add])
    write_deltalake(str(table.parent / "more"), people(["v0", "v1"], 100))
    more = added(table.parent / "more")
    (table.parent / "more" / more["path"]).rename(table / more["path"])
    commit(table, 1, [{"add": more}])
    code, users, _ = ingested(table, capsys)
    assert (code, users) == (0, [*STAY, "v0", "v1"])


def test_a_log_that_begins_with_a_checkpoint_is_read_without_the_rows_deleted_before_it(table, capsys):
    delete_by_vector(table, 1, GONE)
    DeltaTable(str(table)).create_checkpoint()
    for number in range(2):
        entry(table, number).unlink()
    write_deltalake(str(table.parent / "more"), people(["v0", "v1"], 100))
    more = added(table.parent / "more")
    (table.parent / "more" / more["path"]).rename(table / more["path"])
    commit(table, 2, [{"add": more}])
    assert [c.origin.split(":")[1] for c in commits(table)] == ["1", "2"]
    code, users, _ = ingested(table, capsys)
    assert (code, users) == (0, [*STAY, "v0", "v1"])


def test_the_first_commit_there_is_counts_even_if_it_only_rearranged_rows(table, capsys):
    write_deltalake(str(table), people(["v0"], 50), mode="append")
    DeltaTable(str(table)).optimize.compact()
    DeltaTable(str(table)).create_checkpoint()
    for number in range(3):
        entry(table, number).unlink()
    assert ingested(table, capsys)[:2] == (0, [*PEOPLE, "v0"])


def test_a_vector_that_is_damaged_deletes_nothing_silently(table, capsys):
    delete_by_vector(table, 1, GONE, "u")
    DeltaTable(str(table)).create_checkpoint()
    entry(table, 0).unlink()
    path = next(table.glob("deletion_vector*"))
    data = bytearray(path.read_bytes())
    data[-8] ^= 1
    path.write_bytes(data)
    code, users, said = ingested(table, capsys)
    assert (code, users) == (2, [])
    assert said.count("\n") == 1
    path.unlink()
    assert ingested(table, capsys)[:2] == (2, [])


@pytest.mark.parametrize(
    ("found", "named"),
    [
        (protocol("v2Checkpoint"), "v2Checkpoint"),
        (protocol("typeWidening"), "typeWidening"),
        (protocol("variantType", "deletionVectors"), "variantType"),
        (protocol("catalogManaged"), "catalog-managed"),
        (protocol("ofTomorrow"), "ofTomorrow"),
        ({"protocol": {"minReaderVersion": 4, "minWriterVersion": 6}}, "version"),
    ],
)
def test_a_reader_feature_that_is_not_read_is_refused_by_its_name(table, capsys, found, named):
    commit(table, 1, [found])
    code, users, said = ingested(table, capsys)
    assert (code, users) == (2, [])
    assert named.lower() in said.lower()


@pytest.mark.parametrize(
    "found", [protocol("columnMapping"), {"protocol": {"minReaderVersion": 2, "minWriterVersion": 5}}]
)
def test_columns_that_are_stored_under_other_names_are_refused(table, capsys, found):
    meta = next(a for a in actions(table, 0) if "metaData" in a)
    schema = json.loads(meta["metaData"]["schemaString"])
    stored = ["item", "user", "time"]  # users and items have changed their names
    for k, column in enumerate(schema["fields"]):
        column["metadata"] = {"delta.columnMapping.id": k + 1, "delta.columnMapping.physicalName": stored[k]}
    about = {"schemaString": json.dumps(schema), "configuration": {"delta.columnMapping.mode": "name"}}
    commit(table, 1, [found, {"metaData": meta["metaData"] | about}])
    code, users, said = ingested(table, capsys)
    assert (code, users, "columnMapping" in said) == (2, [], True)


def test_rows_changed_by_vector_and_a_new_file_are_refused(table, capsys):
    delete_by_vector(table, 1, GONE)
    write_deltalake(str(table.parent / "more"), people(["changed"], 100))
    more = added(table.parent / "more")
    (table.parent / "more" / more["path"]).rename(table / more["path"])
    commit(table, 1, [*actions(table, 1), {"add": more}])
    code, users, said = ingested(table, capsys)
    assert (code, users, "took rows away" in said) == (2, [], True)


@pytest.mark.parametrize("character", "#?%")
def test_a_source_at_a_path_that_delta_reads_otherwise_is_refused(table, capsys, character):
    odd = table.rename(table.parent / f"a{character}20b")
    code, users, said = ingested(odd, capsys)
    assert (code, users) == (2, [])
    assert f"'{character}' in its path" in said


def test_a_table_without_rows_is_said_to_have_none(tmp_path, capsys):
    write_deltalake(str(tmp_path / "theirs"), people(PEOPLE).clear())
    code, _, said = ingested(tmp_path / "theirs", capsys)
    assert (code, "without rows" in said) == (2, True)


@pytest.mark.parametrize("name", ["a#b.csv", "a?b.parquet", "a%20b.csv", "a#b.parquet", "a[1].parquet"])
def test_files_may_lie_at_any_path(tmp_path, capsys, name):
    (tmp_path / "x#y?z").mkdir()
    file = tmp_path / "x#y?z" / name
    people(PEOPLE).write_parquet(file) if name.endswith("parquet") else people(PEOPLE).write_csv(file)
    code, users, _ = ingested(file, capsys, tmp_path / "s")
    assert (code, users) == (0, PEOPLE)
