"""Forgetting: nothing below the store names the user afterwards, everybody else's rows are as they were."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from contracts.stores import START, add, events, grown, rows, write

from gnnrec.errors import GnnrecError
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


def raw_bytes_naming(store, text):
    return [p for p in store.path.rglob("*") if p.is_file() and text.encode() in p.read_bytes()]


def test_a_planted_id_is_found_before_and_nowhere_afterwards(tmp_path):
    store = planted(tmp_path)
    assert erase.found_in(store, PLANTED)
    erase.erase(store, PLANTED)
    assert erase.found_in(store, PLANTED) == []
    assert raw_bytes_naming(store, PLANTED) == []
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


@pytest.mark.parametrize("user", ['q"uote', "comma, inside", "back\\slash", "ümläut", "a*b?[c]", "tab in"])
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
