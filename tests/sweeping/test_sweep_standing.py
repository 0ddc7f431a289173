"""`gnnrec status OUTPUT` tells a sweep: trials by state, the best so far, and the command that goes on with it."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from support_sweeps import SPACE, Knowing, bowl, plan, stream

from gnnrec.cli.main import main
from gnnrec.core.files import write_atomic
from gnnrec.core.locks import LOCK
from gnnrec.runs.folder import locked
from gnnrec.sweeping import standing
from gnnrec.sweeping.conclude import points_file
from gnnrec.sweeping.plan import Plan
from gnnrec.sweeping.search import Search
from gnnrec.sweeping.study import Ledger, Tried
from gnnrec.sweeping.text import as_csv, from_csv

COMMAND = "gnnrec sweep strategy=replay sweep=replay"
POINTS = [
    Tried(1, {"strategy.budget": 500, "fit.lr": 0.01}, "complete", (0.25,), (0.001,), "", 1.5),
    Tried(2, {"strategy.budget": 600, "fit.lr": 0.1}, "failed", None, None, 'why, "so"', None),
    Tried(3, {"strategy.budget": 700, "fit.lr": 0.02}, "complete", (0.5,), None, "", 2.25),
    Tried(4, {"strategy.budget": 800, "fit.lr": 1e-06}, "pruned", None, None, "0.1 after increment 1", 0.5),
    Tried(5, {"strategy.budget": 900, "fit.lr": 0.5}, "running", None, None, "", None),
]


def folder_of(of: Plan) -> Path:
    return Path(of.config["output"]) / "sweep-replay"


def driven(of: Plan, crew: Knowing) -> list[Tried]:
    """Search as the command does, without runs on the rest."""
    with locked(folder_of(of)), standing.noted(of, folder_of(of), COMMAND):
        ledger = Ledger(of, stream(of))
        Search(
            of, ledger, crew, lambda _: None, lambda: write_atomic(points_file(of), as_csv(ledger.tried(), of.metrics))
        ).run()
        return ledger.tried()


def test_a_table_of_points_comes_back() -> None:
    assert from_csv(as_csv(POINTS, ["ndcg@20"]), ["ndcg@20"]) == POINTS
    both = [Tried(1, {"init": "zero"}, "complete", (0.5, 3.0), (0.1, 0.2), "", 3.0)]
    assert from_csv(as_csv(both, ["mse", "seconds"]), ["mse", "seconds"]) == both
    assert from_csv(as_csv([], ["mse"]), ["mse"]) == []


def test_while_it_is_driven_it_says_by_whom_what_is_measured_and_what_is_best(tmp_path: Path) -> None:
    of = plan(tmp_path, SPACE, "sweep.trials=6")
    with locked(folder_of(of)), standing.noted(of, folder_of(of), COMMAND):
        assert "0 trials: none, of 6 wanted" in standing.text(folder_of(of))
        points_file(of).write_text(as_csv(POINTS, of.metrics))
        lines = standing.text(folder_of(of)).splitlines()
    assert lines == [
        f"sweep of replay, driven by process {os.getpid()} on {socket.gethostname()}: "
        "5 trials: 2 complete, 1 pruned, 1 failed, 1 running, of 6 wanted",
        "  best so far: trial 3, strategy.budget=700, fit.lr=0.02: valid ndcg@20 0.50000; 2.25 s an update",
        "  running: trial 5, strategy.budget=900, fit.lr=0.5",
        '  failed: trial 2, strategy.budget=600, fit.lr=0.1: why, "so"',
    ]


def test_a_killed_one_has_nothing_running_and_is_gone_on_with_by_its_command(tmp_path: Path) -> None:
    of = plan(tmp_path, SPACE, "sweep.trials=6")
    folder = folder_of(of)
    with locked(folder), standing.noted(of, folder, COMMAND):
        note = (folder / standing.NAME).read_text()
    (folder / standing.NAME).write_text(note)  # as a kill leaves it
    (folder / f"{LOCK}.holder").write_text(f"{2**22 + 1} on {socket.gethostname()}\n")  # no process can have it
    points_file(of).write_text(as_csv(POINTS, of.metrics))
    lines = standing.text(folder).splitlines()
    assert lines[0] == ("sweep of replay, killed: 5 trials: 2 complete, 1 pruned, 1 failed, 1 interrupted, of 6 wanted")
    assert lines[-1] == f"  goes on by: {COMMAND}"
    assert not any("running" in line for line in lines)


def test_a_sweep_from_stop_to_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    of = plan(tmp_path, SPACE, "sweep.trials=3", "sweep.sampler=random")
    with pytest.raises(KeyboardInterrupt):
        driven(of, Knowing(bowl, stop_after=2))
    assert main(["status", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "sweep of replay, stopped: 3 trials: 2 complete, 1 interrupted, of 3 wanted" in said
    assert f"goes on by: {COMMAND}" in said
    tried = driven(of, Knowing(bowl))
    best = max(tried, key=lambda t: t.values or ())
    assert main(["status", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "sweep of replay, ended: 3 trials: 3 complete, of 3 wanted" in said
    assert f"best so far: trial {best.number}, " in said
    assert f"valid ndcg@20 {(best.values or (0,))[0]:.5f}; {best.seconds:.2f} s an update" in said
    assert "sweep-replay.html; a larger sweep.trials goes on with it" in said
    assert "0 runs" not in said


def test_of_several_metrics_the_front_is_told(tmp_path: Path) -> None:
    of = plan(tmp_path, SPACE, "sweep.trials=4", "sweep.metric=[ndcg@20,seconds]")
    with locked(folder_of(of)), standing.noted(of, folder_of(of), COMMAND):
        points = [
            Tried(n, {"fit.lr": lr}, "complete", (value, lr), None, "", lr)
            for n, lr, value in ((1, 0.1, 0.5), (2, 0.2, 0.4), (3, 0.3, 0.9))
        ]
        points_file(of).write_text(as_csv(points, of.metrics))
        lines = standing.text(folder_of(of)).splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == [
        "  on the front so far: trial 3",
        "  on the front so far: trial 1",
    ]


@pytest.mark.parametrize("file", ["sweep-replay/sweep.json", "sweep-replay.csv"])
def test_damage_is_one_line(tmp_path: Path, file: str, capsys: pytest.CaptureFixture[str]) -> None:
    of = plan(tmp_path, SPACE, "sweep.trials=1")
    driven(of, Knowing(bowl))
    (tmp_path / file).write_text('trial,state\n"x')
    assert main(["status", str(tmp_path)]) == 2
    assert "is damaged" in capsys.readouterr().err
