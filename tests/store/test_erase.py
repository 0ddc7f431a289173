"""Forgetting: nothing below the store names the user afterwards, everybody else's rows are as they were."""

from __future__ import annotations

import json
from collections import Counter

import polars as pl
import pytest
from support.stores import START, add, events, grown, rows, write

from gnnrec.cli.main import main
from gnnrec.core.errors import GnnrecError
from gnnrec.store import erase
from gnnrec.store.export import leftovers
from gnnrec.store.table import Store
from gnnrec.store.verify import verify

PLANTED = "planted-7f3a"


def planted(folder):
    """Return a store in which the user has events in both versions and in the rows set aside."""
    store = Store(folder / "store")
    mine = [f"{PLANTED},i{k},4,{START + k}" for k in range(5)]
    bad = [f"{PLANTED},i1,abc,{START}", f"{PLANTED},i1"]
    add(store, write(folder / "a.csv", [*rows(60), *mine, *bad]), page=True)
    add(store, write(folder / "b.csv", [*rows(60, 1, START + 90_000, users=90), f"{PLANTED},x,4,{START + 95_000}"]))
    return store


def naming(store, text):
    """Return the files that hold a text anywhere, Parquet unpacked: what no matcher of the store has a say in."""
    found = []
    for path in (p for p in store.path.rglob("*") if p.is_file()):
        unpacked = b""
        if path.suffix == ".parquet":
            frame = pl.read_parquet(path, glob=False)
            cells = [c for n in frame.columns if frame[n].dtype == pl.String for c in frame[n].drop_nulls()]
            unpacked = "\n".join(cells).encode()
        if text.encode() in path.read_bytes() + unpacked:
            found.append(path)
    return found


def test_a_planted_id_is_found_before_and_nowhere_afterwards(tmp_path):
    store = planted(tmp_path)
    assert erase.found_in(store, PLANTED)
    assert len(naming(store, PLANTED)) >= 3, "events of two versions, rows set aside; reports name no user"
    erase.erase(store, PLANTED)
    assert erase.found_in(store, PLANTED) == []
    assert naming(store, PLANTED) == []
    assert not any(PLANTED in str(p) for p in store.path.rglob("*"))


def test_everybody_else_keeps_their_rows_and_the_store_verifies(tmp_path):
    store = planted(tmp_path)
    before = {v.number: events(store, v.number) for v in store.versions}
    erase.erase(store, PLANTED)
    for number, rows_then in before.items():
        others = Counter({row: n for row, n in rows_then.items() if row[0] != PLANTED})
        assert events(store, number) == others
    assert [problem for _, problem in verify(store)] == [None, None]
    assert leftovers(store) == []
    assert store.vacuum(dry_run=True) == []


def test_the_dry_run_says_what_would_go_and_changes_nothing(tmp_path):
    store = planted(tmp_path)
    files = {p: p.read_bytes() for p in store.path.rglob("*") if p.is_file()}
    planned = erase.plan(store, PLANTED)
    assert planned.rows == {0: 5, 1: 1}
    assert sum(planned.aside.values()) == 2
    assert {p: p.read_bytes() for p in store.path.rglob("*") if p.is_file()} == files


def test_the_certificate_names_versions_and_hashes_and_not_the_user(tmp_path):
    store = planted(tmp_path)
    old = dict(store.contents)
    path = erase.erase(store, PLANTED)
    found = json.loads(path.read_text())
    assert found["erasure"]["rows"] == {"0": 5, "1": 1}
    assert found["content before"] == {str(v): c for v, c in old.items()}
    assert found["content after"] == {str(v): c for v, c in store.contents.items()}
    assert PLANTED not in path.read_text()


def test_an_unknown_user_is_refused(tmp_path):
    with pytest.raises(GnnrecError, match="no row of this user"):
        erase.erase(grown(tmp_path), "nobody")


def test_a_user_whose_id_is_part_of_others_leaves_them_alone(tmp_path):
    store = Store(tmp_path / "store")
    lines = [f"{u},i{k},4,{START + k}" for k, u in enumerate(("12", "123", "12.5", "a-12", "312"))]
    add(store, write(tmp_path / "a.csv", [*lines, f"123,i9,abc,{START}", f"12,i9,abc,{START}"]))
    erase.erase(store, "12")
    assert {row[0] for row in events(store)} == {"123", "12.5", "a-12", "312"}
    text = next(store.aside.glob("*.jsonl")).read_text()
    assert "123,i9,abc" in text
    assert text.count(erase.ERASED) == 1


