"""Output folders: what belongs to one run does not leak into another, into a comparison, or into whoever opens it."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import filelock
import polars as pl
import pytest
import yaml
from support.forks import heeding
from test_cli import DRAWN, TINY, refused, runs

from gnnrec.cli.main import compose, main
from gnnrec.core.errors import GnnrecError
from gnnrec.runs import build, compare

SHORT = [*TINY, "strategy=stale"]


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an output folder with a comparison of one strategy."""
    folder = tmp_path_factory.mktemp("folders")
    assert main(["compare", *TINY, "strategies=[stale]", f"output={folder}"]) == 0
    return folder


def rows(folder: Path) -> set[str]:
    found = pl.read_parquet(folder / "results.parquet", glob=False)
    return set(found.filter(pl.col("scorer") != "reference")["strategy"])


def test_a_run_leaves_the_comparison_of_its_folder_alone(output, capsys):
    before = (output / "report.html").read_bytes()
    assert main(["run", *TINY, "strategy=frozen", f"output={output}"]) == 0
    assert "frozen" in capsys.readouterr().out
    assert (output / "report.html").read_bytes() == before
    assert rows(output) == {"stale"}


@pytest.mark.parametrize("more", ["data.positive_from=3.5", "data.feedback=implicit"])
def test_how_events_are_read_is_part_of_what_a_run_is(more, tmp_path):
    (tmp_path / "log.csv").write_text(
        "user,item,rating,time\n" + "".join(f"{n},{n % 3},{n % 5},{n}\n" for n in range(40))
    )
    file = [
        "data=file",
        f"data.path={tmp_path / 'log.csv'}",
        "data.time_unit=s",
        "data.time_range=[1970-01-01,1980-01-01]",
    ]
    plain, other = (compose([*file, *extra]) for extra in ([], [more]))
    (_, stream), (_, differently) = build.load(plain), build.load(other)
    assert stream.fingerprint == differently.fingerprint
    for digest in (build.base_digest, build.run_digest, build.reference_digest):
        assert digest(plain, stream) != digest(other, differently)


def test_what_does_not_change_results_is_no_other_run(tmp_path):
    plain, other = (
        compose([*SHORT, *extra])
        for extra in ([], [f"output={tmp_path}", "resume=true", "name=x", "logger=csv", "threads=2"])
    )
    _, stream = build.load(plain)
    assert build.run_digest(plain, stream) == build.run_digest(other, stream)


def test_runs_of_other_settings_are_rows_of_their_own(output, tmp_path):
    folder = tmp_path / "again"
    shutil.copytree(output, folder)
    assert main(["run", *TINY, "strategy=fine_tune", f"output={folder}"]) == 0
    assert main(["run", *TINY, "strategy=fine_tune", "fit.lr=0.05", f"output={folder}"]) == 0
    assert main(["report", str(folder)]) == 0
    assert {"fine_tune[lr=0.01]", "fine_tune[lr=0.05]"} <= {r.replace("fit.", "") for r in rows(folder)}


def test_rows_that_are_measured_differently_are_not_put_side_by_side(output, tmp_path, capsys):
    assert main(["run", *SHORT, "data.positive_from=3.5", f"output={tmp_path}"]) == 0
    assert "data.positive_from=None and 3.5" in refused(capsys, "report", str(output), str(tmp_path))


def test_rows_on_different_data_are_refused_with_the_difference(output, tmp_path, capsys):
    assert main(["run", *SHORT, "data.seed=1", f"output={tmp_path}"]) == 0
    assert "data.seed=0 and 1" in refused(capsys, "report", str(output), str(tmp_path))


def test_a_second_process_is_refused(output, capsys):
    (folder,) = runs(output, "stale")
    with filelock.FileLock(folder / ".lock"):
        assert "in use" in refused(capsys, "run", *SHORT, f"output={output}")


def test_pages_of_one_folder_are_written_one_after_the_other(output, tmp_path, capsys):
    folder = shutil.copytree(output, tmp_path / "shared")
    with ThreadPoolExecutor(1) as other:
        with filelock.FileLock(folder / ".lock"):
            page = other.submit(main, ["report", str(folder)])
            begin = time.monotonic()
            while "waiting" not in capsys.readouterr().err and time.monotonic() < begin + 60:
                time.sleep(0.1)
            assert not page.done()
        assert page.result(60) == 0


def test_a_run_that_fails_is_left_out_and_said(monkeypatch, tmp_path, capsys):
    run_job = compare.run_job

    def fails(job, *more):
        if job.row == "fine_tune":
            raise GnnrecError("the training loss became nan")
        return run_job(job, *more)

    monkeypatch.setattr(compare, "run_job", fails)
    assert main(["compare", *TINY, "strategies=[stale,fine_tune]", f"output={tmp_path}"]) == 1
    assert "fine_tune, seed 0 failed: the training loss became nan" in capsys.readouterr().err
    assert rows(tmp_path) == {"stale"}
    assert "became nan" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(("number", "code", "tried"), [(errno.ENOSPC, 2, 1), (errno.ENOENT, 2, 2)])
