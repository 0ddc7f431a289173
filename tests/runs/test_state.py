"""States on disk: whole or not there, checked when read, the newest good one found."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import polars as pl
import pytest
import torch

from gnnrec.core import files
from gnnrec.runs import state
from gnnrec.runs.state import State, load_newest, save


def made(index, fill=1.0):
    weights = {"encoder.user.weight": torch.full((3, 2), fill + index), "objective.mean": torch.tensor(2.5)}
    tables = {"results": pl.DataFrame({"value": [0.1, fill], "n": [1, index]})}
    return State(index, weights, {"seen": torch.tensor(index)}, {"absorbed": index, "blend": {"alpha": 1.0}}, tables)


def same(a, b):
    tensors = [(a.weights, b.weights), (a.strategy, b.strategy)]
    equal = all(set(x) == set(y) and all(torch.equal(x[n], y[n]) for n in x) for x, y in tensors)
    kept = all(b.meta[k] == v for k, v in a.meta.items())
    return equal and kept and a.index == b.index and all(a.tables[n].equals(b.tables[n]) for n in a.tables)


def numbered(folder):
    return sorted(p.name for p in folder.iterdir())


def test_a_state_makes_a_round_trip(tmp_path):
    save(tmp_path, made(7))
    found = load_newest(tmp_path)
    assert same(made(7), found)
    assert found.strategy["seen"].shape == ()


def test_the_newest_two_are_kept(tmp_path):
    for index in range(5):
        save(tmp_path, made(index), keep=2)
    assert numbered(tmp_path) == ["000003", "000004"]
    assert load_newest(tmp_path).index == 4


def test_order_is_by_number_and_not_by_age(tmp_path):
    for index in (10, 9):
        save(tmp_path, made(index))
    assert load_newest(tmp_path).index == 10


def test_saving_an_index_again_replaces_it(tmp_path):
    save(tmp_path, made(1, fill=1.0)), save(tmp_path, made(1, fill=5.0))
    assert same(made(1, fill=5.0), load_newest(tmp_path))
    assert numbered(tmp_path) == ["000001"]


def test_nothing_saved_is_none(tmp_path):
    assert load_newest(tmp_path) is None
    assert load_newest(tmp_path / "missing") is None


FILES = ["weights.safetensors", "strategy.safetensors", "state.json", "results.parquet", "SHA256SUMS"]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["flip", "truncate", "remove", "empty"])
def test_a_damaged_newest_state_falls_back_to_the_one_before_and_says_so(tmp_path, caplog, name, damage):
    save(tmp_path, made(1)), save(tmp_path, made(2))
    path = tmp_path / "000002" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    changes = {"flip": bytes(content), "truncate": bytes(content[: len(content) // 2]), "empty": b""}
    path.unlink() if damage == "remove" else path.write_bytes(changes[damage])
    with caplog.at_level(logging.WARNING):
        found = load_newest(tmp_path)
    assert same(made(1), found)
    assert "000002" in caplog.text
    assert "damaged" in caplog.text


def test_all_damaged_is_none(tmp_path):
    save(tmp_path, made(1))
    (tmp_path / "000001" / "state.json").write_text("{}")
    assert load_newest(tmp_path) is None


def test_another_format_is_not_read(tmp_path, caplog):
    save(tmp_path, made(1))
    path = tmp_path / "000001"
    meta = json.loads((path / "state.json").read_text()) | {"format": 99}
    content = json.dumps(meta).encode()
    sums = (path / "SHA256SUMS").read_text().splitlines()
    changed = [f"{files.sha256(content)}  state.json" if s.endswith("state.json") else s for s in sums]
    (path / "state.json").write_bytes(content), (path / "SHA256SUMS").write_text("\n".join(changed))
    with caplog.at_level(logging.WARNING):
        assert load_newest(tmp_path) is None
    assert "format 99" in caplog.text


def test_stray_temporary_folders_are_removed_and_never_read(tmp_path):
    save(tmp_path, made(1))
    stray = tmp_path / ".000002.0badcafe.tmp"
    stray.mkdir()
    (stray / "weights.safetensors").write_bytes(b"half")
    assert load_newest(tmp_path).index == 1
    assert numbered(tmp_path) == ["000001"]


@pytest.mark.parametrize("step", range(7))
def test_a_crash_at_any_step_leaves_the_old_state_readable(tmp_path, monkeypatch, step):
    """Every file written, the sync and the rename are steps; the crash comes instead of the n-th of them."""
    save(tmp_path, made(1))
    left = [step]

    def crashing(real):
        def call(*args):
            if left[0] == 0:
                raise KeyboardInterrupt
            left[0] -= 1
            return real(*args)

        return call

    monkeypatch.setattr(state, "write_durable", crashing(state.write_durable))
    monkeypatch.setattr(state, "sync_folder", crashing(state.sync_folder))
    monkeypatch.setattr(Path, "rename", crashing(Path.rename))
    with pytest.raises(KeyboardInterrupt):
        save(tmp_path, made(2))
    monkeypatch.undo()
    assert [n for n in numbered(tmp_path) if n.isdigit()] == ["000001"]
    assert same(made(1), load_newest(tmp_path))
    save(tmp_path, made(2))
    assert same(made(2), load_newest(tmp_path))


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "deep" / "file.txt"
    files.write_atomic(path, "old")
    assert path.read_text() == "old"

    def crash(*_):
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", crash)
    with pytest.raises(OSError, match="disk full"):
        files.write_atomic(path, "new")
    assert [p.name for p in path.parent.iterdir()] == ["file.txt"]
    assert path.read_text() == "old"
