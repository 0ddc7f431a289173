"""The report as one HTML file: nothing is loaded from elsewhere, nothing runs, every text is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from gnnrec.core.errors import GnnrecError
from gnnrec.evaluation import results as table
from gnnrec.evaluation.results import REFERENCE
from gnnrec.evaluation.significance import ERROR
from gnnrec.reporting import page, tables
from gnnrec.reporting.figures import caption

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
        answer: a few lines (gnnrec.reporting.answer).
        summary: gnnrec.evaluation.results.summary.
        figures: PNG files, embedded with the captions of gnnrec.reporting.figures.
        data_text: counts and dirt, shown as they are in fixed width.
        config_text: the configuration, likewise.
        notes: what was unusual or left out.
        protocol_text: how it was measured; empty lines separate paragraphs.
        significance: of gnnrec.evaluation.significance, a table per metric; None where it was not tested.
        details: further tables (`increments_and_segments`).
        k: cut-off of the ranking metrics.
    """
    sections = [
        ("table", "Comparison", _comparison(summary, k)),
        ("figures", "Figures", _gallery(figures)),
        ("differences", "Are the differences real?", _significance(significance)),
        (
            "increments",
            "Per increment and segment",
            "".join(page.folded(heading, page.table(f)) for heading, f in details),
        ),
        ("data", "Data", page.block(data_text)),
        ("configuration", "Configuration", page.block(config_text)),
        ("measured", "How it was measured", page.paragraphs(protocol_text) + page.listed(notes)),
    ]
    page.save(path, page.page(title, answer, [s for s in sections if s[2]]))


def increments_and_segments(results: pl.DataFrame, k: int = 20, first: int = 1) -> list[tuple[str, pl.DataFrame]]:
    """Return tables of recall@k and MSE on every next increment, of recall@k by segment, beyond accuracy; means over seeds."""
    wanted = [
        (f"recall@{k} on each next increment, all users", _wide(results, f"recall@{k}", "all")),
        (f"recall@{k} on each next increment, known users", _wide(results, f"recall@{k}", "known_user")),
        ("MSE on each next increment", _wide(results, "mse", "all")),
        (f"recall@{k} by segment, mean over increments (n summed over them)", _segments(results, f"recall@{k}", first)),
        ("Beyond accuracy: the lists of next, and what an update took; means over increments", _beyond(results, first)),
    ]
    return [(heading, frame) for heading, frame in wanted if frame.height and frame.width > 2]


def _beyond(results: pl.DataFrame, first: int) -> pl.DataFrame:
    """Return what lists are like, and energy; where no row has any energy, core-seconds say it all the same."""
    frame = table.beyond_accuracy(results, first)
    told = {"core_seconds": "core-seconds", "energy_joules": "joules, of all the machine did"}
    return frame.rename({name: heading for name, heading in told.items() if name in frame.columns})


def _segments(results: pl.DataFrame, metric: str, first: int) -> pl.DataFrame:
    """Return the table by segment, each headed by the n it rests on."""
    frame = table.by_segment(results, metric, first)
    scored = {s: max(table.next_mean(results, metric, s, first)["n"].to_list()) for s in frame.columns[2:]}
    return frame.rename({name: f"{name} (n {n:,})" for name, n in scored.items()})


def _wide(results: pl.DataFrame, metric: str, segment: str) -> pl.DataFrame:
    """Return a row per strategy × scorer and a column per increment, headed by it and by the n that was scored there."""
    frame = table.per_increment(results, metric, segment)
    if not frame.height:
        return frame
    scored = dict(frame.group_by("evaluated_on").agg(pl.col("n").max()).iter_rows())
    what = "events" if metric == "mse" else "users"
    headed = {t: f"{t} ({n:,} {what})" for t, n in scored.items()}
    frame = frame.with_columns(pl.col("evaluated_on").replace_strict(headed, return_dtype=pl.String))
    return frame.pivot("evaluated_on", index=["strategy", "scorer"], values="mean").sort(
        pl.col("scorer") == REFERENCE, maintain_order=True
    )


def _comparison(summary: pl.DataFrame, k: int) -> str:
    shown = tables.columns(summary, k)
    rows = tables.cells(summary, shown)
    first_reference = next((i for i, row in enumerate(rows) if row[1] == REFERENCE), len(rows))
    lines = [page.row(row, _classes(i, first_reference)) for i, row in enumerate(rows)]
    notes = "".join(f'<p class="small">{page.text(line)}</p>' for line in tables.footnotes(summary, k))
    return page.grid(tables.headings(shown), lines) + notes


def _classes(index: int, first_reference: int) -> str:
    if index < first_reference:
        return ""
    return "rule reference" if index == first_reference > 0 else "reference"


def _significance(frame: pl.DataFrame | None) -> str:
    if frame is None or not frame.height:
        return '<p class="small">Not tested: there are no per-user values of two rows to set against each other.</p>'
    return "".join(map(_tested, frame.partition_by("metric", maintain_order=True)))


def _tested(frame: pl.DataFrame) -> str:
    """Return the table of one metric."""
    lines = [page.row(tables.difference(row), left=3) for row in frame.iter_rows(named=True)]
    metric = frame["metric"][0]
    error = metric == ERROR
    units, worse = ("their events; less is better", "above") if error else ("users", "below")
    note = (
        f"{metric}, row minus the one it is set against, paired by user: mean over seeds and increments of the "
        f"mean over {units}. The first interval and its p resample users, for these increments and seeds; the second "
        "increments and seeds too, crossed with users (n/a below 5 increments). Both hold for all "
        f"{frame.height} pairs together (max-t), so p is below .05 exactly where an interval leaves out 0; a pair that is "
        f"not listed is untested. As good: at most 1 % of its value {worse} full retraining, one-sided 95 %. Detectable: the "
        "least difference found with power 0.8, on these increments and seeds."
    )
    return (
        f"<h3>{page.text(metric)}</h3>" + page.grid(tables.DIFFERENCE, lines, left=3) + f'<p class="small">{note}</p>'
    )


def _gallery(figures: Sequence[Path]) -> str:
    return f'<div class="gallery">{"".join(map(_figure, figures))}</div>' if figures else ""


def _figure(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise GnnrecError(f"cannot read the figure {path}: {error.strerror}") from error
    return page.picture(data, caption(path))
