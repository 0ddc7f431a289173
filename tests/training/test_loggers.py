"""A logger writes what was asked, obeys the environment, and is refused before a run where it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytorch_lightning.loggers import CSVLogger, WandbLogger

from gnnrec.config.compose import compose
from gnnrec.core.errors import GnnrecError
from gnnrec.training import loggers
from gnnrec.training.loggers import Tracker, check_logger


def opened(folder: Path, *typed: str) -> dict[str, object] | None:
    """Return what W&B was told of a run, None where nothing is logged."""
    with Tracker.open(compose(["logger=wandb", *typed]), "replay", folder) as tracker:
        if tracker.logger is None:
            return None
        assert isinstance(tracker.logger, WandbLogger)
        run = tracker.logger.experiment
        return {"name": run.name, "group": run.group, "tags": run.tags, "offline": run.offline, "notes": run.notes}


@pytest.mark.parametrize(("key", "value"), [("WANDB_MODE", "disabled"), ("WANDB_DISABLED", "true")])
def test_what_the_environment_switches_off_stays_off(tmp_path, monkeypatch, key, value):
    monkeypatch.setenv(key, value)
    assert opened(tmp_path, "logger.offline=true") is None
    assert not list(tmp_path.iterdir())


def test_an_unknown_mode_is_refused(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "ofline")
    with pytest.raises(GnnrecError, match="did you mean 'offline'"):
        check_logger(compose([])["logger"])


@pytest.mark.parametrize(
    ("mode", "typed", "offline"),
    [("online", [], False), ("offline", [], True), ("online", ["logger.offline=true"], True), ("", [], True)],
)
def test_offline_is_the_key_s_to_say_and_else_the_environment_s(monkeypatch, mode, typed, offline):
    monkeypatch.setenv("WANDB_MODE", mode)
    assert loggers._offline(compose(typed)["logger"]) is offline


def test_name_and_group_can_be_set(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    found = opened(tmp_path, "logger.name=mine", "logger.group=ours", "logger.tags=[a]", "+logger.notes=why")
    assert found is not None
    assert (found["name"], found["group"], found["notes"]) == ("mine", "ours", "why")
    assert set(found["tags"]) == {"simulated", "replay", "a"}


def test_unset_they_are_the_strategy_and_the_experiment(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    found = opened(tmp_path, "seed=4")
    assert found is not None
    assert (found["name"], found["group"]) == ("replay-seed4", "simulated")


def test_other_kinds_take_no_keys(tmp_path):
    with Tracker.open(compose(["logger=csv"]), "replay", tmp_path) as tracker:
        assert isinstance(tracker.logger, CSVLogger)
    with pytest.raises(GnnrecError, match="takes no 'project': it takes none but kind"):
        check_logger({"kind": "csv", "project": "x"})
    with pytest.raises(GnnrecError, match="did you mean 'csv'"):
        check_logger({"kind": "cvs"})
