"""kill −9 while a store is written: the old version or the new one, and nothing that was acknowledged is lost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.stores import DAY, START, add, events, rows, write

from gnnrec.store.export import leftovers
from gnnrec.store.table import Store
from gnnrec.store.verify import verify

HERE = Path(__file__).resolve().parent


def files(folder, count=8, each=400):
    """Return files of a day each, a tenth of each day's rows impossible."""
    bad = [f"u{k},,3,{START}" for k in range(each // 10)]
    return [
        write(folder / f"day{k}.csv", [*rows(each, k, START + k * DAY, users=60 + 40 * k), *bad]) for k in range(count)
    ]


def start(store, paths):
    path = os.pathsep.join([str(HERE.parent), str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, str(HERE / "ingest_all.py"), str(store), *map(str, paths)]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE, text=True)


def life(store, paths, after):
    """Ingest until killed `after` seconds past the first step; return the files that were acknowledged, and if it ended."""
    process = start(store, paths)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(after)
    process.send_signal(signal.SIGKILL)
    said = process.stdout.read().splitlines()
    ended = process.wait() == 0
    return [line.split()[0] for line in said if line], ended


@pytest.mark.parametrize("kills", [8, pytest.param(60, marks=pytest.mark.slow)])
def test_a_killed_ingest_leaves_the_old_version_or_the_new_one(tmp_path, kills):
    rng, paths, hits = random.Random(0), files(tmp_path), set()
    whole = Store(tmp_path / "whole")
    begin = time.perf_counter()
    for file in paths:
        add(whole, file)
    span = time.perf_counter() - begin
    for n in range(kills):
        folder = tmp_path / f"store{n}"
        acknowledged, _ = life(folder, paths, rng.uniform(0, span))
        store = Store(folder)
        held = [f.name for v in store.versions for f in v.files] if store.exists else []
        hits.add(len(held))
        assert held == [p.name for p in paths[: len(held)]]
        assert {Path(a).name for a in acknowledged} <= set(held)
        if store.exists:
            assert [p for _, p in verify(store) if p] == []
            assert events(store) == (events(whole, len(held) - 1) if held else {})
        for file in paths:  # goes on, and ends as if nothing had been
            add(store, file)
        assert [v.content for v in store.versions] == [v.content for v in whole.versions]
        assert all(p.suffix in {".jsonl", ".tmp"} for p in leftovers(store))
    assert len(hits) > 2, "the kills hit too few different moments to prove anything"
