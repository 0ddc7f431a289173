"""States on disk: whole or not there, checked when read, the newest good one found; records are written once."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import polars as pl
import pytest
import torch

from gnnrec.core import files
from gnnrec.core.errors import GnnrecError
from gnnrec.runs import state
from gnnrec.runs.state import State, join, load_newest, nbytes, save, split
from gnnrec.strategies.base import Strategy
from gnnrec.testing.worlds import Game, simulated

EVERY = {"seen": torch.tensor(3), "mask": torch.tensor([True, False]), "rates": [0.1, None, "x"], "best": {"a": 1e-300}}


def made(index, fill=1.0):
    weights = {"encoder.user.weight": torch.full((3, 2), fill + index), "objective.mean": torch.tensor(2.5)}
    tables = {"results": pl.DataFrame({"value": [0.1, fill], "n": [1, index]})}
    kept = {"seen": torch.tensor(index), "order": ["b", index]}
    return State(index, weights, kept, {"absorbed": index, "blend": {"alpha": 1.0}}, tables)


def begun(folder, *, until=1, keep=2):
    """Save states 0 to `until`, as a run does."""
    for index in range(until + 1):
        save(folder, made(index), keep)
    return folder


def same(a, b):
    """Whether `b` is the state `a` read back, with the records of all before it."""
    equal = set(a.weights) == set(b.weights) and all(torch.equal(a.weights[n], b.weights[n]) for n in a.weights)
    kept = all(b.meta[k] == v for k, v in a.meta.items()) and a.strategy["order"] == b.strategy["order"]
    return equal and kept and a.index == b.index and b.tables["results"]["n"].to_list()[-1] == a.index


def numbered(folder):
    return sorted(p.name for p in folder.iterdir() if p.name.isdigit())


def test_a_state_makes_a_round_trip(tmp_path):
    found = load_newest(begun(tmp_path, until=7))
    assert same(made(7), found)
    assert torch.equal(found.strategy["seen"], torch.tensor(7))


def test_what_was_measured_comes_back_in_order(tmp_path):
    found = load_newest(begun(tmp_path, until=3))
    assert found.tables["results"].equals(pl.concat([made(t).tables["results"] for t in range(4)]))


def test_the_newest_two_are_kept_and_every_record(tmp_path):
    begun(tmp_path, until=4)
    assert numbered(tmp_path) == ["000003", "000004"]
    assert numbered(tmp_path / "records") == [f"{t:06d}" for t in range(5)]
    assert load_newest(tmp_path).index == 4


def test_order_is_by_number_and_not_by_age(tmp_path):
    begun(tmp_path, until=2, keep=0)
    save(tmp_path, made(1))
    assert load_newest(tmp_path).index == 2


def test_saving_an_index_again_replaces_it(tmp_path):
    begun(tmp_path), save(tmp_path, made(1, fill=5.0))
    found = load_newest(tmp_path)
    assert same(made(1, fill=5.0), found)
    assert found.tables["results"]["value"].to_list() == [0.1, 1.0, 0.1, 5.0]


def test_nothing_saved_is_none(tmp_path):
    assert load_newest(tmp_path) is None
    assert load_newest(tmp_path / "missing") is None


def weight(folder, index):
    paths = [p for top in (f"{index:06d}", f"records/{index:06d}") for p in (folder / top).iterdir()]
    return sum(p.stat().st_size for p in paths)


def test_a_state_is_as_large_after_many_increments_as_after_few(tmp_path):
    """What is written per increment follows the increment, not the increments before it."""
    Game(simulated(increments=12, events=1500)).play(Strategy(), tmp_path)
    sizes = {t: weight(tmp_path, t) for t in (11, 12)}
    records = [sum(p.stat().st_size for p in (tmp_path / "records" / f"{t:06d}").iterdir()) for t in range(1, 13)]
    assert max(records[5:]) < 1.3 * max(records[:5])
    assert sizes[12] < 1.1 * sizes[11]


FILES = ["weights.safetensors", "strategy.safetensors", "state.json", "SHA256SUMS"]


def spoil(path, damage):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    changes = {"flip": bytes(content), "truncate": bytes(content[: len(content) // 2]), "empty": b""}
    path.unlink() if damage == "remove" else path.write_bytes(changes[damage])


@pytest.mark.parametrize("name", [*FILES, "records"])
@pytest.mark.parametrize("damage", ["flip", "truncate", "remove", "empty"])
def test_a_damaged_newest_state_falls_back_to_the_one_before_and_says_so(tmp_path, caplog, name, damage):
    begun(tmp_path, until=2)
    part = tmp_path / "records" / "000002" / "results.parquet"
    spoil(part if name == "records" else tmp_path / "000002" / name, damage)
    with caplog.at_level(logging.WARNING):
        found = load_newest(tmp_path)
    assert same(made(1), found)
    assert "000002" in caplog.text
    assert "damaged" in caplog.text


@pytest.mark.parametrize("damage", ["flip", "remove"])
def test_a_run_whose_early_records_are_damaged_starts_again(tmp_path, caplog, damage):
    """A result that is lost cannot be measured again from a later state, so no such state is gone on from."""
    spoil(begun(tmp_path, until=5) / "records" / "000002" / "results.parquet", damage)
    with caplog.at_level(logging.WARNING):
        assert load_newest(tmp_path) is None
    assert "000002" in caplog.text


def test_all_damaged_is_none(tmp_path):
    (begun(tmp_path, until=0) / "000000" / "state.json").write_text("{}")
    assert load_newest(tmp_path) is None


@pytest.mark.parametrize(("number", "said"), [(1, "an older version of gnnrec"), (99, "a newer version of gnnrec")])
def test_a_state_of_another_version_is_refused_and_the_version_named(tmp_path, number, said):
    path = begun(tmp_path) / "000001"
    meta = json.loads((path / "state.json").read_text()) | {"format": number}
    files.write_folder(path, {**files.read_folder(path), "state.json": json.dumps(meta).encode()})
    with pytest.raises(GnnrecError, match=f"{said} \\(format {number}, this one has {state.FORMAT}\\)"):
        load_newest(tmp_path)


def test_stray_temporary_folders_are_removed_and_never_read(tmp_path):
    begun(tmp_path)
    strays = [tmp_path / ".000002.0badcafe.tmp", tmp_path / "records" / ".000002.0badcafe.tmp"]
    for stray in strays:
        stray.mkdir()
        (stray / "weights.safetensors").write_bytes(b"half")
    assert load_newest(tmp_path).index == 1
    assert not any(stray.exists() for stray in strays)


@pytest.mark.parametrize("step", range(17))
def test_a_crash_at_any_step_leaves_the_old_state_readable(tmp_path, monkeypatch, step):
    """Every file written, the syncs and the renames are steps; the crash comes instead of the n-th of them."""
    begun(tmp_path)
    left = [step]

    def crashing(real):
        def call(*args):
            if left[0] == 0:
                raise KeyboardInterrupt
            left[0] -= 1
            return real(*args)

        return call

    monkeypatch.setattr(files, "write_new", crashing(files.write_new))
    monkeypatch.setattr(files, "sync_folder", crashing(files.sync_folder))
    monkeypatch.setattr(Path, "rename", crashing(Path.rename))
    with pytest.raises(KeyboardInterrupt):
        save(tmp_path, made(2))
    monkeypatch.undo()
    assert numbered(tmp_path) == ["000000", "000001"]
    assert same(made(1), load_newest(tmp_path))
    save(tmp_path, made(2))
    assert same(made(2), load_newest(tmp_path))


def test_a_strategy_stores_tensors_and_values(tmp_path):
    save(tmp_path, State(0, {}, EVERY, {}, made(0).tables))
    found = load_newest(tmp_path).strategy
    assert set(found) == set(EVERY)
    assert torch.equal(found["mask"], EVERY["mask"])
    assert {n: found[n] for n in ("rates", "best")} == {n: EVERY[n] for n in ("rates", "best")}
    assert nbytes(EVERY) == 8 + 2 + len(json.dumps({n: EVERY[n] for n in ("rates", "best")}))
    assert set(join(*split(EVERY))) == set(EVERY)


def test_views_of_one_table_and_transposed_ones_are_stored(tmp_path):
    table = torch.arange(12.0).reshape(3, 4)
    shared = {"head": table[:2], "whole": table, "turned": table.T, "spread": table[:1].expand(5, 4)}
    save(tmp_path, State(0, {}, shared, {}, made(0).tables))
    found = load_newest(tmp_path).strategy
    assert all(torch.equal(found[n], x) for n, x in shared.items())


@pytest.mark.parametrize("value", [(1, 2), {1: 2}, {1, 2}, float("nan"), object(), torch.eye(2).to_sparse()])
def test_what_would_not_come_back_is_refused_by_name(tmp_path, value):
    with pytest.raises(GnnrecError, match="'odd'"):
        save(tmp_path, State(0, {}, {"odd": value}, {}, {}))


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
