"""Memory and open files that do not suffice: one line, other runs go on, nothing is lost."""

from __future__ import annotations

import errno
import json
import os
import signal
import weakref

import numpy as np
import pytest
import torch
from support.stores import DAY, START, events, grown, rows, write
from test_cli import TINY, refused, results
from test_signals import CALLS, standing
from test_sweep import states

from gnnrec.core import resources
from gnnrec.runs import state
from gnnrec.store.table import Store
from gnnrec.store.verify import verify

ALLOWED = 3000
"""MiB on top of what there is at the start: enough for a small run with its libraries."""
GREEDY = {
    "strategy/greedy.yaml": "_target_: support.greedy.Greedy\nmib: 1\n",
    "sweep/greedy.yaml": "trials: 4\nmetric: ndcg@20\nspace:\n  strategy.mib: {choices: [1, 8192]}\n",
}
"""A configuration of one's own, with a strategy that needs what it is told."""


@pytest.fixture
def own(tmp_path):
    """Return arguments that make `GREEDY` known."""
    for name, text in GREEDY.items():
        (tmp_path / "own" / name).parent.mkdir(parents=True)
        (tmp_path / "own" / name).write_text(text)
    return ["--config-dir", tmp_path / "own", *TINY, "stream.increments=4", "plugins.allow=[support.]"]


def test_a_run_that_memory_does_not_suffice_for_is_said_and_the_others_go_on(own, forks, tmp_path):
    rows = "strategies=[{greedy:{mib:8192}},{greedy:{mib:1}},stale]"
    code, said = forks.run(tmp_path / "words", ["compare", *own, rows, f"output={tmp_path}"], memory=ALLOWED)
    assert code == 1, said
    (line,) = [s for s in said if s.startswith("gnnrec: ")]
    assert "greedy[mib=8192], seed 0: memory did not suffice (8589934592 bytes more were asked for); lower" in line
    assert "fit.batch_size, evaluation.block" in line
    assert not any("Traceback" in s for s in said)
    found = {path.parent.name.split("-seed")[0]: path for path in tmp_path.glob("*-seed*/status.json")}
    assert {row: json.loads(path.read_text())["status"] for row, path in found.items()} == {
        "greedy[mib=8192]": "failed: oom",
        "greedy[mib=1]": "done",
        "stale": "done",
    }


def test_a_trial_that_memory_does_not_suffice_for_fails_and_the_sweep_goes_on(own, forks, tmp_path):
    command = ["sweep", *own, "strategy=greedy", "sweep=greedy", f"output={tmp_path}"]
    code, said = forks.run(tmp_path / "words", command, memory=ALLOWED)
    assert code == 0, said
    found = states(tmp_path, "greedy")
    assert sorted(found)[:2] == ["COMPLETE", "FAIL"], "each of the two points once"
    assert any("strategy.mib=8192: memory did not suffice" in s for s in said)


def test_an_ingest_that_memory_does_not_suffice_for_leaves_the_store_as_it_was(forks, tmp_path):
    store = grown(tmp_path, versions=1)
    before = events(store)
    file = write(tmp_path / "b.csv", rows(200_000, 1, START + DAY, users=9000))
    ends = []
    for allowed in (16, 64, 128, 256, ALLOWED):
        code, said = forks.run(tmp_path / "words", ["data", "ingest", store.path, file], memory=allowed)
        ends.append(code)
        again = Store(store.path)
        assert code == 0 or (again.head, events(again)) == (0, before)
        assert [p for _, p in verify(again) if p] == []
        assert not any("Traceback" in s for s in said), said
        assert code != 2 or said[-1].startswith("gnnrec: data ingest: memory did not suffice"), said
    assert ends[-1] == 0
    assert set(ends) <= {0, 2, -signal.SIGABRT}, "what is written in Rust may end the process itself"


def test_an_ingest_says_that_memory_did_not_suffice(tmp_path, monkeypatch, capsys):
    def greedy(*_):
        return np.ones(1 << 62, np.int8)

    file = write(tmp_path / "a.csv", [*rows(20), f"u1,,3,{START}"])
    monkeypatch.setattr("gnnrec.store.ingest.write_hashed", greedy)
    line = refused(capsys, "data", "ingest", str(tmp_path / "store"), str(file))
    assert line.startswith("gnnrec: data ingest: memory did not suffice (4.00 EiB more were asked for); give fewer")
    assert not Store(tmp_path / "store").exists


