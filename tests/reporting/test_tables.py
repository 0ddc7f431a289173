"""The printed comparison: exact headings, n/a and never a guess, order, footnotes."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import struct
import sys
import termios
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from gnnrec.evaluation.results import summary
from gnnrec.reporting import tables, terminal

Make = Callable[..., pl.DataFrame]

HEADINGS = [
    "strategy",
    "scorer",
    "MSE",
    "recall@20 known",
    "recall@20 all",
    "ndcg@20",
    "forgetting",
    "s/update",
    "vs full",
]


def test_headings_are_the_ones_of_the_issue(overview: pl.DataFrame) -> None:
    assert tables.headings(tables.columns(overview)) == HEADINGS
    head = terminal.comparison(overview).splitlines()[0]
    assert [part.strip() for part in head.split("   ") if part.strip()] == HEADINGS


def test_columns_are_aligned_and_references_come_last_below_a_rule(overview: pl.DataFrame) -> None:
    lines = terminal.comparison(overview).splitlines()
    rules = [i for i, line in enumerate(lines) if line.startswith("---")]
    assert rules == [1, 14]
    assert [line.split()[0] for line in lines[15:18]] == ["popularity", "decayed_popularity", "itemknn"]
    assert len({len(line) for line in lines[:18]}) == 1
    assert lines[15].split()[1:] == ["reference", "n/a", "0.1054", "0.0917", "0.0458", "0.0238", "n/a", "n/a"]


def test_footnotes_give_increments_seeds_users_and_ceiling(overview: pl.DataFrame) -> None:
    text = terminal.comparison(overview)
    assert "9 next increments" in text
    assert "deviation over 3 seeds;" in text
    assert "known 9,450, all 9,450" in text
    assert "92.0%" in text


def test_forgetting_that_does_not_exist_is_na_and_said_so(pretend: Make) -> None:
    text = terminal.comparison(summary(pretend(3, 1, test=False)))
    assert "Forgetting is n/a" in text
    assert "±" not in text.split("\n\n")[0]


@pytest.mark.parametrize(
    ("got", "want"),
    [
        (tables.cell(0.5, 0.01, 4), "0.5000 ± 0.0100"),
        (tables.cell(0.5, None, 4), "0.5000"),
        (tables.cell(None, 0.1, 4), "n/a"),
        (tables.cell(float("nan"), None, 4), "n/a"),
        (tables.number(-0.00001, 4), "0.0000"),
        (tables.number(-0.01, 4), "-0.0100"),
        (tables.ratio(12.345), "12.3×"),
        (tables.ratio(0.5), "0.50×"),
        (tables.ratio(2116.5), "2,116×"),
        (tables.ratio(float("inf")), "n/a"),
        (tables.ratio(None), "n/a"),
    ],
)
def test_cells(got: str, want: str) -> None:
    assert got == want


def test_another_cut_off_renames(pretend: Make) -> None:
    assert "recall@10 all" in terminal.comparison(summary(pretend(2, 1), k=10), k=10)


@pytest.mark.parametrize("width", [60, 80, 100, 118, 200])
def test_no_row_is_longer_than_the_terminal(overview: pl.DataFrame, width: int) -> None:
    text = terminal.comparison(overview, width=width)
    body, notes = text.split("\n\n", 1)
    assert max(map(len, body.splitlines())) <= width
    assert len(body.splitlines()) == len(terminal.comparison(overview).split("\n\n", 1)[0].splitlines())
    assert "recall@20 all" in body
    assert ("the report has them" in notes) == (body != terminal.comparison(overview).split("\n\n", 1)[0].rstrip())


def test_at_80_columns_quality_cost_and_ratio_are_kept(overview: pl.DataFrame) -> None:
    head = terminal.comparison(overview, width=80).splitlines()[0].split("  ")
    assert {"recall@20 all", "s/update", "vs full"} <= {h.strip() for h in head}
    assert "Left out at this width: " in terminal.comparison(overview, width=80)


def test_endless_names_are_cut_and_only_for_a_terminal(overview: pl.DataFrame) -> None:
    long = overview.with_columns(pl.format("{}{}", "strategy", pl.lit("x" * 90)).alias("strategy"))
    assert max(map(len, terminal.comparison(long, width=80).split("\n\n")[0].splitlines())) <= 80
    assert "x" * 90 in terminal.comparison(long)


def test_the_width_is_that_of_a_terminal_and_of_nothing_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 72, 0, 0))
    with os.fdopen(follower, "w") as screen, (tmp_path / "piped").open("w") as file:
        monkeypatch.setattr(sys, "stdout", screen)
        assert terminal.width_of_terminal() == 72
        monkeypatch.setattr(sys, "stdout", file)
        assert terminal.width_of_terminal() is None
        monkeypatch.setattr(sys, "stdout", io.StringIO())
        assert terminal.width_of_terminal() is None
    os.close(leader)


def test_a_blend_without_the_model_is_marked_and_explained(overview: pl.DataFrame) -> None:
    off = pl.when(scorer="blend", strategy="frozen").then(pl.lit(0.25)).when(scorer="blend").then(pl.lit(0.0))
    text = terminal.comparison(overview.with_columns(model_off=off))
    assert next(line.split()[:3] for line in text.splitlines() if "†" in line) == ["frozen", "blend", "†"]
    assert "† Share of increments whose blend left the model out (α = 0): frozen 25%." in text
    assert text.count("†") == 2


def test_epochs_are_a_column_where_they_were_counted(overview: pl.DataFrame) -> None:
    counted = overview.with_columns(epochs=pl.lit(4.25), epochs_deviation=pl.lit(None, dtype=pl.Float64))
    assert "epochs" in terminal.comparison(counted).splitlines()[0]
    assert "4.2" in terminal.comparison(counted)
    assert "epochs" not in terminal.comparison(overview)


def test_few_users_are_said(overview: pl.DataFrame) -> None:
    assert "Few users" not in terminal.comparison(overview)
    few = overview.with_columns(users_all=pl.lit(198.0))
    assert "Few users: about 22 an increment" in terminal.comparison(few)


def test_an_empty_summary_prints(overview: pl.DataFrame) -> None:
    assert "No results." in terminal.comparison(overview.clear())
