"""The runs below a folder, and how two of them differ."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import polars as pl
import pytest

from gnnrec.cli.main import main
from gnnrec.core.errors import GnnrecError
from gnnrec.reporting.listing import listed
from gnnrec.runs.folder import locked

TINY = ["data=simulated", "data.users=60", "data.items=40", "data.events=900", "stream.increments=2", "logger=none"]
TINY += ["threads=1", "fit.base.max_epochs=1", "fit.max_epochs=1", "encoder.width=8"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("listing")
    for name, more in (("a", ["strategy=frozen"]), ("deep/b", ["strategy=fine_tune", "fit.lr=0.02"])):
        assert main(["run", *TINY, *more, f"output={folder / name}"]) == 0
    return folder


def runs_of(folder: Path) -> list[Path]:
    return [p.parent for p in folder.rglob("config.yaml") if not p.parent.name.startswith("base-")]


def test_every_run_is_there_with_what_came_of_it(root: Path) -> None:
    found = listed(root)
    assert {root / r for r in found["run"]} == set(runs_of(root))
    assert set(found["state"]) == {"done"}
    for row in found.iter_rows(named=True):
        frame = pl.read_parquet(root / row["run"] / "results.parquet")
        wanted = frame.filter(split="next", segment="all", metric="recall@20", scorer="model")
        expected = wanted.filter(pl.col("trained_to") >= 1)["value"].mean()
        assert row["recall@20 model"] == pytest.approx(expected)
        assert row["s/update"] > 0


def test_the_commands_print_them(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", str(root)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "2 runs"
    assert lines[0].split()[:2] == ["run", "state"]
    one, other = map(str, sorted(runs_of(root)))
    assert main(["diff", one, other]) == 0
    told = dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines())
    assert told["strategy._target_"].startswith("gnnrec.strategies.frozen.Frozen and ")
    assert told["fit.lr"].endswith("and 0.02")
    assert "recall@20 model" in told
    assert not {"data or stream", "protocol", "code", "threads"} & set(told)
    assert list(told).index("fit.lr") < list(told).index("output")


def test_a_run_that_no_process_is_at_was_killed(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "own"
    shutil.copytree(runs_of(root)[0], folder)
    (folder / ".lock.holder").unlink()  # of this process, which made the run and is alive
    status = json.loads((folder / "status.json").read_text())
    (folder / "status.json").write_text(json.dumps({**status, "status": "running"}))
    assert listed(folder)["state"].to_list() == ["killed"]
    with locked(folder):
        assert listed(folder)["state"].to_list() == ["running"]


def test_a_run_differs_from_itself_in_nothing(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run, *_) = runs_of(root)
    assert main(["diff", str(run), str(run)]) == 0
    names = [line.split(": ")[0] for line in capsys.readouterr().out.splitlines()]
    assert names == ["recall@20 model", "recall@20 blend", "s/update"]


def test_what_they_were_made_by_is_told_apart(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run, *_) = runs_of(root)
    shutil.copytree(run, tmp_path / "other")
    path = tmp_path / "other" / "environment.json"
    made = json.loads(path.read_text())
    made[-1]["environment"]["torch"] = "9.9.9"
    path.write_text(json.dumps(made))
    assert main(["diff", str(run), str(tmp_path / "other")]) == 0
    (line,) = (x for x in capsys.readouterr().out.splitlines() if x.startswith("environment: "))
    assert line.startswith("environment: torch ")
    assert line.endswith(" and 9.9.9")


def test_what_was_cut_off_or_damaged_is_listed_too(root: Path, tmp_path: Path) -> None:
    (run, *_) = runs_of(root)
    for name, content in (("off", '{"status": "interrupted", "fingerprint": "f"}'), ("torn", "{")):
        shutil.copytree(run, tmp_path / name)
        (tmp_path / name / "status.json").write_text(content)
        (tmp_path / name / "results.parquet").unlink()
    found = {r["run"]: r for r in listed(tmp_path).iter_rows(named=True)}
    assert (found["off"]["state"], found["torn"]["state"]) == ("interrupted", "damaged")
    assert found["off"]["recall@20 model"] is None
    with pytest.raises(GnnrecError, match="holds no run"):
        listed(tmp_path / "nothing")
