"""Lists for users: one start for many, scores named, strangers said, and data that have moved."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest
from test_cli import TINY, refused, runs

from gnnrec.cli.main import main
from gnnrec.runs import saved

MODEL = [a for a in TINY if not a.startswith("data")]


def log(folder: Path) -> Path:
    """Write a log of a few hundred events and return it."""
    rows = [f"u{(7 * n) % 41},i{(n * n + n // 41) % 29},{1_500_000_000 + 3600 * n}" for n in range(700)]
    (folder / "log.csv").write_text("\n".join(["user,item,time", *rows]))
    return folder / "log.csv"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run on a log that was named by a relative path."""
    home = tmp_path_factory.mktemp("home")
    log(home)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        assert main(["run", *MODEL, "data=file", "data.path=log.csv", "strategy=frozen", "output=out"]) == 0
    (found,) = runs(home / "out")
    return found


def rows(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[list[list[str]], list[str]]:
    """Return the cells that a command prints and the lines that it says beside them."""
    capsys.readouterr()
    assert main(["recommend", *arguments]) == 0
    out, err = capsys.readouterr()
    return [line.split("\t") for line in out.splitlines()], err.splitlines()


def test_a_relative_path_is_read_from_anywhere(run, capsys):
    (head, *lists), _ = rows(capsys, str(run), "--user", "u3", "-k", "5")
    assert head == ["user", "rank", "item", "title", "blend_score"]
    assert [r[:2] for r in lists] == [["u3", str(n)] for n in range(1, 6)]
    assert main(["report", str(run)]) == 0


def test_many_users_in_one_start_get_what_each_gets_alone(run, capsys, tmp_path):
    (tmp_path / "users.txt").write_text("u5\r\nu6\n\nu5\n")
    (_, *together), _ = rows(capsys, str(run), "--user", "u3", "--users", str(tmp_path / "users.txt"), "-k", "4")
    alone = [r for u in ("u3", "u5", "u6") for r in rows(capsys, str(run), "--user", u, "-k", "4")[0][1:]]
    assert [r[:-1] for r in together] == [r[:-1] for r in alone]
    # A product of three rows and one of one row may differ in a float's last digit, and so round differently.
    assert [float(r[-1]) for r in together] == pytest.approx([float(r[-1]) for r in alone], abs=1.01e-4)
    assert len(together) == 12


def test_nobody_is_offered_what_they_took(run, capsys):
    stream = saved.scene_of(saved.find(run)[0]).setting.stream
    parts = [i.observed.train for i in stream.increments]
    taken = {(stream.users[u], stream.items[i]) for p in parts for u, i in zip(p.user, p.item, strict=True)}
    (_, *lists), _ = rows(capsys, str(run), "--all", "-k", "30")
    assert {r[0] for r in lists} == {u for u, _ in taken}
    assert not taken & {(r[0], r[2]) for r in lists}


def test_strangers_are_said_beside_the_lists(run, capsys):
    (_, *lists), (said,) = rows(capsys, str(run), "--user", "nobody", "-k", "3")
    assert "'nobody' is not known" in said
    assert "popularity" in said
    assert len(lists) == 3
    _, (said,) = rows(capsys, str(run), "--user", "nobody", "--user", "u3", "--user", "else", "-k", "3")
    assert said.startswith("2 of 3 users are not known to this run ('nobody', 'else')")


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_lists_are_written_to_a_file(run, capsys, tmp_path, ending):
    target = tmp_path / f"lists{ending}"
    (said, *_), _ = rows(capsys, str(run), "--all", "--scorer", "model", "--output", str(target))
    found = pl.read_csv(target) if ending == ".csv" else pl.read_parquet(target)
    assert found.columns == ["user", "rank", "item", "title", "model_score", "known"]
    assert found["known"].all()
    assert said == [f"{found.height:,} rows for 41 users: {target}"]


def test_data_that_have_moved_can_be_named(run, capsys, tmp_path):
    moved = tmp_path / "kept" / run.name
    shutil.copytree(run, moved)
    old = run.parent.parent / "log.csv"
    new = shutil.move(old, tmp_path / "new.csv")
    try:
        said = refused(capsys, "recommend", str(moved), "--user", "u3")
        assert "log.csv does not exist" in said
        assert "--data PATH" in said
        assert rows(capsys, str(moved), "--user", "u3", "--data", str(new))[0]
        assert main(["report", str(moved), "--data", str(new)]) == 0
        (tmp_path / "other.csv").write_text(Path(new).read_text().replace("u3,", "u33,"))
        said = refused(capsys, "recommend", str(moved), "--user", "u3", "--data", f"{tmp_path}/other.csv")
        assert "the data have changed" in said
    finally:
        shutil.move(new, old)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--user", "u3", "-k", "0"], "at least 1"),
        ([], "--users FILE"),
        (
            ["--users", "/nonexistent"],
            "/nonexistent cannot be read: No such file or directory; name a file with an id per line",
        ),
        (["--user", "u3", "--output", "lists.xlsx"], ".parquet"),
        (["--user", "u3", "--output", "/nonexistent/lists.csv"], "there is no folder /nonexistent; make it"),
        (["--user", "u3", "--output", "folder.csv"], "folder.csv is a folder; name a file in it"),
    ],
)
def test_a_wrong_request_is_one_line(run, capsys, arguments, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.csv").mkdir()
    assert said in refused(capsys, "recommend", str(run), *arguments)


def test_a_folder_must_hold_one_run(run, capsys, tmp_path):
    assert "holds no run" in refused(capsys, "recommend", str(tmp_path), "--user", "1")
    shutil.copytree(run, tmp_path / "a")
    shutil.copytree(run, tmp_path / "b")
    assert "name the folder of one" in refused(capsys, "recommend", str(tmp_path), "--user", "1")