def test_a_full_disk_ends_a_comparison_and_a_missing_file_of_one_run_does_not(
    number, code, tried, monkeypatch, tmp_path, capsys
):
    seen = []

    def fails(job, *more):
        seen.append(job.row)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(compare, "run_job", fails)
    assert main(["compare", *TINY, "strategies=[stale,fine_tune]", f"output={tmp_path}"]) == code
    assert len(seen) == tried
    assert os.strerror(number) in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interruption_that_foreign_code_makes_an_exception_ends_the_comparison(number, monkeypatch, tmp_path):
    seen = []

    def fails(job, *more):
        seen.append(job.row)
        try:
            os.kill(os.getpid(), number)
            time.sleep(1)
        except BaseException as error:
            raise RuntimeError("swallowed") from error

    monkeypatch.setattr(compare, "run_job", fails)
    with heeding():
        assert main(["compare", *TINY, "strategies=[stale,fine_tune]", f"output={tmp_path}"]) == 128 + number
    assert seen == ["stale"]


@pytest.mark.parametrize("command", [["report"], ["recommend", "--user", "1"]])
def test_a_folder_does_not_choose_what_is_imported(command, output, tmp_path, capsys):
    (run,) = runs(output, "stale")
    folder = shutil.copytree(run, tmp_path / run.name)
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["plugins"]["allow"] = ["os."]
    config["strategy"]["_target_"] = config["data"]["_target_"] = "os.getcwd"
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    assert "--allow os." in refused(capsys, command[0], str(folder), *command[1:])


def test_a_comparison_of_other_runs_does_not_write_over_a_page(output, tmp_path, capsys):
    folder = shutil.copytree(output, tmp_path / "again")
    assert main(["compare", *TINY, "strategies=[stale,frozen]", f"output={folder}"]) == 0  # holds all its runs: goes on
    assert rows(folder) == {"stale", "frozen"}
    before = {p: p.read_bytes() for p in folder.iterdir() if p.is_file()}
    capsys.readouterr()
    assert main(["compare", *DRAWN, "strategies=[frozen]", f"output={folder}"]) == 0
    out, err = capsys.readouterr()
    assert "1 finished run reused" in err
    assert f"{folder / 'report.html'} is of other runs and is kept" in out
    assert {p: p.read_bytes() for p in folder.iterdir() if p.is_file()} == before
    (other,) = folder.glob("comparison-*")
    assert f"report: {other / 'report.html'}" in out
    assert rows(other) == {"frozen"}
    assert list((other / "figures").glob("*.png"))
    assert main(["compare", *TINY, "strategies=[frozen]", f"output={folder}"]) == 0  # again: the same place
    assert len(list(folder.glob("comparison-*"))) == 1
    assert main(["report", str(next(folder.glob("frozen-*")))]) == 0  # one run of six is another comparison, too
    assert {p: p.read_bytes() for p in folder.iterdir() if p.is_file()} == before


def test_a_second_comparison_says_that_nothing_ran_and_prints_the_answer(output, capsys):
    assert main(["compare", *TINY, "strategies=[stale]", "seeds=[0]", f"output={output}"]) == 0
    out, err = capsys.readouterr()
    assert "1 finished run reused" in err
    answer = out.split("\n\n")[2].splitlines()
    assert answer[0].startswith("Serve ")
    assert len(answer) <= 4


@pytest.mark.parametrize("more", ["stream.increments=2", "stream.base=0.4"])
def test_rows_of_different_streams_are_refused_with_what_differs(more, output, tmp_path, capsys):
    same = [a for a in TINY if a.split("=")[0] != more.split("=")[0]]
    assert main(["run", *same, "strategy=stale", more, f"output={tmp_path}"]) == 0
    capsys.readouterr()
    said = refused(capsys, "report", str(output), str(tmp_path))
    assert "different streams" in said
    assert more.split("=")[0] in said


def test_where_a_file_of_removals_lies_is_no_part_of_a_run_and_the_run_finds_it_from_anywhere(tmp_path, monkeypatch):
    paths = [tmp_path / name / "removals.csv" for name in ("a", "b")]
    for path in paths:
        path.parent.mkdir()
        path.write_text("increment,user,item\n1,u1,\n")
    small = ["data=simulated", "data.events=500", "stream.increments=3"]
    monkeypatch.chdir(tmp_path)
    one, other = (compose([*small, f"stream.removals={p.relative_to(tmp_path)}"]) for p in paths)
    assert one["stream"]["removals"] == str(paths[0])
    digests = [build.run_digest(config, build.load(config)[1]) for config in (one, other, compose(small))]
    assert digests[0] == digests[1] != digests[2]


def test_differences_in_mse_are_tested_and_runs_that_do_not_tell_their_users_are_not(output, tmp_path):
    folder, why = shutil.copytree(output, tmp_path / "again"), "a run was made before predictions named their users"
    assert main(["report", str(folder)]) == 0
    page = (folder / "report.html").read_text()
    assert "mse, row minus" in page
    assert why not in page
    (file,) = folder.glob("stale-*/predictions.parquet")
    pl.read_parquet(file, glob=False).drop("user").write_parquet(file)
    assert main(["report", str(folder)]) == 0
    page = (folder / "report.html").read_text()
    assert "mse, row minus" not in page
    assert why in page
