"""Every table of a report as CSV, Markdown and LaTeX."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from gnnrec.evaluation.results import REFERENCE
from gnnrec.reporting import exports, html, tables
from gnnrec.reporting.exports import PrintedTable

ODD = r"a|b & 50% of_x {y} ~^ #1 $ \z"


@pytest.fixture
def found(overview: pl.DataFrame, pretend: Callable[..., pl.DataFrame]) -> list[PrintedTable]:
    return exports.tables_of(overview, None, html.increments_and_segments(pretend(3, 2)))


def cells_of(line: str) -> list[str]:
    return [c.strip() for c in re.split(r"(?<!\\)&", line.removesuffix(r"\\"))]


def test_all_tables_of_the_page_are_there_under_names_of_their_own(found: list[PrintedTable]) -> None:
    assert len({t.name for t in found}) == len(found) >= 4
    assert all(re.fullmatch(r"[a-z0-9-]+", t.name) for t in found)


def test_files_hold_what_is_printed_and_csv_all_digits(
    found: list[PrintedTable], overview: pl.DataFrame, tmp_path: Path
) -> None:
    paths = exports.write(tmp_path, found, latex=True)
    assert len(paths) == 3 * len(found)
    read = pl.read_csv(tmp_path / "tables" / "comparison.csv")
    assert read["recall@20_all"].to_list() == overview["recall@20_all"].to_list()
    lines = (tmp_path / "tables" / "comparison.md").read_text().splitlines()
    body = [[c.strip() for c in line.strip("|").split(" | ")] for line in lines if line.startswith("|")]
    assert body[2:] == tables.cells(overview, tables.columns(overview))
    assert {p.suffix for p in exports.write(tmp_path / "plain", found)} == {".csv", ".md"}


def test_latex_has_as_many_cells_in_each_row_as_columns_and_all_pairs_closed(found: list[PrintedTable]) -> None:
    for table in found:
        text = table.latex()
        columns = re.search(r"\\begin\{tabular\}\{(l*r*)\}", text)
        assert columns is not None
        rows = [line for line in text.splitlines() if line.endswith(r"\\")]
        assert len(rows) == 1 + len(table.rows)
        assert {len(cells_of(row)) for row in rows} == {len(columns[1])} == {len(table.heads)}
        assert text.count(r"\begin{") == text.count(r"\end{")
        bare = re.sub(r"\\[{}]", "", text)
        assert bare.count("{") == bare.count("}")
        assert len(re.findall(r"(?<!\\)\$", text)) % 2 == 0


def test_a_rule_parts_rows_that_train_nothing(found: list[PrintedTable]) -> None:
    lines = found[0].latex().splitlines()
    rules = [n for n, line in enumerate(lines) if line == r"\midrule"]
    assert len(rules) == 2
    assert cells_of(lines[rules[1] + 1])[1] == REFERENCE
    assert cells_of(lines[rules[1] - 1])[1] != REFERENCE


def test_odd_names_are_printed_as_they_are() -> None:
    frame = pl.DataFrame({"strategy": [ODD], "scorer": ["model"], "x": [0.5]})
    table = PrintedTable("odd", ODD, frame, [*frame.columns], tables.plain_cells(frame))
    assert table.markdown().splitlines()[-1].startswith("| a\\|b & 50%")
    row = next(line for line in table.latex().splitlines() if line.endswith(r"& 0.5000 \\"))
    assert cells_of(row)[0] == (
        r"a$|$b \& 50\% of\_x \{y\} \textasciitilde{}\textasciicircum{} \#1 \$ \textbackslash{}z"
    )