@pytest.mark.parametrize("user", ['q"uo7e', "comma, inside", "back\\slash", "ümläut", "a*b?[c]", "tab in"])
def test_ids_with_odd_characters_are_forgotten_too(tmp_path, user):
    store = Store(tmp_path / "store")
    cell = '"' + user.replace('"', '""') + '"'
    add(store, write(tmp_path / "a.csv", [*rows(40), f"{cell},i1,3,{START}", f"{cell},i2,abc,{START}"]))
    erase.erase(store, user)
    assert user not in {row[0] for row in events(store)}
    assert erase.found_in(store, user) == []


def test_a_file_that_was_ingested_before_an_erasure_is_still_known(tmp_path):
    store = planted(tmp_path)
    erase.erase(store, PLANTED)
    assert add(store, tmp_path / "a.csv").version is None
    added = add(store, write(tmp_path / "c.csv", rows(30, 2, START + 200_000, users=300)))
    assert added.version.number == store.head
    assert [problem for _, problem in verify(store)] == [None, None, None]


@pytest.mark.parametrize("user", ["4", "40", "td", "rows"])
def test_an_id_that_reports_are_full_of_leaves_them_readable(tmp_path, user):
    store = Store(tmp_path / "store")
    mine = [f"{user},i{k},4,{START + k}" for k in range(40)]
    add(
        store,
        write(tmp_path / "a.csv", [*rows(60), *mine, f"{user},i1,abc,{START}", f"u3,{user},abc,{START}"]),
        page=True,
    )
    erase.erase(store, user)
    (version,) = store.versions
    assert store.quality(version)["rows"]["kept"] == version.counts.kept
    page = store.report(version, "html").read_text()
    assert "(erased)" not in page
    assert page.rstrip().endswith("</html>")
    text = next(store.aside.glob("*.jsonl")).read_text()
    assert f"u3,{user},abc" in text, "another user's row that names an item like this user"
    assert [p for _, p in verify(store) if p] == []


class Stop(BaseException):
    """A crash."""


@pytest.mark.parametrize("step", ["replace", "_complete", "_certificate"])
def test_an_erasure_that_was_cut_off_is_completed_by_the_next(tmp_path, monkeypatch, step):
    store = planted(tmp_path)
    where = Store if step == "replace" else erase
    real = getattr(where, step)

    def dies(*arguments):
        if step == "replace":
            real(*arguments)
        raise Stop

    with monkeypatch.context() as patched:
        patched.setattr(where, step, dies)
        with pytest.raises(Stop):
            erase.erase(store, PLANTED)
    store = Store(store.path)
    certificate = erase.erase(store, PLANTED)
    assert json.loads(certificate.read_text())["erasure"]["rows"] == {"0": 5, "1": 1}
    assert naming(store, PLANTED) == []
    assert [p for _, p in verify(store) if p] == []
    with pytest.raises(GnnrecError, match="no row of this user"):
        erase.erase(store, PLANTED)


def test_what_a_killed_writer_left_is_deleted_too(tmp_path):
    store = planted(tmp_path)
    orphan = store.path / "part-00000-never-committed.snappy.parquet"
    pl.DataFrame({"user": [PLANTED]}).write_parquet(orphan)
    (store.reports / "000000-x.html.part").write_text(PLANTED)
    assert orphan in erase.found_in(store, PLANTED)
    erase.erase(store, PLANTED)
    assert naming(store, PLANTED) == []


def test_a_user_who_has_nothing_but_rows_set_aside_is_forgotten(tmp_path, capsys):
    store = Store(tmp_path / "store")
    add(store, write(tmp_path / "a.csv", [*rows(40), f"{PLANTED},i1,abc,{START}"]), page=True)
    before = events(store)
    assert main(["data", "forget", str(store.path), "--user", PLANTED, "--yes"]) == 0
    assert "erased; certificate" in capsys.readouterr().out
    store = Store(store.path)
    assert naming(store, PLANTED) == []
    assert events(store) == before
    assert [p for _, p in verify(store) if p] == []


@pytest.mark.parametrize("end", ["\u2028", "\u2029", "\x85"])
def test_line_ends_of_other_alphabets_in_rows_set_aside_stop_no_erasure(tmp_path, end):
    store = Store(tmp_path / "store")
    add(store, write(tmp_path / "a.csv", [*rows(40), f"u1{end}x,i1,abc,{START}", f"{PLANTED},i1,3,{START}"]))
    erase.erase(store, PLANTED)
    assert naming(store, PLANTED) == []


def test_quotes_are_found_as_a_file_has_them(tmp_path):
    store = Store(tmp_path / "store")
    add(
        store,
        write(tmp_path / "a.csv", [*rows(40), f'"q""uo7e",i1,abc,{START}', f'"q""uo7e",i1,3,{START}', '"q""uo7e",i1']),
    )
    erase.erase(store, 'q"uo7e')
    assert naming(store, "uo7e") == []
