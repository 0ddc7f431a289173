"""All comparisons below a folder, ranked where they were measured alike."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from gnnrec.cli.main import main
from gnnrec.core.errors import GnnrecError
from gnnrec.evaluation.results import REFERENCE, summary
from gnnrec.reporting import leaderboard


def put(folder: Path, frame: pl.DataFrame, **record: object) -> None:
    folder.mkdir(parents=True)
    (folder / "summary.csv").write_text(frame.write_csv())
    (folder / "run.json").write_text(json.dumps({"protocol": "p1", **record}))


@pytest.fixture
def root(tmp_path: Path, pretend: Callable[..., pl.DataFrame]) -> Path:
    frame = summary(pretend(3, 2))
    better = frame.with_columns(
        pl.when(pl.col("scorer") == REFERENCE).then("recall@20_all").otherwise(pl.col("recall@20_all") + 0.01)
    )
    put(tmp_path / "one", frame, fingerprint="a" * 64)
    put(tmp_path / "deep" / "two", better, fingerprint="a" * 64)
    put(tmp_path / "other_data", frame, fingerprint="b" * 64)
    put(tmp_path / "other_protocol", frame, fingerprint="a" * 64, protocol="p2")
    put(tmp_path / "old", frame)
    put(tmp_path / "old_too", frame)
    return tmp_path


def test_only_what_was_measured_alike_stands_in_one_ranking(root: Path) -> None:
    found = {(b.protocol, b.data): set(b.rows["comparison"]) for b in leaderboard.boards(root)}
    assert found == {
        ("p1", "a" * 12): {"one", "deep/two"},
        ("p1", "b" * 12): {"other_data"},
        ("p2", "a" * 12): {"other_protocol"},
        ("p1", "of old alone"): {"old"},
        ("p1", "of old_too alone"): {"old_too"},
    }


def test_rows_stand_by_recall_and_those_that_train_nothing_once(root: Path) -> None:
    board = next(b for b in leaderboard.boards(root) if b.data == "a" * 12 and b.protocol == "p1")
    values = board.rows["recall@20_all"].to_list()
    assert values == sorted(values, reverse=True)
    assert board.rows["place"][0] == 1
    trained = board.rows.filter(pl.col("scorer") != REFERENCE)
    assert set(trained.group_by("strategy", "scorer").len()["len"]) == {2}
    counters = board.rows.filter(pl.col("scorer") == REFERENCE)
    assert counters["strategy"].is_unique().all()
    lines = board.text().splitlines()
    assert lines[0].startswith(f"Data {'a' * 12}, protocol p1: 2 comparisons")
    assert lines[3].startswith(f"{board.rows['strategy'][0]} / {board.rows['scorer'][0]}")


def test_a_run_beside_a_comparison_says_what_its_data_were(
    tmp_path: Path, pretend: Callable[..., pl.DataFrame]
) -> None:
    put(tmp_path / "out", summary(pretend(2, 1)), runs=["gone", "here"])
    (tmp_path / "out" / "here").mkdir()
    (tmp_path / "out" / "here" / "status.json").write_text(json.dumps({"fingerprint": "c" * 64}))
    assert [b.data for b in leaderboard.boards(tmp_path)] == ["c" * 12]


def test_the_command_prints_and_writes_it(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--index", str(root)]) == 0
    assert f"page: {root / 'index.html'}" in capsys.readouterr().out
    page = (root / "index.html").read_text()
    assert page.count("<section") == 5
    assert "never to be compared" in page
    assert main(["report", "--index", str(root), str(root)]) == 2
    assert "--index takes one folder" in capsys.readouterr().err


def test_nothing_there_and_damage_are_said(tmp_path: Path, root: Path) -> None:
    with pytest.raises(GnnrecError, match="holds no comparison"):
        leaderboard.boards(tmp_path / "one" / "empty")
    (root / "old" / "run.json").write_text("{")
    with pytest.raises(GnnrecError, match="is damaged"):
        leaderboard.boards(root)
