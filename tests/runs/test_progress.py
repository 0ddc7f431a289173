"""What is printed while a run lasts: on no terminal a line at least every so often, and a base that goes on where it was."""

from __future__ import annotations

import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from test_cli import TINY, results, runs

from gnnrec.cli.main import main
from gnnrec.runs import progress
from gnnrec.testing.worlds import make_learner, simulated
from gnnrec.training import checkpoint
from gnnrec.training.fitter import KeepBest

LEARNER = SimpleNamespace(fits=SimpleNamespace(planned=10), on_epoch=None)


def lines(capsys):
    return capsys.readouterr().err.splitlines()


@pytest.fixture
def often(monkeypatch):
    monkeypatch.setattr(progress, "EVERY", 0.05)


def test_an_epoch_however_long_prints_lines(often, capsys):
    with progress.Progress().job("base", 0, 0, LEARNER):
        time.sleep(0.4)
        before = lines(capsys)
        LEARNER.on_epoch(5, 0.25, 0.5)
        time.sleep(0.2)
        after = lines(capsys)
    time.sleep(0.2)
    assert 3 <= len(before) <= 9
    assert all(line.startswith("base, seed 0: 0 s") for line in before)
    assert "at most about" in after[-1]
    assert after[-1].endswith("s left; epoch 5 of at most 10, loss 0.2500, valid 0.5000")
    assert len(lines(capsys)) <= 1, "it goes on after the run"


def test_nothing_more_is_printed_where_increments_print_lines(capsys):
    with progress.Progress().job("replay", 0, 2, LEARNER) as bar:
        bar.increment(1)
        bar.increment(2)
    one, two = lines(capsys)
    assert one.startswith("replay, seed 0: increment 1, 0 s, about 0 s left")
    assert two.startswith("replay, seed 0: increment 2, 0 s, about 0 s left")


def test_an_increment_that_waits_says_so_and_not_what_was_fitted_before(tmp_path, capsys):
    assert main(["run", *TINY, "strategy=fine_tune", "policy=every_n", "policy.n=2", f"output={tmp_path}"]) == 0
    said = [line.partition("; ")[2] for line in lines(capsys) if "fine_tune, seed 0: increment " in line]
    assert said[0] == "waits"
    assert said[1].startswith("epoch ")
    assert said[2:3] in ([], ["waits"])


def test_time_left_of_a_run_that_goes_on_counts_what_is_left(monkeypatch, capsys):
    clock = iter([0.0, 10.0, 20.0])
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setattr(progress.threading.Thread, "start", lambda self: None)
    with progress.Progress().job("replay", 0, 9, LEARNER) as bar:
        bar.go_on(6)
        bar.increment(7)
        bar.increment(8)
    assert [line.partition("about ")[2] for line in lines(capsys)] == ["20 s left", "10 s left"]


def test_quiet_prints_nothing(often, capsys):
    with progress.Progress(quiet=True).job("base", 0, 1, LEARNER) as bar:
        LEARNER.on_epoch(1, 0.25, None)
        bar.increment(1)
        time.sleep(0.2)
    assert lines(capsys) == []


def test_a_base_that_was_cut_off_goes_on_to_the_same_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(checkpoint, "EVERY", 0.0)
    call = ["run", *TINY, "fit.base.max_epochs=6", "strategy=fine_tune"]
    noted, epochs = KeepBest.on_train_epoch_end, []

    def cut(self, trainer, module):
        noted(self, trainer, module)
        epochs.append(len(self.epochs))
        if len(self.epochs) == 4:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(KeepBest, "on_train_epoch_end", cut)
        assert main([*call, f"output={tmp_path / 'torn'}"]) == 130
    (file,) = (tmp_path / "torn").glob("base-*/fit.checkpoint")
    capsys.readouterr()
    assert main([*call, f"output={tmp_path / 'torn'}"]) == 0
    assert "base, seed 0: going on with a fit that was cut off, " in capsys.readouterr().err
    assert not file.exists()
    assert main([*call, f"output={tmp_path / 'whole'}"]) == 0
    (torn,), (whole,) = (runs(tmp_path / name) for name in ("torn", "whole"))
    assert results(torn).equals(results(whole))
    assert epochs == [1, 2, 3, 4]


def test_the_cap_shown_is_that_of_the_fit_in_progress():
    """The base without valid, an update that stops early, a cold start by the base's schedule."""
    base, new = (i.observed for i in simulated().increments[:2])
    blind = replace(base, valid=base.valid.take(slice(0, 0)), folded=base.folded.take(slice(0, 0)))
    learner = make_learner()
    learner.extend(blind), learner.fit(base.train)
    caps = [learner.fits.planned]
    learner.absorb(blind), learner.extend(new)
    for schedule, epochs in (("update", None), ("base", 2)):
        learner.fit(new.train, schedule=schedule, epochs=epochs)
        caps.append(learner.fits.planned)
    assert caps == [learner.fits.base.epochs_without_valid, learner.fits.update.max_epochs, 2]
