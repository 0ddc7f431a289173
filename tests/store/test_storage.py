"""Storage under a store: full disks, order of writes, odd paths, other processes; and what must never be loaded."""

from __future__ import annotations

import errno
import itertools
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.stores import DAY, START, add, events, grown, rows, write

from gnnrec.cli.main import main
from gnnrec.core.errors import GnnrecError
from gnnrec.data.datasets import File
from gnnrec.quality.rules import RULES, rules_of
from gnnrec.store import erase, table
from gnnrec.store.table import Store
from gnnrec.store.verify import verify

ROOT = Path(__file__).resolve().parents[2]


def test_a_full_disk_leaves_the_store_as_it_was(tmp_path, monkeypatch, capsys):
    store = grown(tmp_path, versions=1)
    before = events(store)

    def full(folder, suffix, pieces):
        raise OSError(errno.ENOSPC, "No space left on device", str(folder))

    monkeypatch.setattr("gnnrec.store.ingest.write_hashed", full)
    file = write(tmp_path / "b.csv", [*rows(20, 1, START + DAY, users=90), "broken"])
    assert main(["data", "ingest", str(store.path), str(file)]) == 2
    assert "No space left" in capsys.readouterr().err
    monkeypatch.undo()
    assert (Store(store.path).head, events(Store(store.path))) == (0, before)
    assert add(Store(store.path), file).version.number == 1


def test_a_disk_that_does_not_confirm_a_commit_is_asked_once_and_the_version_not_acknowledged(
    tmp_path, monkeypatch, capsys
):
    store, asked = Store(tmp_path / "s"), []
    file = write(tmp_path / "a.csv", rows(20))

    def failing(path):
        asked.append(path)
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(table, "sync_file", failing)
        for count in (1, 2):  # nor is it by giving the file again
            assert main(["data", "ingest", str(store.path), str(file)]) == 2
            said = capsys.readouterr()
            assert "does not confirm it (Input/output error)" in said.err
            assert "version 0" not in said.out
            assert len(asked) == count
    assert main(["data", "ingest", str(store.path), str(file)]) == 0
    assert "version 0" in capsys.readouterr().out


