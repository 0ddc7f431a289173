"""kill −9 at random moments of `gnnrec update`: the old champion serves or the new one, and the end is the same to the byte."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest
from support.forks import Forks
from support.live_runs import LENIENT, grow, made

from gnnrec.store.table import Store

VERSIONS = (3, 4)
VARYING = ("at", "seconds")


def place(origin: Path, folder: Path) -> tuple[Store, Path]:
    shutil.copytree(origin, folder)
    (run,) = (p for p in (folder / "runs").iterdir() if p.name.startswith("replay"))
    return Store(folder / "store"), run


def champion(run: Path) -> int:
    path = run / "live" / "champion.json"
    return json.loads(path.read_text())["champion"] if path.is_file() else 0


def steady(entry: object) -> object:
    """Return a decision without what differs between two equal ones."""
    if isinstance(entry, dict):
        return {k: steady(v) for k, v in entry.items() if k not in VARYING}
    return [steady(v) for v in entry] if isinstance(entry, list) else entry


def end(run: Path) -> tuple[object, ...]:
    lines = (run / "live" / "decisions.jsonl").read_text().splitlines()
    states = {p.name: p.read_bytes() for p in sorted((run / "live" / "states").glob("*/*.safetensors"))}
    return champion(run), [steady(json.loads(x)) for x in lines], states


@pytest.mark.parametrize(
    ("kills", "seed"), [(3, 0), pytest.param(100, 1, marks=[pytest.mark.slow, pytest.mark.timeout(3000)])]
)
def test_an_update_killed_at_random_moments_ends_with_the_same_bytes(tmp_path, kills, seed):
    made(tmp_path / "origin", "replay", more=["strategy.budget=50"])
    rng, hits, seen = random.Random(seed), 0, set()
    with Forks() as forks:
        forks.run(tmp_path / "log", ["--version"])  # its imports are no part of an update
        store, run = place(tmp_path / "origin", tmp_path / "whole")
        spans = []
        for number in VERSIONS:
            grow(store, number)
            begin = time.perf_counter()
            code, said = forks.run(tmp_path / "log", ["update", store.path, run, *LENIENT])
            assert code == 0, said
            spans.append(time.perf_counter() - begin)
        expected, torn = end(run), 0
        assert expected[0] >= 1, "no update made a champion"
        while hits < kills:
            store, run = place(tmp_path / "origin", tmp_path / f"torn{torn}")
            for number in VERSIONS:
                grow(store, number)
                before = champion(run)
                while True:
                    pid = forks.start(tmp_path / "log", ["update", store.path, run, *LENIENT])
                    if hits < kills:
                        time.sleep(rng.uniform(0.0, 1.2 * max(spans)))
                        os.kill(pid, signal.SIGKILL)
                    code = forks.wait(pid)
                    assert champion(run) in (before, before + 1)
                    if code == -signal.SIGKILL:
                        hits += 1
                        seen.add((number, champion(run) - before, len(list((run / "live").glob("*")))))
                        continue
                    assert code == 0, (tmp_path / "log" / "err").read_text()
                    break
            # One that was killed behind its decision finds nothing new; all else is as it would have been.
            assert end(run)[0] == expected[0]
            assert end(run)[1] == expected[1]
            assert end(run)[2] == expected[2]
            torn += 1
    assert len(seen) >= min(2, kills // 5), "the kills hit too few different moments to prove anything"
