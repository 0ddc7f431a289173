"""Who may write where: starts at one moment, and file systems that lack locks, renames or links."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest
from support.stores import grown, rows, write
from test_cli import TINY, refused
from test_sweep import call, states

from gnnrec.cli.main import main

STARTS = 4


def test_of_sweeps_started_at_one_moment_one_runs_and_the_others_are_refused(forks, tmp_path):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    pids = [forks.start(tmp_path / str(n), call(tmp_path / "out", 2), gate=str(gate)) for n in range(STARTS)]
    with gate.open("w"):  # opens once there is a reader, and lets all of them go
        codes = [forks.wait(pid) for pid in pids]
    said = [(tmp_path / str(n) / "err").read_text() for n in range(STARTS)]
    assert sorted(codes) == [0] + [2] * (STARTS - 1), said
    for code, text in zip(codes, said, strict=True):
        if code:
            assert text.count("gnnrec: ") == 1
            assert f"{tmp_path}/out/sweep-replay is in use by another process" in text
    assert states(tmp_path / "out") == ["COMPLETE", "COMPLETE"]


def failing(number, call=None):
    def fails(*given):
        if call is not None and given[1:] == (fcntl.LOCK_UN,):
            return call(*given)
        raise OSError(number, os.strerror(number))

    return fails


def unable(capsys, tmp_path, *arguments):
    """Return the line that an ingest or a run is refused with, which has written nothing but locks."""
    line = refused(capsys, *arguments)
    assert {p.name for p in (tmp_path / "out").rglob("*") if p.is_file()} <= {"lock", ".lock"}
    return line


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_without_locks_is_refused(number, tmp_path, monkeypatch, capsys):
    file = write(tmp_path / "a.csv", rows(20))
    monkeypatch.setattr(fcntl, "flock", failing(number, fcntl.flock))
    for call_ in (["data", "ingest", str(tmp_path / "out"), str(file)], ["run", *TINY, f"output={tmp_path}/out"]):
        line = unable(capsys, tmp_path, *call_)
        assert f"lies on a file system without locks ({os.strerror(number)})" in line
        assert "choose a folder on a local disk" in line


@pytest.mark.parametrize(
    ("number", "name"), [(errno.EPERM, "link"), (errno.EOPNOTSUPP, "link"), (errno.ENOSYS, "replace")]
)
def test_a_file_system_that_cannot_commit_is_refused_before_anything_is_read(
    number, name, tmp_path, monkeypatch, capsys
):
    file = write(tmp_path / "a.csv", rows(20))
    with monkeypatch.context() as patched:
        patched.setattr(os, name, failing(number))
        line = unable(capsys, tmp_path, "data", "ingest", str(tmp_path / "out"), str(file))
        assert f"without {'hard links' if name == 'link' else 'renames'} ({os.strerror(number)})" in line
    assert main(["data", "ingest", str(tmp_path / "out"), str(file)]) == 0


def test_a_run_needs_no_links_but_renames(tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", failing(errno.ENOSYS))
        assert "without renames" in unable(capsys, tmp_path, "run", *TINY, "strategy=stale", f"output={tmp_path}/out")
    monkeypatch.setattr(os, "link", failing(errno.EPERM))
    assert main(["run", *TINY, "strategy=stale", f"output={tmp_path}/out"]) == 0


def test_what_is_tried_leaves_nothing(tmp_path):
    store = grown(tmp_path, versions=1)
    with store.writing():
        assert [p.name for p in Path(store.path / "_gnnrec").iterdir() if p.suffix == ".tmp"] == []


def test_rows_that_differ_in_case_alone_do_not_share_a_folder_unless_they_are_one_run(tmp_path):
    from gnnrec.config.compose import compose
    from gnnrec.runs import build
    from gnnrec.runs.job import Job

    config = compose([*TINY, "strategy=replay", f"output={tmp_path}"])
    other = compose([*TINY, "strategy=replay", "strategy.budget=7", f"output={tmp_path}"])
    _, stream = build.load(config)
    names = [Job(row, c).folder(stream).name for row in ("replay", "Replay") for c in (config, other)]
    assert len({n.casefold() for n in names}) == 2
    assert names[0].casefold() == names[2].casefold()
