"""The answer in a few sentences, computed from the numbers and claiming no more than they carry."""

from __future__ import annotations

from typing import Any

import polars as pl

from gnnrec.core.errors import one_line
from gnnrec.evaluation.results import REFERENCE
from gnnrec.reporting.tables import cell, number, ratio

Row = dict[str, Any]

FULL = "full_retrain"
LEVEL = "level with"


def answer(summary: pl.DataFrame, significance: pl.DataFrame | None = None, k: int = 20) -> str:
    """Return which row is best on recall and MSE, how far from full retraining, at what cost, and how sure that is.

    A difference counts as measured when `significance` (gnnrec.evaluation.significance.compare, one or several stacked)
    has the pair with an interval that excludes 0 and p < .05. Without the pair it is only set against both deviations
    over seeds taken together, √(a² + b²); with one seed and no pair it is called untested.
    """
    metric = f"recall@{k}_all"
    rows = [r for r in summary.iter_rows(named=True) if r["scorer"] != REFERENCE]
    best = _best(rows, metric, largest=True)
    if best is None:
        return "No trained row of this table has a recall on the next increment: nothing can be compared."
    parts = [f"{_name(best)} has the highest recall@{k} on the next increment, {_value(best, metric)}."]
    parts += _rivals(rows, best, metric, significance)
    parts += _against_references(summary, best, metric, significance)
    parts += _errors(summary, rows)
    return " ".join(parts)


def _rivals(rows: list[Row], best: Row, metric: str, tests: pl.DataFrame | None) -> list[str]:
    """Set the best row against full retraining, or full retraining against the best row that costs less."""
    like = [r for r in rows if r["scorer"] == best["scorer"] and r["strategy"] != best["strategy"]]
    if best["strategy"] == FULL:
        cheaper = [r for r in like if (r["vs_full"] or 0) > 1]
        second = _best(cheaper, metric, largest=True) or _best(like, metric, largest=True)
        return [_distance(second, best, metric, tests)] if second else []
    second, full = _best(like, metric, largest=True), next((r for r in like if r["strategy"] == FULL), None)
    parts = []
    if second is not None and second is not full:
        verdict = _verdict(best, second, metric, tests)
        parts.append(f"Next under the same scorer is {_name(second)}, {_value(second, metric)}: {verdict}.")
    if full is None or full[metric] is None:
        return [*parts, "Full retraining has no result here, so the distance to it is n/a."]
    return [*parts, _distance(best, full, metric, tests)]


def _distance(row: Row, full: Row, metric: str, tests: pl.DataFrame | None) -> str:
    side = _side(row[metric], full[metric])
    gap = "" if side == LEVEL else f"{number(abs(row[metric] - full[metric]), 4)} "
    times = "" if row["vs_full"] is None else f", full retraining takes {ratio(row['vs_full'])} as long"
    verdict = _verdict(row, full, metric, tests)
    return f"{_name(row)} is {gap}{side} full retraining ({verdict}); its update takes {_cost(row)}{times}."


def _against_references(summary: pl.DataFrame, best: Row, metric: str, tests: pl.DataFrame | None) -> list[str]:
    """Say how the best row that trains nothing stands; an oracle knows the truth and does not count."""
    references = summary.filter((pl.col("scorer") == REFERENCE) & (pl.col("strategy") != "oracle"))
    top = _best(list(references.iter_rows(named=True)), metric, largest=True)
    if top is None:
        return []
    word = _side(top[metric], best[metric])
    verdict = _verdict(best, top, metric, tests)
    return [f"The best reference row, {_name(top)}, is {word} it with {_value(top, metric)}: {verdict}."]


def _errors(summary: pl.DataFrame, rows: list[Row]) -> list[str]:
    best = _best(rows, "mse", largest=False)
    if best is None:
        return ["MSE is n/a: no row predicts a rating."]
    text = f"{_name(best)} has the lowest MSE, {_value(best, 'mse')}"
    bias = _best([r for r in summary.iter_rows(named=True) if r["strategy"] == "bias"], "mse", largest=False)
    if bias is None:
        return [text + "."]
    word = _side(best["mse"], bias["mse"])
    return [f"{text}, {word} the {_value(bias, 'mse')} of user and item biases: {_verdict(best, bias, 'mse', None)}."]


def _side(a: float, b: float) -> str:
    """Return where a stands to b, as far as the printed decimals tell."""
    return LEVEL if number(a, 4) == number(b, 4) else "above" if a > b else "below"


def _verdict(a: Row, b: Row, metric: str, tests: pl.DataFrame | None) -> str:
    """Return what can be said of a − b."""
    if a[metric] is None or b[metric] is None:
        return "the difference is n/a"
    test = _test(a, b, metric, tests)
    if test is not None:
        return _tested(test)
    spread = [r.get(f"{metric}_deviation") for r in (a, b)]
    have = [d for d in spread if d is not None]
    if not have or (None in spread and REFERENCE not in (a["scorer"], b["scorer"])):
        return "with one seed and no test per user it cannot be said whether they differ"
    if abs(a[metric] - b[metric]) <= sum(d * d for d in have) ** 0.5:
        return "no measurable difference (within the deviation over seeds)"
    return "more than the deviation over seeds, not tested per user"


def _tested(test: Row) -> str:
    if test["low"] == test["high"] == 0:
        return "every user gets the same"
    interval = f"95 % interval of the difference {number(test['low'], 4)} to {number(test['high'], 4)}"
    p = test["p"]
    sure = test["low"] > 0 or test["high"] < 0
    if not sure or p is None or not p < 0.05:
        return f"no measurable difference ({interval}, p {_p(p)})"
    narrow = "; not beyond these increments and seeds" if test["wide_low"] <= 0 <= test["wide_high"] else ""
    return f"a measurable difference ({interval}, p {_p(p)}{narrow})"


def _test(a: Row, b: Row, metric: str, tests: pl.DataFrame | None) -> Row | None:
    """Return the tested pair as a − b, whichever of the two was the reference."""
    if tests is None or not tests.height or not metric.endswith("_all"):
        return None
    for row in tests.filter(pl.col("metric") == metric.removesuffix("_all")).iter_rows(named=True):
        pair = (row["strategy"], row["scorer"]), (row["reference"], row["reference_scorer"])
        if pair == (_key(a), _key(b)):
            return row
        if pair == (_key(b), _key(a)):
            turned = {"low": -row["high"], "high": -row["low"]}
            return row | turned | {"wide_low": -row["wide_high"], "wide_high": -row["wide_low"]}
    return None


def _key(row: Row) -> tuple[str, str]:
    return row["strategy"], row["scorer"]


def _p(p: float | None) -> str:
    if p is None or p != p:
        return "n/a"
    return "< .001" if p < 0.001 else f"= {p:.3f}"


def _best(rows: list[Row], metric: str, largest: bool) -> Row | None:
    have = [r for r in rows if r.get(metric) is not None and r[metric] == r[metric]]
    return (max if largest else min)(have, key=lambda r: r[metric]) if have else None


def _name(row: Row) -> str:
    name = one_line(str(row["strategy"]))
    return name if row["scorer"] == REFERENCE else f"{name} ({one_line(str(row['scorer']))})"


def _value(row: Row, metric: str) -> str:
    return cell(row[metric], row.get(f"{metric}_deviation"), 4)


def _cost(row: Row) -> str:
    seconds = number(row["seconds_per_update"], 2)
    return seconds if seconds == "n/a" else f"{seconds} s"


def _times(row: Row) -> str:
    return "" if row["vs_full"] is None else f" ({ratio(row['vs_full'])} cheaper than full retraining)"
