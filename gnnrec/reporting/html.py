"""The report as one HTML file: nothing is loaded from elsewhere, nothing runs, every text is escaped."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from gnnrec.errors import GnnrecError, one_line
from gnnrec.evaluation import results as table
from gnnrec.evaluation.results import REFERENCE
from gnnrec.reporting import tables
from gnnrec.reporting.figures import caption

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
CSS = Path(__file__).with_name("page.css")

Details = Sequence[tuple[str, pl.DataFrame]]
"""(heading, table) pairs; text to the left, numbers with four decimals to the right."""


def write(
    path: Path,
    *,
    title: str,
    answer: str,
    summary: pl.DataFrame,
    figures: Sequence[Path],
    data_text: str,
    config_text: str,
    notes: Sequence[str],
    protocol_text: str,
    significance: pl.DataFrame | None,
    details: Details = (),
    k: int = 20,
) -> None:
    """Write the report to `path`, whole or not at all.

    Args:
        path: the HTML file.
        title: of the page.
        answer: a few sentences (gnnrec.reporting.answer).
        summary: gnnrec.evaluation.results.summary.
        figures: PNG files, embedded with the captions of gnnrec.reporting.figures.
        data_text: counts and dirt, shown as they are in fixed width.
        config_text: the configuration, likewise.
        notes: what was unusual or left out.
        protocol_text: how it was measured; empty lines separate paragraphs.
        significance: gnnrec.evaluation.significance.compare; None where it was not tested.
        details: further tables (`increments_and_segments`).
        k: cut-off of the ranking metrics.
    """
    sections = [
        ("table", "Comparison", _comparison(summary, k)),
        ("figures", "Figures", _gallery(figures)),
        ("differences", "Are the differences real?", _significance(significance)),
        ("increments", "Per increment and segment", "".join(_folded(heading, _table(f)) for heading, f in details)),
        ("data", "Data", _block(data_text)),
        ("configuration", "Configuration", _block(config_text)),
        ("measured", "How it was measured", _paragraphs(protocol_text) + _list(notes)),
    ]
    _replace(path, _page(title, answer, [s for s in sections if s[2]]))


def increments_and_segments(results: pl.DataFrame, k: int = 20, first: int = 1) -> list[tuple[str, pl.DataFrame]]:
    """Return tables of recall@k and MSE on every next increment, and of recall@k by segment; means over seeds."""
    wanted = [
        (f"recall@{k} on each next increment, all users", _wide(results, f"recall@{k}", "all")),
        (f"recall@{k} on each next increment, known users", _wide(results, f"recall@{k}", "known_user")),
        ("MSE on each next increment", _wide(results, "mse", "all")),
        (f"recall@{k} by segment, mean over increments", table.by_segment(results, f"recall@{k}", first)),
    ]
    return [(heading, frame) for heading, frame in wanted if frame.height and frame.width > 2]


def _wide(results: pl.DataFrame, metric: str, segment: str) -> pl.DataFrame:
    """Return a row per strategy × scorer and a column per increment."""
    frame = table.per_increment(results, metric, segment)
    if not frame.height:
        return frame
    return frame.pivot("evaluated_on", index=["strategy", "scorer"], values="mean").sort(
        pl.col("scorer") == REFERENCE, maintain_order=True
    )


def _page(title: str, answer: str, sections: Sequence[tuple[str, str, str]]) -> str:
    links = "".join(f'<a href="#{name}">{_text(heading)}</a>' for name, heading, _ in sections)
    body = "".join(
        f'<section id="{name}"><h2>{_text(heading)}</h2>{inner}</section>' for name, heading, inner in sections
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n'
        f"<title>{_text(title)}</title>\n<style>{CSS.read_text(encoding='utf-8')}</style>\n</head>\n<body>\n<main>\n"
        f'<h1>{_text(title)}</h1>\n<p class="answer">{_text(answer)}</p>\n<nav>{links}</nav>\n{body}\n'
        "</main>\n</body>\n</html>\n"
    )


def _comparison(summary: pl.DataFrame, k: int) -> str:
    rows = tables.cells(summary, k)
    first_reference = next((i for i, row in enumerate(rows) if row[1] == REFERENCE), len(rows))
    lines = [_row(row, _classes(i, first_reference)) for i, row in enumerate(rows)]
    notes = "".join(f'<p class="small">{_text(line)}</p>' for line in tables.footnotes(summary, k))
    return _grid(tables.headings(k), lines) + notes


def _classes(index: int, first_reference: int) -> str:
    if index < first_reference:
        return ""
    return "rule reference" if index == first_reference > 0 else "reference"


def _significance(frame: pl.DataFrame | None) -> str:
    if frame is None or not frame.height:
        return '<p class="small">Not tested: there are no per-user values of two rows to set against each other.</p>'
    heads = ["strategy", "scorer", "against", "metric", "difference", "95 % interval", "over increments and seeds"]
    heads += ["p (Holm)", "detectable", "users"]
    lines = [_row(_difference(row), text=4) for row in frame.iter_rows(named=True)]
    note = (
        "Differences are paired by user: row minus the one it is set against, mean over increments of the mean over "
        "users. The first interval resamples users, for these increments and seeds; the second increments, seeds and "
        "users. p: Wilcoxon's signed-rank test, Holm's correction. Detectable: the least found with power 0.8."
    )
    return _grid(heads, lines, text=4) + f'<p class="small">{note}</p>'


def _difference(row: dict[str, object]) -> list[str]:
    def value(name: str) -> str:
        return tables.number(row[name], 4)  # type: ignore[arg-type]

    against = f"{row['reference']} / {row['reference_scorer']}"
    named = [str(row["strategy"]), str(row["scorer"]), against, str(row["metric"])]
    spans = [f"{value('low')} to {value('high')}", f"{value('wide_low')} to {value('wide_high')}"]
    return [*named, value("difference"), *spans, value("p"), value("detectable"), f"{row['users']:,}"]


def _table(frame: pl.DataFrame) -> str:
    text = sum(kind == pl.String for kind in frame.dtypes)
    rows = [[v if isinstance(v, str) else tables.number(v, 4) for v in row] for row in frame.iter_rows()]
    return _grid(frame.columns, [_row(row, text=text) for row in rows], text=text)


def _grid(heads: Sequence[str], rows: Sequence[str], text: int = 2) -> str:
    head = "".join(f"<th{_left(i, text)}>{_text(h)}</th>" for i, h in enumerate(heads))
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _row(cells: Sequence[str], classes: str = "", text: int = 2) -> str:
    inner = "".join(f"<td{_left(i, text)}>{_text(c)}</td>" for i, c in enumerate(cells))
    return f'<tr class="{classes}">{inner}</tr>' if classes else f"<tr>{inner}</tr>"


def _left(column: int, text: int) -> str:
    return ' class="text"' if column < text else ""


def _gallery(figures: Sequence[Path]) -> str:
    return f'<div class="gallery">{"".join(map(_figure, figures))}</div>' if figures else ""


def _figure(path: Path) -> str:
    try:
        data = base64.b64encode(path.read_bytes()).decode("ascii")
    except OSError as error:
        raise GnnrecError(f"cannot read the figure {path}: {error.strerror}") from error
    text = _text(caption(path))
    return f'<figure><img alt="{text}" src="data:image/png;base64,{data}"><figcaption>{text}</figcaption></figure>'


def _folded(heading: str, inner: str) -> str:
    return f"<details><summary>{_text(heading)}</summary>{inner}</details>"


def _paragraphs(text: str) -> str:
    return "".join(f"<p>{_text(part)}</p>" for part in text.split("\n\n") if part.strip())


def _list(notes: Sequence[str]) -> str:
    return f"<h3>Notes</h3><ul>{''.join(f'<li>{_text(note)}</li>' for note in notes)}</ul>" if notes else ""


def _block(text: str) -> str:
    if not text.strip():
        return ""
    lines = ("".join(c if c.isprintable() or c == "\t" else " " for c in line) for line in text.splitlines())
    return f"<pre>{html.escape(chr(10).join(lines))}</pre>"


def _text(text: str) -> str:
    """Escape, after control and direction characters are gone."""
    return html.escape(one_line(text))


def _replace(path: Path, text: str) -> None:
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise GnnrecError(f"cannot write the report {path}: {error.strerror}") from error
