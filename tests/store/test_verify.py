"""What is damaged is found and named; what versions do not need is deleted, and nothing else."""

from __future__ import annotations

from functools import partial

import polars as pl
import pytest
from support.stores import START, add, events, grown, rows, write

from gnnrec.core.errors import GnnrecError
from gnnrec.store import erase, export, table
from gnnrec.store import verify as verifying
from gnnrec.store.table import Store
from gnnrec.store.verify import verify


def problems(store):
    return {number: problem for number, problem in verify(Store(store.path)) if problem}


def test_a_sound_store_has_no_problem(tmp_path):
    assert problems(grown(tmp_path)) == {}


def test_every_flipped_byte_of_the_rows_is_found(tmp_path):
    store = grown(tmp_path, versions=1)
    (path,) = store.files()
    sound = path.read_bytes()
    for at in range(4, len(sound), 97):
        path.write_bytes(sound[:at] + bytes([sound[at] ^ 0x40]) + sound[at + 1 :])
        changed = pl_rows(path) != pl_rows_of(sound, tmp_path)
        assert not changed or problems(store), f"byte {at}"


def pl_rows(path):
    try:
        return pl.read_parquet(path, glob=False).rows()
    except (Exception, pl.exceptions.PanicException):
        return None


def pl_rows_of(content, folder):
    path = folder / "sound.parquet"
    path.write_bytes(content)
    return pl_rows(path)


@pytest.mark.parametrize("damage", ["gone", "truncated", "swapped"])
def test_a_lost_or_swapped_file_is_named(tmp_path, damage):
    store = grown(tmp_path)
    files = store.files()
    {
        "gone": lambda: files[0].unlink(),
        "truncated": lambda: files[0].write_bytes(files[0].read_bytes()[:-9]),
        "swapped": lambda: files[0].write_bytes(files[1].read_bytes()),
    }[damage]()
    assert len(problems(store)) >= 1


def test_changed_rows_set_aside_are_found(tmp_path):
    store = Store(tmp_path / "store")
    add(store, write(tmp_path / "a.csv", ["u,i,3,1300000000", "u,,3,1300000000"]))
    path = next(store.aside.glob("*.jsonl"))
    path.write_text(path.read_text().replace("u,,3", "u,x,3"))
    assert "were changed" in problems(store)[0]
    path.unlink()
    assert "are missing" in problems(store)[0]


def test_a_truncated_log_entry_is_refused_in_one_line(tmp_path):
    store = grown(tmp_path)
    entry = sorted((store.path / "_delta_log").glob("*.json"))[1]
    entry.write_text(entry.read_text()[:50])
    with pytest.raises(GnnrecError, match="damaged store"):
        list(verify(Store(store.path)))


def test_leftovers_are_found_and_what_is_used_is_kept(tmp_path):
    store = Store(tmp_path / "store")
    add(store, write(tmp_path / "a.csv", ["u,i,3,1300000000", "u,,3,1300000000"]))
    (store.aside / "0123.jsonl").write_text("{}\n")
    (store.path / "_gnnrec" / ".x.tmp").write_text("")
    assert [p.name for p in export.leftovers(store)] == [".x.tmp", "0123.jsonl"]


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_an_export_holds_the_events_of_its_version_in_order_of_time(tmp_path, suffix):
    store = grown(tmp_path)
    path = tmp_path / f"out{suffix}"
    assert export.write(store, 1, path) == sum(events(store, 1).values())
    found = pl.read_parquet(path) if suffix == ".parquet" else pl.read_csv(path, try_parse_dates=True)
    assert found["time"].is_sorted()
    assert set(found["version"]) == {0, 1}


def test_an_export_is_read_back_to_the_same_content(tmp_path):
    store = grown(tmp_path, versions=1)
    export.write(store, None, tmp_path / "out.parquet")
    add(Store(tmp_path / "copy"), tmp_path / "out.parquet", columns={"rating": "value"})
    assert Store(tmp_path / "copy").versions[0].content == store.versions[0].content


@pytest.mark.parametrize("sign", [*list("=+-@"), "\t="])
def test_ids_that_a_spreadsheet_would_run_are_harmless_in_csv_and_exact_in_parquet(tmp_path, sign):
    store = Store(tmp_path / "store")
    user = f"{sign.strip()}cmd()"
    add(store, write(tmp_path / "a.csv", [f"{user},i,3,1300000000"]))
    export.write(store, None, tmp_path / "out.csv")
    export.write(store, None, tmp_path / "out.parquet")
    assert pl.read_csv(tmp_path / "out.csv")["user"][0] == "'" + user
    assert pl.read_parquet(tmp_path / "out.parquet")["user"][0] == user


def test_other_suffixes_and_unknown_versions_are_refused(tmp_path):
    store = grown(tmp_path, versions=1)
    with pytest.raises(GnnrecError, match=r"\.parquet or \.csv"):
        export.write(store, None, tmp_path / "out.txt")
    with pytest.raises(GnnrecError, match="no version 9"):
        export.write(store, 9, tmp_path / "out.csv")


def test_no_store_is_said_so(tmp_path):
    with pytest.raises(GnnrecError, match="is no store; make one by"):
        _ = Store(tmp_path / "nothing").versions


def test_a_store_is_sound_after_erasures_however_files_divide_its_versions(tmp_path, monkeypatch):
    """Files of an erasure hold parts of several versions, and their places overlap."""
    monkeypatch.setattr(table, "write_deltalake", partial(table.write_deltalake, target_file_size=20_000))
    monkeypatch.setattr(verifying, "_ROWS", 700)
    store = Store(tmp_path / "store")
    for k in range(2):
        lines = [
            line.replace(",i", f",item-{n}-i") for n, line in enumerate(rows(6000, k, START + k * 86_400, users=400))
        ]
        add(store, write(tmp_path / f"{k}.csv", lines))
    for user in ("u1", "u2", "u3"):
        erase.erase(Store(store.path), user)
        assert problems(store) == {}
    assert len(Store(store.path).files()) > 2