def test_a_run_that_was_killed_is_found_said_and_gone_on_with(forks, tmp_path):
    words, command = tmp_path / "words", [*CALLS["run"], f"output={tmp_path}"]
    pid = forks.start(words, command)
    forks.once(pid, lambda: "increment 2" in (words / "err").read_text())
    os.kill(pid, signal.SIGKILL)
    assert forks.wait(pid) == -signal.SIGKILL
    assert standing(tmp_path) == "running"
    code, said = forks.run(words, [*command, "resume=true"])
    assert code == 0
    (line,) = [s for s in said if "begun earlier" in s]
    assert "killed, perhaps for want of memory (lower fit.batch_size" in line
    assert "going on from its newest state" in line
    assert not any("fine_tune, seed 0: increment 1," in s for s in said)
    assert standing(tmp_path) == "done"


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(12, "Cannot allocate memory"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: not enough memory: you tried to allocate 8 bytes."
        ),
    ],
)
def test_what_the_block_held_is_let_go(error):
    found = []

    def hold():
        held = np.zeros(1000)
        found.append(weakref.ref(held))
        raise error

    with pytest.raises(resources.MemoryShortError, match="a run: memory did not suffice"), resources.told("a run"):
        hold()
    assert found[0]() is None


def test_another_error_stays_what_it_is():
    with pytest.raises(RuntimeError, match="shapes"), resources.told("a run"):
        raise RuntimeError("shapes differ")


@pytest.mark.parametrize("command", ["run", "sweep", "ingest"])
def test_too_few_files_are_refused_and_nothing_is_changed(command, forks, tmp_path):
    output, file = tmp_path / "output", write(tmp_path / "a.csv", rows(40))
    call = ["data", "ingest", output, file] if command == "ingest" else [*CALLS[command], f"output={output}"]
    code, said = forks.run(tmp_path / "words", call, files=32)
    assert code == 2
    (line,) = said
    assert "too many open files: this process may have 32 at once; allow it more (`ulimit -n 1024`)" in line
    assert not output.exists()


def test_an_ingest_that_may_open_no_more_files_leaves_the_old_version_or_the_new_one(forks, tmp_path):
    file, ends = write(tmp_path / "b.csv", [*rows(40, 1, START + DAY), f"u1,,3,{START}"]), set()
    for count in range(70, 600, 50):
        folder = tmp_path / str(count)
        folder.mkdir()
        store = grown(folder, versions=1)
        before = events(store)
        code, said = forks.run(tmp_path / "words", ["data", "ingest", store.path, file], opens=count)
        ends.add(code)
        again = Store(store.path)
        assert code in (0, 2), said
        assert code == 0 or (len(said), said[-1].count("too many open files")) == (1, 1), said
        assert again.head in (0, 1) if code else again.head == 1
        assert again.head or events(again) == before
        assert [p for _, p in verify(again) if p] == []
        assert forks.run(tmp_path / "words", ["data", "ingest", store.path, file])[0] == 0
        if code == 0:
            break
    assert ends == {0, 2}


def test_a_run_that_may_open_no_more_files_goes_on_later(forks, tmp_path):
    whole = tmp_path / "whole"
    assert forks.run(tmp_path / "words", [*CALLS["run"], f"output={whole}"])[0] == 0
    (expected,) = whole.glob("fine_tune-*")
    for count in (70, 200, 320, 400):
        output = tmp_path / str(count)
        code, said = forks.run(tmp_path / "words", [*CALLS["run"], f"output={output}"], opens=count)
        assert code == 2, said
        assert "too many open files" in said[-1], said
        assert not any("Traceback" in s for s in said)
    assert forks.run(tmp_path / "words", [*CALLS["run"], f"output={output}", "resume=true"])[0] == 0
    (found,) = output.glob("fine_tune-*")
    assert results(found).equals(results(expected))
    assert json.loads((found / "status.json").read_text())["status"] == "done"


def test_a_state_that_cannot_be_opened_is_not_taken_for_a_damaged_one(tmp_path, monkeypatch):
    (tmp_path / "000001").mkdir()

    def many(path):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(path))

    monkeypatch.setattr(state, "_read", many)
    with pytest.raises(OSError, match="Too many open files"):
        state.load_newest(tmp_path)
