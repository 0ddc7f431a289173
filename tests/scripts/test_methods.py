"""The record of the methods is made by commands that go on with what there is, and its tables say what was measured."""

from __future__ import annotations

import methods
import methods_over
import polars as pl
import pytest
import views
from support.scripts import TINY, ran

SPACES = {"fine_tune": [], "full_retrain": [], "pull": methods.SPACES["pull"][:2]}


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    """Return the folder of a record of two logs that are one, by trials and without."""
    folder = tmp_path_factory.mktemp("methods")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(methods, "LAST", 1)
        patch.setattr(methods, "SPACES", SPACES)
        for name, more in (("tried", []), ("plain", ["--defaults", "figures=false"])):
            given = ["simulated", "--seeds", "0", *more, f"output={folder / name}", *TINY]
            assert ran(patch, methods, *given, "--part", "1/2") == 0  # full_retrain alone
            assert ran(patch, methods, *given) == 0
    return folder


def test_a_record_is_made_and_read(record, monkeypatch, capsys):
    assert len(list((record / "tried" / "trials").glob("pull-*.json"))) == 2
    assert not (record / "plain" / "trials").exists()
    trials = pl.read_csv(record / "tried" / "table" / "trials.csv")
    assert trials["strategy"].to_list() == ["pull", "pull"]
    assert trials["ndcg@20"].null_count() == 0
    assert ran(monkeypatch, methods_over, record) == 0
    said = capsys.readouterr().out
    assert "2 data sets" in said
    assert (record / "ranks-blend.png").exists()
    lines = (record / "over-blend.md").read_text().splitlines()
    assert {x.split(" | ")[0] for x in lines[2:]} == {f"| {name}" for name in SPACES}
    assert next(x for x in lines if x.startswith("| fine_tune |")).endswith("|  |  | 1.0 |")
    for name in ("tried", "plain"):
        table = record / name / "table"
        summary = pl.read_csv(table / "summary.csv").filter(scorer="blend")
        lines = (table / "table-blend.md").read_text().splitlines()
        for row in summary.iter_rows(named=True):
            assert any(
                x.startswith(f"| {row['strategy']} ") and methods_over.number(row["ndcg@20"]) in x for x in lines
            )
        tuned = [x for x in lines if x.startswith("| pull (strength 0.")]
        assert len(tuned) == (name == "tried"), "the setting that trials preferred stands beside the name"
        segments = pl.read_csv(table / "segments.csv").filter(scorer="blend")
        assert segments.sort("strategy")["all"].to_list() == summary.sort("strategy")["recall@20_all"].to_list()
        assert "known user" in (table / "segments-blend.md").read_text()
        assert set(pl.read_csv(table / "regret.csv")["strategy"]) >= {"fine_tune", "pull"}
        assert set(pl.read_csv(table / "regret-select.csv")["strategy"]) == {"fine_tune", "full_retrain"}
        assert "Serve " in (table / "table.txt").read_text()


def test_what_is_there_is_not_run_again(record, monkeypatch):
    monkeypatch.setattr(methods, "LAST", 1)
    monkeypatch.setattr(methods, "SPACES", SPACES)
    monkeypatch.setattr(methods, "outcome", None)  # a trial would fail
    before = {p: p.stat().st_mtime_ns for p in record.glob("tried/*-seed0-*/results.parquet")}
    assert ran(monkeypatch, methods, "simulated", "--seeds", "0", f"output={record / 'tried'}", *TINY) == 0
    assert before == {p: p.stat().st_mtime_ns for p in before}


def test_views_are_compared(tmp_path, monkeypatch):
    assert ran(monkeypatch, views, "simulated", "--seeds", "0", f"output={tmp_path}", *TINY) == 0
    rows = pl.read_csv(tmp_path / "table" / "summary.csv")["strategy"].unique()
    assert set(rows) >= {f"{s}, {v}" for s in views.STRATEGIES for v in views.VIEWS}


def test_a_folder_without_tables_is_said(tmp_path, monkeypatch, capsys):
    assert ran(monkeypatch, methods_over, tmp_path) == 1
    assert "run scripts/methods.py first" in capsys.readouterr().err
