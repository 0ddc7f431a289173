"""SIGTERM, SIGINT, SIGHUP: one line, the exit code shells expect, whole files, and a way to go on."""

from __future__ import annotations

import json
import os
import pty
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.forks import heeding
from support.stores import DAY, START, add, events, grown, rows, write
from test_cli import results
from test_sweep import states

from gnnrec.core import signals
from gnnrec.store.staging import StagedFiles
from gnnrec.store.table import Store
from gnnrec.store.verify import verify

RUN = [
    *("data=simulated", "data.users=200", "data.items=100", "data.events=4000", "stream.increments=4"),
    *("fit.max_epochs=8", "fit.patience=50", "fit.base.max_epochs=2", "logger=none", "threads=1", "figures=false"),
]
CALLS = {
    "run": ["run", *RUN, "strategy=fine_tune"],
    "compare": ["compare", *RUN, "strategies=[stale,fine_tune]"],
    "sweep": ["sweep", *RUN, "strategy=replay", "sweep=replay", "strategy.budget=600", "sweep.trials=3"],
}
REACHED = {"run": "increment 2", "compare": "fine_tune, seed 0: increment 2", "sweep": "trial 1 of 3"}
SIGNALS = [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)]
ROOT = Path(__file__).resolve().parents[2]
CHILD = """
import ctypes, hashlib, os, signal, sys, time
from gnnrec.core import signals
try:
    with signals.watched():
        try:
            print("ready", flush=True)
            {body}
        finally:
            print("ending", flush=True)
            {end}
except signals.Interrupted:
    sys.exit(3)
"""


@pytest.fixture(scope="module")
def whole(forks, tmp_path_factory):
    """Return what each call writes undisturbed, made when it is asked for."""
    made = {}

    def of(command):
        if command not in made:
            output = made[command] = tmp_path_factory.mktemp(command)
            assert forks.run(output / "words", [*CALLS[command], f"output={output}"])[0] == 0
        return made[command]

    return of


def ended_by(forks, tmp_path, command, number):
    """Start a command, send it a signal once it is halfway, and return its exit code and the lines it wrote from then on."""
    words = tmp_path / "words"
    pid = forks.start(words, [*CALLS[command], f"output={tmp_path}"])
    forks.once(pid, lambda: REACHED[command] in (words / "err").read_text())
    os.kill(pid, number)
    code = forks.wait(pid)
    err = (words / "err").read_text()
    assert "Traceback" not in err
    return code, [line for line in err.splitlines() if line.startswith("gnnrec: ")]


def standing(output, row="fine_tune"):
    (path,) = output.glob(f"{row}-*/status.json")
    return json.loads(path.read_text())["status"]


@pytest.mark.parametrize(("command", "number", "code"), [("run", *s) for s in SIGNALS] + [("compare", *SIGNALS[0])])
def test_a_signal_ends_a_run_in_one_line_and_it_goes_on_to_the_same_results(
    command, number, code, forks, whole, tmp_path
):
    found, lines = ended_by(forks, tmp_path, command, number)
    assert found == code
    (line,) = lines
    assert f"{command} was interrupted by {number.name} in fine_tune, seed 0; resume=true goes on" in line
    assert standing(tmp_path) == "interrupted"
    again, said = forks.run(tmp_path / "words", [*CALLS[command], f"output={tmp_path}", "resume=true"])
    assert again == 0
    assert any("begun earlier and interrupted; going on from its newest state" in s for s in said)
    assert not any("fine_tune, seed 0: increment 1," in s for s in said)
    folder = "fine_tune-*" if command == "run" else "."
    (one,), (other,) = (
        list(output.glob(folder)) if command == "run" else [output] for output in (tmp_path, whole(command))
    )
    assert results(one).equals(results(other))


