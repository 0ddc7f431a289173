"""The printed comparison: exact headings, n/a and never a guess, order, footnotes."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl
import pytest

from gnnrec.evaluation.results import summary
from gnnrec.reporting import tables

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
    assert tables.headings() == HEADINGS
    head = tables.comparison(overview).splitlines()[0]
    assert [part.strip() for part in head.split("   ") if part.strip()] == HEADINGS


def test_columns_are_aligned_and_references_come_last_below_a_rule(overview: pl.DataFrame) -> None:
    lines = tables.comparison(overview).splitlines()
    rules = [i for i, line in enumerate(lines) if line.startswith("---")]
    assert rules == [1, 14]
    assert [line.split()[0] for line in lines[15:18]] == ["popularity", "decayed_popularity", "itemknn"]
    assert len({len(line) for line in lines[:18]}) == 1
    assert lines[15].split()[1:] == ["reference", "n/a", "0.1054", "0.0917", "0.0458", "0.0238", "n/a", "n/a"]


def test_footnotes_give_increments_seeds_users_and_ceiling(overview: pl.DataFrame) -> None:
    text = tables.comparison(overview)
    assert "9 next increments" in text
    assert "(3 run)" in text
    assert "known 9,450, all 9,450" in text
    assert "92.0%" in text


def test_forgetting_that_does_not_exist_is_na_and_said_so(pretend: Make) -> None:
    text = tables.comparison(summary(pretend(3, 1, test=False)))
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


def test_markdown_escapes_pipes_and_another_cut_off_renames(pretend: Make, overview: pl.DataFrame) -> None:
    odd = overview.head(1).with_columns(strategy=pl.lit("a|b\nc"))
    assert tables.to_markdown(odd).splitlines()[2].startswith("| a\\|b c | model |")
    assert "recall@10 all" in tables.comparison(summary(pretend(2, 1), k=10), k=10)


def test_an_empty_summary_prints(overview: pl.DataFrame) -> None:
    assert "No results." in tables.comparison(overview.clear())
