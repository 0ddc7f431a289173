"""What another program does to a store is noticed by every command, said in one line, and can be taken back."""

from __future__ import annotations

import polars as pl
import pytest
from delta_logs import actions, added, commit, protocol, removed, vector
from deltalake import DeltaTable, write_deltalake
from support.stores import DAY, START, add, events, grown, rows, write

from gnnrec.cli.main import main
from gnnrec.core.errors import GnnrecError
from gnnrec.store.log import StoreLog
from gnnrec.store.table import Store


def append(store):
    write_deltalake(str(store.path), store.rows().head(3).collect(), mode="append")


def delete(store):
    DeltaTable(str(store.path)).delete("value > 3")


def update(store):
    DeltaTable(str(store.path)).update(updates={"value": "5.0"}, predicate="version = 1")


def overwrite(store):
    write_deltalake(str(store.path), store.rows().collect(), mode="overwrite")


def delete_by_vector(store):
    add = added(store.path)
    again = {"add": add | {"deletionVector": vector(store.path, [0, 2])}}
    commit(store.path, store.head + 1, [protocol("deletionVectors"), removed(add), again])


def commands(store, folder):
    file = write(folder / "more.csv", rows(40, 9, START + 9 * DAY, users=300))
    path = str(store.path)
    yield ["data", "summary", "data=store", f"data.path={path}", "stream=by_version"]
    yield ["data", "ingest", path, str(file)]
    yield ["data", "log", path]
    yield ["data", "show", path]
    yield ["data", "diff", path, "0", "1"]
    yield ["data", "checkout", path, "1", str(folder / "out.csv")]
    yield ["data", "export", path, str(folder / "out.csv")]
    yield ["data", "forget", path, "--user", "u1"]
    yield ["data", "gc", path]


@pytest.mark.parametrize("change", [append, delete, update, overwrite, delete_by_vector])
def test_every_command_says_who_changed_the_rows_of_a_store(tmp_path, capsys, change):
    store = grown(tmp_path)
    change(store)
    before = Store(store.path).head
    for command in commands(store, tmp_path):
        assert main(command) == 2, command
        said = capsys.readouterr().err
        assert "commit 3 (" in said, command
        assert "changed rows that no ingest made" in said
        assert said.count("\n") == 1
    assert main(["data", "verify", str(store.path)]) == 1
    assert "commit 3 (" in capsys.readouterr().out
    assert Store(store.path).head == before
    with pytest.raises(GnnrecError, match="commit 3"):
        StoreLog(str(store.path)).load()


def test_a_change_that_was_taken_back_is_none(tmp_path, capsys):
    store = grown(tmp_path)
    held = events(store)
    append(store)
    main(["data", "log", str(store.path)])
    undo = capsys.readouterr().err.split("python -c ")[1].split('"')[1]
    exec(undo)
    assert events(Store(store.path)) == held
    assert main(["data", "verify", str(store.path)]) == 0
    add(Store(store.path), write(tmp_path / "more.csv", rows(40, 9, START + 9 * DAY, users=300)))
    assert Store(store.path).versions[-1].number == 5
    assert sum(StoreLog(str(store.path)).load().counts.set_aside.values()) == 0


def test_compaction_by_another_program_changes_no_rows(tmp_path):
    store = grown(tmp_path)
    held = events(store)
    DeltaTable(str(store.path)).optimize.compact()
    assert events(Store(store.path)) == held
    add(Store(store.path), write(tmp_path / "more.csv", rows(40, 9, START + 9 * DAY, users=300)))
    assert len(Store(store.path).versions) == 4


def test_rows_changed_between_two_versions_are_noticed_later(tmp_path):
    store = grown(tmp_path, versions=2)
    append(store)
    found = actions(store.path, 1)
    path = pl.read_parquet(store.files()[0])
    name = "part-later.parquet"
    path.write_parquet(store.path / name)
    for action in found:
        if "add" in action:
            action["add"]["path"] = name
    commit(store.path, 3, found)  # by a gnnrec that did not look
    with pytest.raises(GnnrecError, match=r"commit 2 .*restore the folder from a copy"):
        Store(store.path).versions  # noqa: B018


def test_a_store_with_other_rows_than_its_versions_have_is_not_read(tmp_path):
    store = grown(tmp_path)
    file = store.files()[0]
    pl.read_parquet(file).head(3).write_parquet(file)
    with pytest.raises(GnnrecError, match="data verify"):
        StoreLog(str(store.path)).load()
