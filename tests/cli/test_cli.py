"""The commands, called as a user calls them, on a world of a few hundred events."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from gnnrec.cli.main import main

TINY = [
    "data=simulated",
    "data.users=60",
    "data.items=40",
    "data.events=800",
    "stream.increments=3",
    "fit.max_epochs=2",
    "fit.base.max_epochs=2",
    "logger=none",
    "threads=1",
    "figures=false",
]
DRAWN = [word for word in TINY if word != "figures=false"]
TIMED = ("seconds", "peak_memory", "energy_joules")
KEY = ["strategy", "scorer", "seed", "trained_to", "evaluated_on", "split", "segment", "metric"]
WITH_PARAMETERS = "strategies=[frozen,{replay:{budget:50}},{replay:{budget:0}},{replay_reservoir:{store:{size:30}}}]"


def results(folder: Path) -> pl.DataFrame:
    """Return a folder's results without what differs from run to run."""
    found = pl.read_parquet(folder / "results.parquet", glob=False)
    timed = pl.any_horizontal(pl.col("metric").str.contains(part) for part in TIMED)
    return found.filter(~timed).sort(KEY)


def runs(folder: Path, begin: str = "") -> list[Path]:
    """Return the folders of strategies' runs."""
    found = sorted(p.parent for p in folder.glob(f"{begin}*/config.yaml"))
    return [p for p in found if not p.name.startswith(("base", "references"))]


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Return the one line that a command answers bad input with, after those that say what it is about to do."""
    capsys.readouterr()
    assert main(list(arguments)) == 2
    *before, answer = capsys.readouterr().err.splitlines()
    assert answer.startswith("gnnrec: ")
    assert not [line for line in before if line.startswith("gnnrec: ")], before
    return answer


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """Return the output of a comparison and how it was called."""
    output = tmp_path_factory.mktemp("compared")
    more = [WITH_PARAMETERS, f"output={output}"]
    assert main(["compare", *DRAWN, *more]) == 0
    return output, ["compare", *TINY, *more]


def test_a_comparison_writes_what_it_promises(compared):
    output, _ = compared
    for name in ("results.parquet", "per_user.parquet", "summary.csv", "report.html", "run.json"):
        assert (output / name).stat().st_size > 0
    assert list((output / "figures").glob("*.png"))
    rows = set(pl.read_csv(output / "summary.csv")["strategy"])
    named = {"frozen", "replay[budget=50]", "replay[budget=0]", "replay_reservoir"}
    assert named | {"popularity", "oracle"} <= rows
    assert json.loads((output / "run.json").read_text())["command"].startswith("gnnrec compare data=simulated")
    assert "No figures were asked for" not in (output / "report.html").read_text()


def test_without_figures_there_is_all_else_and_report_draws_them(tmp_path):
    assert main(["compare", *TINY, "strategies=[stale]", f"output={tmp_path}"]) == 0
    assert "No figures were asked for" in (tmp_path / "report.html").read_text()
    assert not (tmp_path / "figures").exists()
    assert main(["report", str(tmp_path)]) == 0
    assert list((tmp_path / "figures").glob("*.png"))
    assert "No figures were asked for" not in (tmp_path / "report.html").read_text()


def test_a_strategy_s_parameters_reach_it(compared):
    output, _ = compared
    text = "".join((p / "config.yaml").read_text() for p in runs(output))
    assert "budget: 50" in text
    assert "size: 30" in text


def test_a_second_comparison_trains_nothing_and_says_the_same(compared, capsys, monkeypatch):
    output, arguments = compared
    before = (output / "results.parquet").read_bytes()
    capsys.readouterr()
    monkeypatch.setattr("gnnrec.runs.experiment.run", lambda *_: pytest.fail("trained again"))
    assert main(arguments) == 0
    assert (output / "results.parquet").read_bytes() == before
    out, err = capsys.readouterr()
    assert "fitting" not in err
    assert "epoch" not in err
    assert "replay[budget=50]" in out


def test_report_makes_the_table_again(compared, capsys):
    output, _ = compared
    before = results(output)
    assert main(["report", str(output)]) == 0
    assert "recall@20 known" in capsys.readouterr().out
    assert results(output).equals(before)


def test_a_run_that_was_cut_off_goes_on_to_the_same_results(compared, tmp_path):
    output, arguments = compared
    own = tmp_path / "again"
    shutil.copytree(output, own)
    (run,) = runs(own, "replay_reservoir")
    expected = results(run)
    for name in ("results", "per_user", "predictions"):
        (run / f"{name}.parquet").unlink()
    (run / "status.json").write_text(json.dumps({**json.loads((run / "status.json").read_text()), "status": "running"}))
    newest = max((run / "state").glob("0*"))
    shutil.rmtree(newest)
    assert main([*arguments[:-1], f"output={own}", "resume=true"]) == 0
    assert results(run).equals(expected)
    assert newest.is_dir()


def test_one_run_and_a_grid_with_one_table(tmp_path, capsys):
    output = [f"output={tmp_path}"]
    assert main(["run", *TINY, *output, "strategy=stale"]) == 0
    assert "stale" in capsys.readouterr().out
    assert main(["run", "-m", *TINY, *output, "strategy=stale,frozen", "seed=range(0,2)", "fit.lr=0.01,0.010"]) == 0
    assert len(runs(tmp_path)) == 4
    out, err = capsys.readouterr()
    assert out.count("recall@20 known") == 1
    assert out.count("run: ") == 4
    assert "stale" in out
    assert "frozen" in out
    assert err.startswith("a grid of 8 runs")
    assert err.count("the same run as") == 4
    assert err.count("reading simulated") == 1


def test_runs_of_a_grid_that_differ_in_a_setting_are_rows_named_by_it(tmp_path, capsys):
    assert main(["run", "-m", *TINY, f"output={tmp_path}", "strategy=fine_tune", "fit.lr=0.01,0.02"]) == 0
    out = capsys.readouterr().out
    assert "fine_tune[fit.lr=0.01]" in out
    assert "fine_tune[fit.lr=0.02]" in out


def test_what_is_listed_twice_is_run_once_and_said(tmp_path, capsys):
    tail = [*TINY, f"output={tmp_path}"]
    assert main(["compare", *tail, "seeds=[0,0]", "strategies=[frozen,frozen,{frozen:{}},stale]"]) == 0
    said = capsys.readouterr().err
    assert "seeds: 0 is listed twice, run once" in said
    assert "strategies: frozen is listed twice, run once" in said
    assert len(runs(tmp_path)) == 2


def test_seeds_may_be_written_as_a_range(tmp_path):
    assert main(["compare", *TINY, f"output={tmp_path}", "seeds=range(2)", "strategies=stale,frozen"]) == 0
    assert len(runs(tmp_path)) == 4


def test_data_summary_counts(capsys):
    assert main(["data", "summary", *TINY]) == 0
    assert "800" in capsys.readouterr().out.replace(",", "").replace("\u202f", "")


@pytest.mark.parametrize("command", [["run"], ["compare"], ["sweep"], ["data", "summary"]])
def test_help_teaches_the_groups(command, capsys):
    assert main([*command, "--help"]) == 0
    out = capsys.readouterr().out
    for word in ("fine_tune", "quickstart", "lightgcn", "--config-dir"):
        assert word in out
    assert ("--multirun" in out) == (command == ["run"])


def test_help_names_every_command(capsys):
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    for command in ("run", "compare", "sweep", "report", "recommend", "data summary"):
        assert f"gnnrec {command}" in out


def test_help_and_configuration_do_not_wait_for_torch():
    code = "import sys; from gnnrec.cli.main import main; main(['--help']); main(['run', '--cfg', 'job'])"
    check = f"{code}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", check], check=True, capture_output=True, timeout=60)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rum"], "did you mean 'run'"),
        (["data"], "summary"),
        (["data", "sumary"], "there is no action 'sumary'; did you mean 'summary'"),
        (["data"], "an action is missing; allowed: checkout"),
        (["compare", "strategies=[fine_tun]"], "did you mean 'fine_tune'"),
        (["compare", "strategies=[{replay:{budgit:3}}]"], "did you mean 'strategy.budget'"),
        (["compare", "strategies=[]"], "strategies"),
        (["compare", "seeds=[]"], "seeds"),
        (["run", "strategy=fine_tun"], "did you mean 'fine_tune'"),
        (["run", "encoder.width=abc"], "encoder.width=abc is not a whole number"),
        (["run", "fit.lr=-1"], "fit.lr"),
        (["run", "scorer.grid.alpha=[]"], "scorer.grid.alpha is empty"),
        (["run", "state.keep=-1"], "state.keep=-1 must be 0 or more"),
        (["run", "output="], "output= is empty"),
        (["run", "name="], "name= is empty"),
        (["run", "init=zeroo", "data=file", "data.path=x.csv"], "did you mean 'zero'"),
        (["run", "trainer.devices=3"], "one device"),
        (["run", "trainer.devices=1000000000000"], "one device"),  # Lightning would list them all
        (["run", "trainer.accelerator=gpuu"], "trainer"),
        (["run", "fit.budget=equals"], "did you mean 'equal'"),
        (["run", "evaluation.topk=[5]"], "20"),
        (["run", "evaluation.candidates=all"], "known"),
        (["run", "logger=tensorbord"], "did you mean 'tensorboard'"),
        (["run", "strategy._target_=os.system"], "not allowed"),
        (["run", "strategy._target_=gnnrec.core.errors.GnnrecError"], "does not say what it takes"),
        (["run", "-m", "seed=range("], "not understood"),
        (["compare", "--config-dir", "/nonexistent"], "not a folder"),
        (["compare", "data=file", "data.path=/nonexistent.csv"], "/nonexistent.csv"),
        (["data", "summary", "data=file", "data.path=/nonexistent.csv"], "/nonexistent.csv"),
        (["data", "summary", "data=file"], "data.path"),
        (["report", "/nonexistent"], "holds no run"),
        (["recommend", "/nonexistent", "--user", "1"], "holds no run"),
        (["sweep", "sweep.metric=recall"], "sweep.metric"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, said, capsys, tmp_path):
    tail = [*TINY[1:], f"output={tmp_path}"] if arguments[0] in ("run", "compare", "sweep") else []
    tail = [t for t in tail if not t.startswith(("data.", "logger"))] if "data=file" in arguments else tail
    tail = [t for t in tail if t.split("=")[0] not in {a.split("=")[0] for a in arguments}]
    assert said in refused(capsys, *arguments, *tail)


def test_an_output_that_cannot_be_written_is_said(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert "output" in refused(capsys, "run", *TINY, f"output={tmp_path}/file/below")


@pytest.mark.parametrize("flag", [["--nope"], ["recommend"], ["report"], ["recommend", "x", "--user", "1", "-k", "a"]])
def test_a_wrong_flag_is_exit_code_2(flag, capsys):
    with_command = ["run", *flag] if flag[0].startswith("-") else flag
    try:
        code = main(with_command)
    except SystemExit as stop:
        code = stop.code
    assert code == 2
