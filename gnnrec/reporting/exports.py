"""Every table of a report as files: CSV with all digits, Markdown and LaTeX as printed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from gnnrec.core.files import write_atomic
from gnnrec.evaluation.results import REFERENCE
from gnnrec.reporting import tables

FOLDER = "tables"
_TEX = {
    **{c: f"\\{c}" for c in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"±": r"$\pm$", "×": r"$\times$", "†": r"$^\dagger$", "α": r"$\alpha$", "→": r"$\to$", "≥": r"$\ge$", "−": "$-$"},
    **{"<": r"$<$", ">": r"$>$", "|": r"$|$"},
}


@dataclass(frozen=True, slots=True)
class PrintedTable:
    """A table of a report.

    Attributes:
        name: of its files.
        caption: what it shows.
        frame: its numbers.
        heads, rows: as they are printed.
        left: columns of text, which come first.
        notes: what it rests on.
    """

    name: str
    caption: str
    frame: pl.DataFrame
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: int = 2
    notes: Sequence[str] = ()

    def markdown(self) -> str:
        """Return it as GitHub Markdown."""
        rule = ["---" if i < self.left else "---:" for i in range(len(self.heads))]
        lines = [
            "| " + " | ".join(c.replace("|", "\\|") for c in line) + " |" for line in (self.heads, rule, *self.rows)
        ]
        return "\n".join([f"{self.caption}\n", *lines, "", *(f"{note}  " for note in self.notes)]).rstrip() + "\n"

    def latex(self) -> str:
        """Return it as a table of the package booktabs; a rule comes before the rows that train nothing."""
        columns = "l" * self.left + "r" * (len(self.heads) - self.left)
        body, before = list[str](), False
        for row in self.rows:
            reference = self.left > 1 and row[1] == REFERENCE
            body += [r"\midrule"] if reference and body and not before else []
            body.append(_tex_row(row))
            before = reference
        notes = [rf"\par\smallskip{{\footnotesize {' '.join(map(tex, self.notes))}\par}}"] if self.notes else []
        lines = [
            "% needs \\usepackage{booktabs}",
            *(r"\begin{table}", r"\centering", rf"\caption{{{tex(self.caption)}}}", rf"\label{{tab:{self.name}}}"),
            *(rf"\begin{{tabular}}{{{columns}}}", r"\toprule", _tex_row(self.heads), r"\midrule"),
            *(*body, r"\bottomrule", r"\end{tabular}", *notes, r"\end{table}"),
        ]
        return "\n".join(lines) + "\n"


def tables_of(
    summary: pl.DataFrame, significance: pl.DataFrame | None, details: Iterable[tuple[str, pl.DataFrame]], k: int = 20
) -> list[PrintedTable]:
    """Return the comparison, the differences by metric, and further tables; arguments as of `gnnrec.reporting.html.write`."""
    shown = tables.columns(summary, k)
    heads, rows, notes = tables.headings(shown), tables.cells(summary, shown), tables.footnotes(summary, k)
    found = [PrintedTable("comparison", "Comparison on the next increments", summary, heads, rows, 2, notes)]
    tested = [] if significance is None else significance.partition_by("metric", maintain_order=True)
    return [*found, *map(_differences, tested), *_others(details)]


def _differences(frame: pl.DataFrame) -> PrintedTable:
    metric = str(frame["metric"][0])
    rows = [tables.difference(row) for row in frame.iter_rows(named=True)]
    caption = f"Differences in {metric}, row minus the one that it is set against, paired by user"
    return PrintedTable(_slug(f"differences {metric}"), caption, frame, tables.DIFFERENCE, rows, 3)


def _others(details: Iterable[tuple[str, pl.DataFrame]]) -> Iterator[PrintedTable]:
    for heading, frame in details:
        name, left = re.split(r"[:;(]|, mean", heading)[0], sum(kind == pl.String for kind in frame.dtypes)
        yield PrintedTable(_slug(name), heading, frame, frame.columns, tables.plain_cells(frame), left)


def write(folder: Path, found: Iterable[PrintedTable], latex: bool = False) -> list[Path]:
    """Write every table below a folder of tables, and return the files.

    Args:
        folder: of the report.
        found: the tables.
        latex: as LaTeX too.
    """
    paths = []
    for table in found:
        contents = {".csv": table.frame.write_csv(), ".md": table.markdown()}
        for suffix, content in {**contents, **({".tex": table.latex()} if latex else {})}.items():
            write_atomic(path := folder / FOLDER / f"{table.name}{suffix}", content)
            paths.append(path)
    return paths


def tex(text: str) -> str:
    """Return a text as LaTeX prints it."""
    return "".join(_TEX.get(c, c) for c in text)


def _tex_row(cells: Sequence[str]) -> str:
    return " & ".join(map(tex, cells)) + r" \\"


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
