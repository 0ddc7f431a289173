"""From raw rows to clean ones, piece by piece: each row is kept, or counted under exactly one reason.

The order of reasons is fixed: ids first, then the filters a data set declares, then rating, then time.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import polars as pl

from gnnrec.core.errors import GnnrecError, nearest
from gnnrec.data.clean.filters import Filter
from gnnrec.data.clean.ratings import Valuation
from gnnrec.data.clean.rows import EXAMPLES, ROW, Example, Tally, raw
from gnnrec.data.clean.timestamps import EARLIEST, parse_instant

MAX_ID = 256
TIME_TEXT = "\x00time"
"""Column that keeps the text of a time, for examples."""
_DAY = 86_400.0
_EMPTY = ("missing_user", "missing_item")


@dataclass(frozen=True, slots=True)
class Rules:
    """What a row must meet, and which of several events of a pair count."""

    filters: tuple[Filter, ...] = ()
    valuation: Valuation = field(default_factory=Valuation)
    time_range: tuple[float, float] = (EARLIEST, float("inf"))
    repeats: str = "first"
    refuse: bool = False
    normalise_ids: bool = False
    decimal: str = "."


@dataclass(frozen=True, slots=True)
class Cleaned:
    """Some rows of one file, cleaned.

    Attributes:
        good: user, item, value (where there are ratings), time (where there are times), raw columns; no row set aside.
        aside: rows set aside, by the first reason.
        matched: rows by every reason, 0 included, in the order of reasons.
        low, high: smallest and largest rating that is a number, or None.
    """

    good: pl.DataFrame
    aside: Tally
    matched: dict[str, int]
    low: float | None
    high: float | None


def make_rules(
    filters: tuple[Filter, ...],
    valuation: Valuation,
    time_range: Sequence[object] | None,
    repeats: str,
    on_bad: str,
    normalise_ids: bool,
) -> Rules:
    """Check the user's settings and return them as `Rules`."""
    for key, value, allowed in (
        ("repeats", repeats, ("first", "all", "last")),
        ("on_bad", on_bad, ("set_aside", "refuse")),
    ):
        if value not in allowed:
            raise GnnrecError(f"data.{key}={value} is not a choice{nearest(str(value), allowed)}")
    low, high = list(time_range or (None, None))
    earliest = EARLIEST if low is None else parse_instant(str(low), "data.time_range")
    latest = time.time() + _DAY if high is None else parse_instant(str(high), "data.time_range")
    return Rules(filters, valuation, (earliest, latest), repeats, on_bad == "refuse", normalise_ids)


def clean(frame: pl.DataFrame, rules: Rules, keep: Sequence[str], file: str) -> Cleaned:
    """Clean rows.

    Args:
        frame: columns user, item, raw rating (text, optional), time (seconds, optional), raw columns, ROW.
        rules: what a row must meet.
        keep: raw columns to hand on.
        file: for examples.
    """
    frame = _typed(frame, rules)
    low, high = _range(frame)
    reasons = _reasons(frame, rules)
    flags = frame.select(test.fill_null(False).alias(name) for name, test in reasons.items())
    matched = {name: int(flags[name].sum()) for name in reasons}
    aside = Tally()
    if found := [name for name in reasons if matched[name]]:
        number = [pl.when(name).then(pl.lit(k, pl.UInt8)) for k, name in enumerate(found)]
        first = flags.select(pl.coalesce(number).alias("reason")).to_series()
        _set_aside(frame.with_columns(first), found, aside, rules, file)
        frame = frame.filter(first.is_null())
    if "value" in frame.columns:
        frame = frame.with_columns(value=rules.valuation.finish(pl.col("value")))
    columns = ["user", "item", *(c for c in ("value", "time") if c in frame.columns), *map(raw, keep)]
    return Cleaned(frame.select(list(dict.fromkeys(columns))), aside, matched, low, high)


def _range(frame: pl.DataFrame) -> tuple[float | None, float | None]:
    """Return the smallest and the largest rating that is a number."""
    if "value" not in frame.columns:
        return None, None
    finite = frame["value"].filter(frame["value"].is_finite())
    return finite.min(), finite.max()  # type: ignore[return-value]


def normalised(ids: pl.Expr) -> pl.Expr:
    """Return ids without blanks around them, in Unicode NFC."""
    return ids.str.strip_chars().str.normalize("NFC")


def _typed(frame: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    if rules.normalise_ids:
        frame = frame.with_columns(normalised(pl.col("user", "item")))
    if "rating" not in frame.columns:
        return frame
    return frame.with_columns(value=rules.valuation.read(pl.col("rating"), rules.decimal))


def _reasons(frame: pl.DataFrame, rules: Rules) -> dict[str, pl.Expr]:
    ids = pl.col("user"), pl.col("item")
    found = {name: (c.str.strip_chars() == "").fill_null(True) for name, c in zip(_EMPTY, ids, strict=True)}
    found["control_characters"] = ids[0].str.contains(r"\p{Cc}") | ids[1].str.contains(r"\p{Cc}")
    found["id_too_long"] = (ids[0].str.len_chars() > MAX_ID) | (ids[1].str.len_chars() > MAX_ID)
    for rule in rules.filters:
        _also(found, rule.reason, rule.drops(rules.decimal))
    if "value" in frame.columns:
        finite = pl.col("value").is_finite().fill_null(False)
        _also(found, rules.valuation.reason, ~finite)
        if (scale := rules.valuation.scale) is not None:
            _also(found, "out_of_scale", finite & ~pl.col("value").is_between(*scale))
    if "time" in frame.columns:
        low, high = rules.time_range
        _also(found, "bad_time", pl.col("time").is_null())
        _also(found, "time_out_of_range", (pl.col("time") < low) | (pl.col("time") >= high))
    return found


def _also(found: dict[str, pl.Expr], reason: str, test: pl.Expr) -> None:
    """Let `test` be one more way to earn a reason: a declared filter may share its name with a rule."""
    found[reason] = found[reason] | test if reason in found else test


def _set_aside(frame: pl.DataFrame, reasons: Sequence[str], aside: Tally, rules: Rules, file: str) -> None:
    bad = frame.filter(pl.col("reason").is_not_null())
    columns = {f.reason: raw(f.column) for f in rules.filters}
    usual = [c for c in ("user", "item", "rating", TIME_TEXT) if c in frame.columns]
    for number, reason in enumerate(reasons):
        part = bad.filter(pl.col("reason") == number)
        shown = usual + ([columns[reason]] if reason in columns else [])
        rows = part.head(EXAMPLES).select(ROW, pl.col(list(dict.fromkeys(shown))).cast(pl.String)).iter_rows()
        found = [_example(file, row, ["" if c is None else c for c in cells], len(usual)) for row, *cells in rows]
        aside.add(reason, part[ROW], found, part["user"])


def _example(file: str, row: int, cells: Sequence[str], usual: int) -> Example:
    """Return a row whose first cell is its user; what a filter looked at beside the usual cells may name somebody too."""
    return Example(file, row, ", ".join(cells), ", ".join(cells[1:usual]))
