"""Runs as tasks of a local Ray: the table is that of a serial comparison, and a worker that is lost is taken up again."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from test_cli import TINY, refused, results, runs

from gnnrec.cli.main import main
from gnnrec.launching import on_ray
from gnnrec.launching.tasks import launches

pytest.importorskip("ray", reason="launcher=ray needs Ray: pip install 'gnnrec[ray]'")
LONG = [
    *(*TINY, "strategies=[fine_tune]", "seeds=[0,1]", "data.users=200", "data.items=100", "data.events=4000"),
    *("fit.max_epochs=200", "fit.patience=500"),
]
RAY = ["launcher=ray", "launcher.workers=2"]


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_worker_of_ray_that_is_killed_is_taken_up_again_and_the_table_is_the_same(forks, tmp_path):
    serial, output = tmp_path / "serial", tmp_path / "ray"
    assert main(["compare", *LONG, f"output={serial}"]) == 0
    pid = forks.start(tmp_path / "words", ["compare", *LONG, f"output={output}", *RAY])
    forks.once(pid, lambda: list(output.glob("fine_tune-seed0-*/state/000001")), 600)
    (holder,) = output.glob("fine_tune-seed0-*/.lock.holder")
    worker = parent(int(holder.read_text().split()[0]))
    assert "ray::" in Path(f"/proc/{worker}/cmdline").read_text()
    os.kill(worker, signal.SIGKILL)
    assert forks.wait(pid) == 0, (tmp_path / "words" / "err").read_text()
    said = (tmp_path / "words" / "err").read_text()
    assert "fine_tune, seed 0: killed; taken up again from its newest state" in said
    assert "2 of 2 runs" in said
    assert [f.name for f in runs(output)] == [f.name for f in runs(serial)]
    assert results(output).equals(results(serial))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_is_interrupted_ends_in_order_and_what_takes_too_long_says_so(forks, tmp_path):
    pid = forks.start(tmp_path / "words", ["compare", *LONG, f"output={tmp_path / 'a'}", *RAY])
    forks.once(pid, lambda: list((tmp_path / "a").glob("fine_tune-seed0-*/state/000001")), 400)
    (holder,) = (tmp_path / "a").glob("fine_tune-seed0-*/.lock.holder")
    os.kill(pid, signal.SIGTERM)
    assert forks.wait(pid) == 128 + signal.SIGTERM
    assert not Path(f"/proc/{holder.read_text().split()[0]}").exists()
    (status,) = (tmp_path / "a").glob("fine_tune-seed0-*/status.json")
    assert "interrupted" in status.read_text()
    code, said = forks.run(
        tmp_path / "words", ["compare", *LONG, f"output={tmp_path / 'b'}", *RAY, "launcher.timeout=3"]
    )
    assert code != 0
    assert any("launcher.timeout=3 s is over" in line for line in said), said
    assert launches(tmp_path / "b")


def test_what_cannot_be_is_refused(capsys):
    assert "launcher.workers=0 must be 1 or more" in refused(capsys, "run", *TINY, "launcher=ray", "launcher.workers=0")
    assert "launcher.memory=0" in refused(capsys, "run", *TINY, "launcher=ray", "launcher.memory=0")


def test_without_ray_the_extra_is_named(monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    assert "pip install 'gnnrec[ray]'" in refused(capsys, "run", *TINY, "launcher=ray")
    assert on_ray.Ray.__name__ == "Ray"
