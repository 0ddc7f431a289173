"""Where a run's curves go: each logger's files appear, nothing leaves the machine, and no logger costs a run."""

from __future__ import annotations

import csv
import logging
from pathlib import Path

import pytest
import wandb
from test_cli import TINY

from gnnrec.cli.main import main
from gnnrec.evaluation.record import Record
from gnnrec.training.loggers import Tracker


def run(kind: str, output: Path, *more: str, row: str = "frozen") -> Path:
    """Run a strategy that trains nothing and return its folder."""
    arguments = [a for a in TINY if not a.startswith("logger")]
    assert main(["run", *arguments, "strategy=frozen", f"logger={kind}", f"output={output}", *more]) == 0
    (status,) = output.glob(f"{row}-*/status.json")
    assert '"done"' in status.read_text()
    return status.parent


def test_csv_has_a_row_per_increment(tmp_path):
    with (run("csv", tmp_path) / "csv" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["increment"]) for row in rows] == [1, 2, 3]
    assert 0 <= float(rows[0]["next/model/recall@20"]) <= 1


def cut_off(monkeypatch: pytest.MonkeyPatch, kind: str, output: Path) -> str:
    """Let a run end after its second increment as by a kill, and return its id at the logger."""
    increment = Tracker.increment

    def watched(self: Tracker, t: int, record: Record) -> None:
        increment(self, t, record)
        if t == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Tracker, "increment", watched)
        arguments = [a for a in TINY if not a.startswith("logger")]
        assert main(["run", *arguments, "strategy=fine_tune", f"logger={kind}", f"output={output}"]) == 130
    (path,) = output.glob("fine_tune-*/.log-id")
    return path.read_text()


def test_a_run_that_goes_on_logs_again_what_it_had_logged(tmp_path, monkeypatch):
    cut_off(monkeypatch, "csv", tmp_path / "torn")
    more = ["strategy=fine_tune", "resume=true"]
    logged = [run("csv", tmp_path / name, *more, row="fine_tune") / "csv" / "metrics.csv" for name in ("torn", "whole")]
    torn, whole = (list(csv.DictReader(path.open())) for path in logged)
    assert [float(row["increment"]) for row in torn] == [1, 2, 3]
    assert "fit/loss" in whole[0]
    for one, other in zip(torn, whole, strict=True):
        assert {k: v for k, v in one.items() if "seconds" not in k} == {
            k: v for k, v in other.items() if "seconds" not in k
        }


def test_a_run_that_goes_on_is_the_same_run_at_the_logger(tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_MODE", raising=False)
    identity = cut_off(monkeypatch, "wandb", tmp_path)
    folder = run("wandb", tmp_path, "strategy=fine_tune", "resume=true", row="fine_tune")
    (found,) = folder.glob("wandb/offline-run-*/*.wandb")
    assert identity in found.name


def test_tensorboard_has_an_event_file(tmp_path):
    found = list((run("tensorboard", tmp_path) / "tensorboard").glob("events.out.tfevents.*"))
    assert found
    assert found[0].stat().st_size > 0


def test_none_writes_nothing(tmp_path):
    folder = run("none", tmp_path)
    assert not [p for name in ("csv", "tensorboard", "wandb") for p in folder.glob(name)]


def test_wandb_is_offline_closed_and_one_run_per_run(tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # whoever calls home is refused
    monkeypatch.setattr(wandb, "login", lambda *_, **__: pytest.fail("logs in"))
    folder = run("wandb", tmp_path)
    assert wandb.run is None
    assert len(list(folder.glob("wandb/offline-run-*/*.wandb"))) == 1
    run("wandb", tmp_path / "second", "seed=1")
    assert wandb.run is None
    assert len(list((tmp_path / "second").rglob("offline-run-*"))) == 1


def test_a_logger_that_breaks_is_left_out_with_a_warning(tmp_path, monkeypatch, caplog):
    def broken(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("gnnrec.training.loggers.CSVLogger", broken)
    with caplog.at_level(logging.WARNING):
        run("csv", tmp_path / "start")
    assert "disk full" in caplog.text
    monkeypatch.undo()
    monkeypatch.setattr("pytorch_lightning.loggers.CSVLogger.log_metrics", broken)
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        run("csv", tmp_path / "log")
    assert caplog.text.count("disk full") == 1
