"""Where a run's curves go: each logger's files appear, nothing leaves the machine, and no logger costs a run."""

from __future__ import annotations

import csv
import logging
from pathlib import Path

import pytest
import wandb
from test_cli import TINY

from gnnrec.cli.main import main


def run(kind: str, output: Path, *more: str) -> Path:
    """Run a strategy that trains nothing and return its folder."""
    arguments = [a for a in TINY if not a.startswith("logger")]
    assert main(["run", *arguments, "strategy=frozen", f"logger={kind}", f"output={output}", *more]) == 0
    (status,) = output.glob("frozen-*/status.json")
    assert '"done"' in status.read_text()
    return status.parent


def test_csv_has_a_row_per_increment(tmp_path):
    with (run("csv", tmp_path) / "csv" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["increment"]) for row in rows] == [1, 2, 3]
    assert 0 <= float(rows[0]["next/model/recall@20"]) <= 1


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
