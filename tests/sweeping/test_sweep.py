"""A sweep searches on increments 1 and 2, survives a kill, and scores what it found on the rest."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import optuna
import pytest
import yaml
from test_cli import TINY, refused

from gnnrec.cli.main import compose, main
from gnnrec.sweeping import crew
from gnnrec.sweeping.study import storage

STREAM = ["stream.increments=5", "data.events=1000"]
CALL = ["sweep", *(a for a in TINY if not a.startswith(("stream", "data.events"))), *STREAM, "strategy=replay"]


def call(output: Path, trials: int) -> list[str]:
    return [*CALL, "sweep=replay", "strategy.budget=600", f"sweep.trials={trials}", f"output={output}"]


def trials(output: Path, row: str = "replay") -> list[optuna.trial.FrozenTrial]:
    (found,) = optuna.get_all_study_summaries(storage(output, row))
    return optuna.load_study(study_name=found.study_name, storage=storage(output, row)).trials


def states(output: Path, row: str = "replay") -> list[str]:
    return [t.state.name for t in trials(output, row)]


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict], list[dict], int]:
    """Return the output of a sweep killed in its second trial and continued, and what was scored before and after."""
    output, scored, score = tmp_path_factory.mktemp("swept"), [], crew.measured

    def watched(job, *more):
        scored.append({"budget": job.config["strategy"]["budget"], "lr": job.config["fit"]["lr"]})
        if len(scored) == 2:
            raise KeyboardInterrupt
        return score(job, *more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crew, "measured", watched)
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
    monkeypatch.setattr(crew, "measured", lambda *_: pytest.fail("scored again"))
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


def test_a_sweep_says_what_became_of_its_trials_in_a_table_and_a_page(swept):
    output = swept[0]
    table = (output / "sweep-replay.csv").read_text().splitlines()
    assert table[0] == "trial,state,strategy.budget,fit.lr,ndcg@20,ndcg@20_deviation,seconds_per_update,why"
    assert [line.split(",")[:3] for line in table[1:2]] == [["1", "complete", "600"]]
    assert len(table) == 4
    page = (output / "sweep-replay.html").read_text()
    assert "3 trials: 3 complete" in page
    assert "<script" not in page
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", page)
    assert not list(output.glob("sweep-replay/points/*/state"))


def test_no_folder_is_overwritten(swept, tmp_path, capsys):
    """Another study that comes by the same points leaves them as they are, and reads them back."""
    output = shutil.copytree(swept[0], tmp_path / "copy")

    def files():
        return {p: p.stat().st_mtime_ns for p in output.glob("sweep-replay/points/*/increment-2.json")}

    before = files()
    assert len(before) == 3
    assert main([*call(output, 4), "sweep.sampler=random", "sweep.metric=recall@20"]) == 0
    assert "continuing" not in capsys.readouterr().err
    after = files()
    assert {p: after[p] for p in before} == before
    assert len(after) < 7, "the configured point, and what both samplers drew, were measured once"
    assert len(trials_of_all(output)) == 2


def trials_of_all(output: Path) -> list[str]:
    return [s.study_name for s in optuna.get_all_study_summaries(storage(output, "replay"))]


def test_of_two_metrics_the_front_is_told_written_and_scored(tmp_path, capsys):
    asked = ["sweep.space={strategy.budget: [0, 600], fit.lr: [0.01, 0.1]}", "sweep.sampler=grid"]
    plain = [a for a in CALL if not a.startswith("logger")]
    typed = [*plain, "logger=csv", "strategy.budget=600", *asked, "sweep.metric=[ndcg@20,edges_touched]"]
    assert main([*typed, f"output={tmp_path}"]) == 0
    out, err = capsys.readouterr()
    assert "a grid of 4 points" in err
    assert "4 trials: 4 complete" in out
    found = re.findall(r"^trial (\d+): .*: valid ndcg@20 \S+, edges_touched \S+$", out, re.M)
    assert found
    assert {p.name for p in tmp_path.glob("best-*.yaml")} == {f"best-replay-trial{n}.yaml" for n in found}
    with (tmp_path / "sweep-replay.csv").open() as file:
        rows = list(csv.DictReader(file))
    values = {r["trial"]: (float(r["ndcg@20"]), float(r["edges_touched"])) for r in rows}
    for own in (values[n] for n in found):
        assert not [v for v in values.values() if v != own and v[0] >= own[0] and v[1] <= own[1]]
    points = list(tmp_path.glob("sweep-replay/points/*"))
    assert len(points) == 4
    for point in points:  # a run of its own at the logger
        with (point / "csv" / "metrics.csv").open() as file:
            logged = [float(line["valid/model/ndcg@20"]) for line in csv.DictReader(file)]
        measured = json.loads((point / "increment-2.json").read_text())["ndcg@20"]
        assert logged == pytest.approx([measured["1"], measured["2"]])


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["sweep.trials=0"], "sweep.trials=0"),
        (["sweep.metric=recall"], "sweep.metric=recall"),
        (["sweep.prune=3"], "sweep.prune=3 is not true or false"),
        (["sweep.seeds=[a]"], "sweep.seeds"),
        (["+sweep.space.strategy.budgit={low:1,high:2}"], "budgit"),
    ],
)
def test_a_wrong_search_is_one_line(more, said, tmp_path, capsys):
    assert said in refused(capsys, *CALL, "sweep=replay", "strategy.budget=600", *more, f"output={tmp_path}")
