"""A sweep searches on increments 1 and 2, survives a kill, and scores what it found on the rest."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest
import yaml
from test_cli import TINY, refused

from gnnrec.cli.main import compose, main
from gnnrec.runs import sweep

STREAM = ["stream.increments=5", "data.events=1000"]
CALL = ["sweep", *(a for a in TINY if not a.startswith(("stream", "data.events"))), *STREAM, "strategy=replay"]


def call(output: Path, trials: int) -> list[str]:
    return [*CALL, "sweep=replay", "strategy.budget=600", f"sweep.trials={trials}", f"output={output}"]


def trials(output: Path, row: str = "replay") -> list[optuna.trial.FrozenTrial]:
    storage = sweep.storage(output, row)
    (found,) = optuna.get_all_study_summaries(storage)
    return optuna.load_study(study_name=found.study_name, storage=storage).trials


def states(output: Path, row: str = "replay") -> list[str]:
    return [t.state.name for t in trials(output, row)]


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict], list[dict], int]:
    """Return the output of a sweep killed in its second trial and continued, and what was scored before and after."""
    output, scored, score = tmp_path_factory.mktemp("swept"), [], sweep.trial_value

    def watched(row, config, *more):
        scored.append({"budget": config["strategy"]["budget"], "lr": config["fit"]["lr"]})
        if len(scored) == 2:
            raise KeyboardInterrupt
        return score(row, config, *more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep, "trial_value", watched)
        code = main(call(output, 3))
        killed = list(scored)
        assert states(output) == ["COMPLETE", "RUNNING"]
        assert main(call(output, 3)) == 0
    return output, killed, scored[len(killed) :], code


def test_a_kill_is_an_interruption(swept):
    assert swept[3] == 130


def test_the_first_trial_is_the_configured_setting(swept):
    assert swept[1][0] == {"budget": 600, "lr": 0.01}


def test_a_killed_trial_is_run_again_and_finished_ones_are_not(swept):
    output, killed, after, _ = swept
    assert len(after) == 2
    assert after[0]["budget"] == killed[1]["budget"]
    assert after[0]["lr"] == pytest.approx(killed[1]["lr"])
    assert killed[0] not in after
    assert states(output).count("COMPLETE") == 3


def test_a_finished_sweep_trains_nothing_more(swept, monkeypatch, capsys):
    monkeypatch.setattr(sweep, "trial_value", lambda *_: pytest.fail("scored again"))
    monkeypatch.setattr("gnnrec.runs.experiment.run", lambda *_: pytest.fail("trained again"))
    assert main(call(swept[0], 3)) == 0
    out, err = capsys.readouterr()
    assert "continuing a sweep with 3 finished trials" in err
    assert "by ndcg@20 of next" in out or "the default itself" in out
    assert "not tested" in out


def test_the_best_setting_is_a_config_that_composes(swept):
    output = swept[0]
    (path,) = output.glob("best-replay*.yaml")
    assert path.read_text().startswith("# @package _global_")
    best = max((t for t in trials(output) if t.value is not None), key=lambda t: t.value)
    folder = output / "own" / "experiment"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mine.yaml").write_text(path.read_text())
    found = compose(["strategy=replay", "experiment=mine"], folder.parent)
    assert found["strategy"]["budget"] == best.params["strategy.budget"]
    assert found["fit"]["lr"] == pytest.approx(best.params["fit.lr"])
    assert found["data"]["name"] == "simulated"
    assert isinstance(yaml.safe_load(path.read_text()), dict)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["sweep.trials=0"], "sweep.trials=0"),
        (["sweep.metric=recall"], "sweep.metric=recall"),
        (["+sweep.space.strategy.budgit={low:1,high:2}"], "budgit"),
    ],
)
def test_a_wrong_search_is_one_line(more, said, tmp_path, capsys):
    assert said in refused(capsys, *CALL, "sweep=replay", "strategy.budget=600", *more, f"output={tmp_path}")