def test_a_signal_ends_a_sweep_that_the_same_command_goes_on_with(forks, tmp_path):
    code, (line,) = ended_by(forks, tmp_path, "sweep", signal.SIGTERM)
    assert code == 143
    assert "sweep was interrupted by SIGTERM; the same command goes on" in line
    assert states(tmp_path)[0] == "COMPLETE"
    assert forks.run(tmp_path / "words", [*CALLS["sweep"], f"output={tmp_path}"])[0] == 0
    assert states(tmp_path).count("COMPLETE") == 3


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_signal_to_an_ingest_leaves_the_old_version_or_the_new_one(number, code, forks, tmp_path):
    rng, hits = random.Random(int(number)), set()
    days = [write(tmp_path / f"day{k}.csv", rows(3000, k, START + k * DAY, users=300, items=90)) for k in range(3)]
    command = ["--each", *days]
    forks.run(tmp_path / "words", ["data", "ingest", tmp_path / "whole", *command])
    expected = Store(tmp_path / "whole")
    for n in range(2):
        store = Store(tmp_path / f"store{n}")
        pid = forks.start(tmp_path / "words", ["data", "ingest", store.path, *command])
        forks.once(pid, (store.path / "_gnnrec" / "lock").exists)
        time.sleep(rng.uniform(0, 0.6))
        os.kill(pid, number)
        assert forks.wait(pid) in (0, code)
        err = (tmp_path / "words" / "err").read_text()
        assert "Traceback" not in err
        assert len(err.splitlines()) <= 1
        hits.add(len(err.splitlines()))
        held = len(store.versions) if store.exists else 0
        assert not held or (events(store), [p for _, p in verify(store) if p]) == (events(expected, held - 1), [])
        assert forks.run(tmp_path / "words", ["data", "ingest", store.path, *command])[0] == 0
        assert [v.content for v in Store(store.path).versions] == [v.content for v in expected.versions]
    assert 1 in hits, "no signal came in time"


def test_a_signal_between_a_commit_and_the_word_of_it_leaves_the_new_version(tmp_path, monkeypatch):
    store = grown(tmp_path, versions=1)

    def interrupted(self):
        raise signals.Interrupted

    with monkeypatch.context() as patched:
        patched.setattr(StagedFiles, "committed", interrupted)
        with pytest.raises(signals.Interrupted):
            add(store, write(tmp_path / "b.csv", rows(20, 1, START + DAY)))
    again = Store(store.path)
    assert again.head == 1
    assert [p for _, p in verify(again) if p] == []
    assert all(f.exists() for f in again.files())


def child(body, end="pass", before=()):
    """Start a process of the standard library and `gnnrec.core.signals`; return it once it is ready."""
    code = CHILD.format(body=body, end=end)
    with heeding():
        process = subprocess.Popen(
            [*before, sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
    assert process.stdout.readline() == "ready\n"
    return process


def rest(process):
    """Return what it still writes until it ends."""
    with process.stdout as words:
        said = words.read()
    process.wait(timeout=30)
    return said


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_second_signal_ends_at_once(number, code):
    process = child("time.sleep(60)", "time.sleep(60)")
    process.send_signal(number)
    assert process.stdout.readline() == "ending\n"
    time.sleep(2 * signals.TOGETHER)
    begin = time.monotonic()
    process.send_signal(number)
    assert process.wait(timeout=30) == code
    assert time.monotonic() - begin < 2
    process.stdout.close()


def test_a_second_signal_ends_at_once_in_the_depths_of_a_library():
    process = child("hashlib.pbkdf2_hmac('sha256', b'word', b'salt', 10**9)")
    for _ in range(2):
        time.sleep(2 * signals.TOGETHER)
        process.send_signal(signal.SIGINT)
    assert process.wait(timeout=5) == 130
    process.stdout.close()


def test_a_signal_that_comes_twice_at_once_is_one():
    process = child("time.sleep(60)", "time.sleep(0.5); print('whole')", before=["timeout", "-s", "TERM", "1"])
    assert rest(process) == "ending\nwhole\n"


def test_what_is_ignored_from_the_start_stays_ignored():
    process = child("os.kill(os.getpid(), signal.SIGHUP); print('alive')", before=["nohup"])
    assert rest(process) == "alive\nending\n"
    assert process.returncode == 0


def test_a_closed_terminal_ends_a_run_that_can_go_on(forks, tmp_path):
    command = [sys.executable, "-m", "gnnrec", *CALLS["run"], f"output={tmp_path}"]
    with heeding():
        pid, terminal = pty.fork()
        if not pid:
            os.execve(command[0], command, {**os.environ, "PYTHONPATH": str(ROOT)})
    forks.once(pid, lambda: list(tmp_path.glob("fine_tune-*/state/*[1-9]")))
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 129
    assert standing(tmp_path) == "interrupted"
