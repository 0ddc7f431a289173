"""A signal, a second process, a full disk: one line, what serves stays, and the next update ends with the same bytes."""

from __future__ import annotations

import errno
import os
import random
import signal
import time

import pytest
from support.live_runs import LENIENT, end, grow, made, own, pointed, tasteful, updated
from support.stores import DAY, START, write

from gnnrec.live.journal import WAITS, Entry, Journal

SIGNALS = [(signal.SIGTERM, 143), (signal.SIGINT, 130)]
EACH = 400
"""Rows a day: fewer leave too few users to judge by."""
FOLLOW = ["--settle", "0.1", *LENIENT]


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    folder = tmp_path_factory.mktemp("live")
    made(folder, "replay", more=["strategy.budget=50"])
    return folder


@pytest.fixture(scope="module")
def whole(begun, forks, tmp_path_factory):
    """Return how the run stands after an update that nothing disturbed, and the seconds that it took."""
    store, run = own(begun, tmp_path_factory.mktemp("whole") / "own")
    grow(store, 3, EACH)
    forks.run(run / "words", ["--version"])
    begin = time.perf_counter()
    code, lines = forks.run(run / "words", ["update", store.path, run, *LENIENT])
    assert code == 0, lines
    assert pointed(run) == 1
    return end(run), time.perf_counter() - begin


def said(words):
    """Return what a command has printed so far."""
    path = words / "out"
    return path.read_text() if path.is_file() else ""


def interrupted(forks, pid, words, number, code):
    """Send a signal and return the one line that came of it; None where it came too late."""
    os.kill(pid, number)
    assert forks.wait(pid) in (0, code)
    err = (words / "err").read_text()
    assert "Traceback" not in err
    lines = [line for line in err.splitlines() if line.startswith("gnnrec: ")]
    assert len(lines) <= 1
    return lines[0] if lines else None


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_signal_to_an_update_leaves_what_served_and_the_next_ends_with_the_same_bytes(
    number, code, begun, whole, forks, tmp_path
):
    rng, hits = random.Random(int(number)), 0
    for n in range(2):
        store, run = own(begun, tmp_path / str(n))
        grow(store, 3, EACH)
        command, words = ["update", store.path, run, *LENIENT], tmp_path / "words"
        pid = forks.start(words, command)
        forks.once(pid, (run / ".lock.holder").exists)
        time.sleep(rng.uniform(0.2, 0.8) * whole[1])
        line = interrupted(forks, pid, words, number, code)
        if line is not None:
            assert f"update was interrupted by {number.name}; what served serves; the same command goes on" in line
            assert pointed(run) in (0, 1)
            hits += 1
        assert forks.run(words, command)[0] == 0
        assert end(run) == whole[0]
    assert hits, "no signal came in time"


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_signal_to_one_that_follows_loses_nothing(number, code, begun, whole, forks, tmp_path):
    rng, hits, words = random.Random(10 + int(number)), 0, tmp_path / "words"
    for n in range(2):
        store, run = own(begun, tmp_path / str(n))
        inbox = tmp_path / f"inbox{n}"
        inbox.mkdir()
        command = ["update", store.path, run, "--follow", inbox, *FOLLOW]
        pid = forks.start(words, command)
        forks.once(pid, lambda: "nothing new" in said(words))
        write(inbox / "day3.csv", tasteful(EACH, 3, START + 3 * DAY, 49))
        if n:
            forks.once(pid, lambda: "version 3: read" in said(words))
        time.sleep(rng.uniform(0.1, 0.6) * whole[1])
        hits += interrupted(forks, pid, words, number, code) is not None
        code_now, lines = forks.run(words, [*command, "--idle", "0.5"])
        assert code_now == 0, lines
        assert end(run) == whole[0]
    assert hits, "no signal came in time"


def test_whoever_comes_while_one_follows_is_refused_by_name_and_may_look(begun, forks, tmp_path):
    store, run = own(begun, tmp_path / "own")
    grow(store, 3, EACH)
    inbox, words = tmp_path / "inbox", tmp_path / "words"
    inbox.mkdir()
    pid = forks.start(words, ["update", store.path, run, "--follow", inbox, *FOLLOW])
    forks.once(pid, lambda: "accepted" in said(words))
    for command in (["update", store.path, run], ["rollback", run, "--to", "0"]):
        code, (line,) = forks.run(tmp_path / "other", command)
        assert code == 2
        assert f"{run} is in use by another process ({pid} on " in line
    assert forks.run(tmp_path / "other", ["status", run, "--store", store.path])[0] == 0
    assert "champion 1 serves" in (tmp_path / "other" / "out").read_text()
    assert "interrupted by SIGTERM" in interrupted(forks, pid, words, signal.SIGTERM, 143)
    assert forks.run(tmp_path / "other", ["rollback", run, "--to", "0"])[0] == 0


@pytest.mark.parametrize("where", ["state", "journal"])
def test_a_full_disk_leaves_what_served_and_no_half_of_anything(where, begun, whole, forks, tmp_path):
    store, run = own(begun, tmp_path / "own")
    grow(store, 3, EACH)
    journal, limit = Journal(run / "live"), 2000
    if where == "journal":  # longer than any file of a state, and with no room for a line
        largest = max(len(x) for x in whole[0][2].values())
        journal.append(Entry(WAITS, 0, 0, reason="x" * (2 * largest)))
        limit = journal.path.stat().st_size + 50
    before = journal.path.read_bytes() if journal.path.is_file() else None
    command = ["update", store.path, run, *LENIENT]
    code, lines = forks.run(tmp_path / "words", command, size=limit)
    assert code == 2, lines
    (line,) = [s for s in lines if s.startswith("gnnrec: ")]
    assert "File too large: " in line
    assert "once the disk takes files again: what served serves" in line
    assert (journal.path.read_bytes() if journal.path.is_file() else None) == before
    assert not list((run / "live" / "states").glob(".*.tmp"))
    assert pointed(run) == 0
    assert forks.run(tmp_path / "words", command)[0] == 0
    assert end(run)[2] == whole[0][2]


def test_a_disk_that_does_not_confirm_leaves_the_old_or_the_new_champion(begun, tmp_path, monkeypatch):
    """The first call of fsync fails, or one of the last: of state, decision, pointer and score, and of their folders."""
    real, seen, expected = os.fsync, 0, None
    for behind in (None, 11, 6, 5, 4, 3, 2, 1, 0):
        failing = 0 if behind is None else seen - behind
        store, run = own(begun, tmp_path / str(failing))
        grow(store, 3, EACH)
        calls = 0

        def once(handle, failing=failing):
            nonlocal calls
            calls += 1
            if calls == failing:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return real(handle)

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", once)
            if behind is None:
                expected = updated(store, run)[0].model
                seen = calls
                continue
            with pytest.raises(OSError, match=r"Input/output error: '.*live") as error:
                updated(store, run)
        assert error.value.errno == errno.EIO
        assert pointed(run) in (0, 1)
        assert updated(store, run)[1].number == 1
        assert Journal(run / "live").entries()[-1].model == expected
    assert seen == 12
