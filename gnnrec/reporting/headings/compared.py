"""2, 3 and 7. How far from full retraining, what each row reached and cost, and whether differences are real."""

from __future__ import annotations

import polars as pl

from gnnrec.evaluation.results import REFERENCE
from gnnrec.evaluation.significance import ERROR, FULL
from gnnrec.reporting import page, tables
from gnnrec.reporting.answer import best_row, lowest_error, to_serve
from gnnrec.reporting.headings.content import PageContent
from gnnrec.reporting.verdicts import key_of


def distance(content: PageContent) -> str:
    """Return the figure of differences to full retraining."""
    if not content.summary.filter(strategy=FULL).height:
        return page.small(f"{FULL} is no row of this comparison: the distance to it is n/a.")
    return content.figure("from_full") or page.small("No figure was drawn; the table below has the numbers.")


def compared(content: PageContent) -> str:
    """Return the table of trained rows, the best first, the rows that train nothing folded, and everything folded."""
    summary, metric, ranks = content.summary, content.metric, f"recall@{content.k}_all"
    ordered = summary.sort(metric, descending=not content.falls, nulls_last=True, maintain_order=True)
    trained, counters = ordered.filter(pl.col("scorer") != REFERENCE), ordered.filter(scorer=REFERENCE)
    # A blend expects what its model does, and its errors are not tested for themselves.
    rows = trained.filter(pl.col("scorer") != "blend") if content.falls else trained
    chosen = to_serve(summary, content.tests, content.k)
    served = None if chosen is None else key_of(chosen)
    names = (metric, "seconds_per_update", "vs_full", "as_good", "regret", "retrain_price", ranks, ERROR)
    every = tables.columns(summary, content.k)
    found = {c[1]: c for c in every if tables.measured(summary, c[1])}
    shown = tuple(found[name] for name in dict.fromkeys(names) if name in found)
    quality = tuple(c for c in shown if c[1] in (ranks, ERROR, "as_good"))
    main = _grid(rows, shown, served, f"Trained rows, the best by {content.called} first; bold: to be served")
    rest = _grid(counters, quality, served, "Rows that train nothing, computed once")
    whole = _grid(pl.concat([trained, counters]), every, served, "Every column")
    notes = "".join(page.small(line) for line in tables.footnotes(summary, content.k))
    return (
        (main if rows.height else "")
        + (page.folded("Rows that train nothing", rest) if counters.height else "")
        + page.folded("All columns", whole)
        + notes
        + content.figure("cost_quality")
    )


def _grid(rows: pl.DataFrame, shown: tables.TableColumns, served: tuple[str, str] | None, caption: str) -> str:
    lines = []
    for key, cells in zip(rows.select("strategy", "scorer").iter_rows(), tables.cells(rows, shown), strict=True):
        kind = "best" if key == served else "reference" if key[1] == REFERENCE else ""
        lines.append(page.row(cells, kind))
    return page.grid(tables.headings(shown), lines, caption=caption)


def tested(content: PageContent) -> str:
    """Return the tests of the best row against every other one; all pairs folded."""
    frame = content.tests
    if frame is None or not frame.height:
        return page.small("Not tested: there are no per-user values of two rows to set against each other.")
    main = content.metric.removesuffix("_all")
    best = lowest_error(content.summary) if content.falls else best_row(content.summary, content.k)
    parts = frame.partition_by("metric", maintain_order=True)
    return "".join(
        _tested(part, best if part["metric"][0] == main else None)
        for part in sorted(parts, key=lambda part: part["metric"][0] != main)
    )


def _tested(frame: pl.DataFrame, best: tuple[str, str] | None) -> str:
    """Return the tables of one metric: the pairs of the best row by it, where that is given, and all of them folded."""
    metric, error = str(frame["metric"][0]), frame["metric"][0] == ERROR
    units, worse = ("their events; less is better", "above") if error else ("users", "below")
    note = (
        f"{metric}, row minus the one it is set against, paired by user: mean over seeds and increments of the "
        f"mean over {units}. The first interval and its p resample users, for these increments and seeds; the second "
        "increments and seeds too, crossed with users (n/a below 5 increments). Both hold for all "
        f"{frame.height} pairs together (max-t), so p is below .05 exactly where an interval leaves out 0; a pair that is "
        f"not listed is untested. As good: at most 1 % of its value {worse} full retraining, one-sided 95 %. Detectable: the "
        "least difference found with power 0.8, on these increments and seeds."
    )
    all_pairs = page.folded(
        f"{metric}: all {frame.height} pairs", _pairs(frame, f"{metric}, all pairs") + page.small(note)
    )
    if best is None:
        return all_pairs
    name, scorer = best
    own = frame.filter(
        pl.col("strategy").eq(name) & pl.col("scorer").eq(scorer)
        | pl.col("reference").eq(name) & pl.col("reference_scorer").eq(scorer)
    )
    return (_pairs(own, f"{metric}: {name} ({scorer}) and every other row") if own.height else "") + all_pairs


def _pairs(frame: pl.DataFrame, caption: str) -> str:
    lines = [page.row(tables.difference(row), left=3) for row in frame.iter_rows(named=True)]
    return page.grid(tables.DIFFERENCE, lines, left=3, caption=caption)