def test_a_version_is_on_the_disk_before_it_is_acknowledged(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(table, "sync_file", lambda path: synced.append(Path(path)))
    monkeypatch.setattr(table, "sync_folder", lambda path: synced.append(Path(path)))
    store = grown(tmp_path, versions=1)
    entry = store.path / "_delta_log" / f"{0:020}.json"
    assert set(store.files()) | {entry, store.path, entry.parent} == set(synced)
    assert synced.index(store.files()[0]) < synced.index(entry), "data first, then the entry that names it"


@pytest.mark.parametrize("name", ["with blanks", "späti", "x" * 120, "data.parquet"])
def test_a_store_may_lie_at_an_odd_path(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    store = grown(folder, versions=2)
    assert [p for _, p in verify(store) if p] == []
    assert all(f.exists() for f in store.files())


@pytest.mark.parametrize(
    "environment", [{"PYTHONHASHSEED": "1"}, {"TZ": "Asia/Tokyo"}, {"LC_ALL": "C"}, {"LC_ALL": "tr_TR"}]
)
def test_a_version_hashes_alike_in_any_process(tmp_path, environment):
    file = write(tmp_path / "a.csv", [f"İ{k},ı{k},{1 + k % 5},2011-03-0{1 + k % 9} 10:00" for k in range(30)])
    add(Store(tmp_path / "here"), file)
    command = [sys.executable, "-m", "gnnrec", "data", "ingest", str(tmp_path / "there"), str(file)]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    subprocess.run(command, env={**os.environ, **environment, "PYTHONPATH": path}, check=True, capture_output=True)
    one, other = (Store(tmp_path / name).versions[0] for name in ("here", "there"))
    assert one.content == other.content


@pytest.mark.parametrize("sign", ["%", "#", "?", "[", "]", "\\", "^", "|", "\n", "\t", "\x7f", "\udcff"])
def test_a_path_that_delta_would_read_otherwise_is_refused(tmp_path, sign):
    with pytest.raises(GnnrecError, match=f"{re.escape(repr(sign))} in the path"):
        Store(tmp_path / f"a{sign}20b")


def test_any_other_character_may_be_in_the_path(tmp_path):
    store = Store(tmp_path / "a b*ä'&{b}+~@=,;!$()<>`:\u3000\u200d")
    for k in range(2):
        add(store, write(tmp_path / f"day{k}.csv", rows(30, k, START + k * DAY)))
    assert [p for _, p in verify(store) if p] == []
    user = next(iter(events(store)))[0]
    assert erase.erase(store, user).exists()
    assert erase.found_in(store, user) == []


@pytest.mark.parametrize(
    "action", [["gc"], ["forget", "--user", "u1"], ["forget", "--user", "u1", "--yes"], ["verify"]]
)
def test_a_folder_that_is_no_store_is_left_as_it_is(tmp_path, capsys, action):
    (tmp_path / "mine.parquet").write_bytes(b"PAR1")
    assert main(["data", action[0], str(tmp_path), *action[1:]]) != 0
    assert "is no store" in "".join(capsys.readouterr())
    assert [p.name for p in tmp_path.iterdir()] == ["mine.parquet"]


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return (Path.touch, (self.canary,))


@pytest.mark.parametrize("name", ["a.csv", "a.pkl", "a.pt", "a.npy", "a.parquet", "a.jsonl", "a.joblib", "a.ckpt"])
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_nothing_is_unpickled(tmp_path, name, protocol):
    path, canary = tmp_path / name, tmp_path / "canary"
    path.write_bytes(pickle.dumps(Trap(canary), protocol))
    with pytest.raises(GnnrecError):
        File(path=str(path)).load()
    assert not canary.exists()


def test_no_code_unpickles():
    found = {}
    for path in (ROOT / "gnnrec").rglob("*.py"):
        hits = re.findall(
            r"\bpickle\b|torch\.load\(|np\.load\(|joblib|load_from_checkpoint|yaml\.(?:unsafe_)?load\(",
            path.read_text(),
        )
        if hits:
            found[path.name] = hits
    # Names of what is not opened: copies of an encoder without its edges, and what a file may be.
    assert found.keys() <= {"pyg.py", "foreign.py"}
    assert {hit for hits in found.values() for hit in hits} <= {"pickle"}


def test_a_bomb_in_the_rules_is_refused(tmp_path):
    path, names = tmp_path / "rules.yaml", "abcdefghij"
    bomb = [f"{names[0]}: &{names[0]} [x, x, x, x, x, x, x, x, x]"]
    bomb += [f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in itertools.pairwise(names)]
    sound = RULES.read_text()
    for text, why in (
        ("\n".join([sound, *bomb]), "without aliases"),
        (sound + "#" * 300_000, "at most"),
        ("rules: !!python/object/apply:os.system ['touch x']", "cannot be read"),
        ("rules: [[" * 5000, "cannot be read"),
    ):
        path.write_text(text)
        with pytest.raises(GnnrecError, match=why):
            rules_of(path)
    path.write_text(sound)
    assert rules_of(path)["rules"]


@pytest.mark.parametrize("name", ["../../escaped", "/escaped", "~/escaped", "a/b", "\u202eevil"])
def test_a_name_cannot_leave_its_folder(tmp_path, name):
    inside = tmp_path / "inside"
    inside.mkdir()
    store = Store(inside / "store")
    add(store, write(inside / "a.csv", [f"{name},{name},3,{START}", f"{name},,3,{START}"]))
    assert {p.name for p in tmp_path.iterdir()} == {"inside"}
    assert {p.name for p in inside.iterdir()} == {"store", "a.csv"}
    assert not any("escaped" in str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*"))
