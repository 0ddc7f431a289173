"""The answer in at most four lines, computed from the numbers and claiming no more than they carry."""

from __future__ import annotations

import polars as pl

from gnnrec.evaluation.noninferiority import MARGIN
from gnnrec.evaluation.pairs import Key
from gnnrec.evaluation.results import REFERENCE
from gnnrec.evaluation.significance import ERROR, FULL
from gnnrec.reporting.tables import NA, cell, number, ratio
from gnnrec.reporting.verdicts import SummaryRow, Verdicts, key_of, name_of


def best_row(summary: pl.DataFrame, k: int = 20) -> Key | None:
    """Return strategy and scorer of the trained row with the highest recall@k of all users; None where there is none."""
    best = _best(_trained(summary), f"recall@{k}_all")
    return None if best is None else key_of(best)


def lowest_error(summary: pl.DataFrame) -> Key | None:
    """Return strategy and scorer of the row with the lowest MSE, trained or not; None where no row predicts values."""
    rows = [r for r in summary.rows(named=True) if r["scorer"] != "blend" and r["strategy"] != "oracle"]
    best = _best(rows, ERROR, largest=False)
    return None if best is None else key_of(best)


def answer(summary: pl.DataFrame, significance: pl.DataFrame | None = None, k: int = 20) -> str:
    """Return which row is best, how it stands to full retraining and to the best counter, and MSE, a line each.

    The verdict on a pair is that of `significance` (gnnrec.evaluation.significance, both its tables): "better" or "worse" where
    the interval that speaks of other increments and seeds leaves out 0, "… on these increments and seeds" where only the
    one for these does, "not shown to differ" where neither does; a pair that was not tested is untested.
    """
    metric = f"recall@{k}_all"
    rows = _trained(summary)
    best = _best(rows, metric)
    if best is None:
        return "No trained row of this table has a recall on the next increment: nothing can be compared."
    verdicts = Verdicts(significance, metric)
    lines = [
        _first(rows, best, verdicts),
        _against_full(rows, best, verdicts),
        _against_counters(summary, best, verdicts),
        _errors(summary, rows, Verdicts(significance, ERROR)),
    ]
    return "\n".join(line for line in lines if line)


def _first(rows: list[SummaryRow], best: SummaryRow, verdicts: Verdicts) -> str:
    """Name the best row, its users and seeds, and the next strategy that is not full retraining."""
    metric = verdicts.metric
    rests = [f"{best['users_all']:,.0f} users scored"] if best.get("users_all") else []
    rests += ["one seed"] if best.get("seeds") == 1 else []
    text = f"Best {metric.removesuffix('_all')}: {name_of(best)}, {_value(best, metric)}"
    text += f" ({', '.join(rests)})" if rests else ""
    second = _best([r for r in rows if r["strategy"] not in (best["strategy"], FULL)], metric)
    return f"{text}; {verdicts.say(best, second)}." if second and best["strategy"] != FULL else f"{text}."


def _against_full(rows: list[SummaryRow], best: SummaryRow, verdicts: Verdicts) -> str:
    """Set the best row against full retraining, or the best row that costs less where full retraining is best."""
    metric = verdicts.metric
    like = [r for r in rows if r["scorer"] == best["scorer"]]
    full = next((r for r in like if r["strategy"] == FULL), None)
    if full is None or full[metric] is None:
        return "Full retraining has no result here: the distance to it is n/a."
    others = [r for r in like if r["strategy"] != FULL]
    row = best
    if best is full:
        cheaper = _best([r for r in others if (r["vs_full"] or 0) > 1], metric) or _best(others, metric)
        if cheaper is None:
            return ""
        row = cheaper
    at_least = f"at least as good within {100 * MARGIN:g} %: {verdicts.as_good(row, full)}"
    head = f"Closest cheaper row: {name_of(row)}, " if best is full else "It is "
    return f"{head}{verdicts.say(row, full)}; {at_least}; {_cost(row)}."


def _cost(row: SummaryRow) -> str:
    seconds = number(row["seconds_per_update"], 2)
    if seconds == NA:
        return f"cost {NA}"
    times = row["vs_full"]
    if times is None:
        return f"{seconds} s an update"
    return (
        f"{seconds} s an update, {ratio(times)} faster"
        if times >= 1
        else f"{seconds} s an update, {ratio(1 / times)} slower"
    )


def _against_counters(summary: pl.DataFrame, best: SummaryRow, verdicts: Verdicts) -> str:
    """Say how the best row that trains nothing stands; an oracle knows the truth and does not count."""
    counters = summary.filter((pl.col("scorer") == REFERENCE) & (pl.col("strategy") != "oracle"))
    top = _best(counters.rows(named=True), verdicts.metric)
    stands = (
        ""
        if top is None
        else f"{name_of(top)}, {_value(top, verdicts.metric)}; the best row is {verdicts.say(best, top)}"
    )
    off = best.get("model_off") or 0
    if off == 1:
        said = "The model adds nothing here: serve popularity and co-occurrence"
        return f"{said} ({stands})." if stands else f"{said}."
    partly = f" Its blend leaves the model out in {off:.0%} of the increments." if off else ""
    return f"Best counter: {stands}.{partly}" if stands else partly.strip()


def _errors(summary: pl.DataFrame, rows: list[SummaryRow], verdicts: Verdicts) -> str:
    """Name the trained row with the lowest MSE and how it stands to the best that trains nothing."""
    # A blend predicts what its model predicts, and is not tested for itself.
    best = _best([r for r in rows if r["scorer"] != "blend"] or rows, ERROR, largest=False)
    if best is None:
        return "MSE is n/a: no row predicts a rating."
    text = f"Lowest MSE: {name_of(best)}, {_value(best, ERROR)}"
    counters = [r for r in summary.rows(named=True) if r["scorer"] == REFERENCE and r["strategy"] != "oracle"]
    top = _best(counters, ERROR, largest=False)
    if top is None:
        return f"{text}."
    return f"{text}; without a model: {name_of(top)}, {_value(top, ERROR)}; the model is {verdicts.say(best, top)}."


def _trained(summary: pl.DataFrame) -> list[SummaryRow]:
    return [r for r in summary.rows(named=True) if r["scorer"] != REFERENCE]


def _best(rows: list[SummaryRow], metric: str, largest: bool = True) -> SummaryRow | None:
    have = [r for r in rows if r.get(metric) is not None and r[metric] == r[metric]]
    return (max if largest else min)(have, key=lambda r: r[metric]) if have else None


def _value(row: SummaryRow, metric: str) -> str:
    return cell(row[metric], row.get(f"{metric}_deviation"), 4)
