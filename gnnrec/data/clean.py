"""From raw rows to a clean log: each row is kept, or counted under exactly one reason.

The order of reasons is fixed: ids first, then the filters a data set declares, then rating, then time.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from gnnrec.data.dataset import Counts, Texts
from gnnrec.data.filters import Filter
from gnnrec.data.rows import EXAMPLES, ROW, Example, Tally, raw
from gnnrec.data.times import EARLIEST, parse_instant
from gnnrec.data.types import Floats, Ints
from gnnrec.errors import GnnrecError, nearest, one_line

MAX_ID = 256
FILE, TIME_TEXT = "\x00file", "\x00time"
_DAY = 86_400.0
_EMPTY = ("missing_user", "missing_item")


@dataclass(frozen=True, slots=True)
class Rules:
    """What a row must meet, and which of several events of a pair count."""

    filters: tuple[Filter, ...] = ()
    scale: tuple[float, float] | None = None
    time_range: tuple[float, float] = (EARLIEST, float("inf"))
    repeats: str = "first"
    refuse: bool = False
    normalise_ids: bool = False


@dataclass(frozen=True, slots=True)
class Log:
    """Clean columns and their account."""

    user_code: Ints
    item_code: Ints
    user_ids: Texts
    item_ids: Texts
    value: Floats
    time: Floats | None
    extra: Mapping[str, Texts]
    counts: Counts
    examples: Mapping[str, list[Example]]


def make_rules(
    filters: tuple[Filter, ...],
    scale: Sequence[float] | None,
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
    return Rules(filters, _check_scale(scale), (earliest, latest), repeats, on_bad == "refuse", normalise_ids)


def _check_scale(scale: Sequence[float] | None) -> tuple[float, float] | None:
    if scale is None:
        return None
    bounds = [float(x) for x in scale]
    if len(bounds) != 2 or not bounds[0] < bounds[1]:
        raise GnnrecError(f"data.scale={list(scale)} is not [lowest, highest]; write for example data.scale=[1,5]")
    return bounds[0], bounds[1]


def clean(
    frame: pl.DataFrame, rows_read: int, aside: Tally, rules: Rules, keep: Sequence[str], files: Sequence[str]
) -> Log:
    """Clean the rows of all files.

    Args:
        frame: columns user, item, raw rating (text, optional), time (seconds, optional), raw columns, ROW, FILE.
        rows_read: rows of the files, those in `aside` included.
        aside: rows that had no shape; reasons found here are added.
        rules: what a row must meet.
        keep: raw columns to hand on.
        files: names behind FILE.
    """
    frame = _typed(frame, rules)
    reasons = _reasons(frame, rules)
    flags = frame.select(pl.when(test).then(pl.lit(name)).alias(name) for name, test in reasons.items())
    matched = {name: int(flags[name].count()) for name in reasons if flags[name].count()}
    frame = frame.with_columns(pl.Series("reason", flags.select(pl.coalesce(pl.all())).to_series()))
    _set_aside(frame, list(matched), aside, rules, files)
    _complain(frame, aside, rules, rows_read)
    good = frame.filter(pl.col("reason").is_null()).drop("reason")
    if "time" in good.columns:
        good = good.sort("time", maintain_order=True)
    return _finish(good, rows_read, aside, matched, rules, keep)


def _typed(frame: pl.DataFrame, rules: Rules) -> pl.DataFrame:
    if rules.normalise_ids:
        frame = frame.with_columns(pl.col("user", "item").str.strip_chars().str.normalize("NFC"))
    if "rating" not in frame.columns:
        return frame.with_columns(value=pl.lit(1.0))
    return frame.with_columns(value=pl.col("rating").str.strip_chars().cast(pl.Float64, strict=False))


def _reasons(frame: pl.DataFrame, rules: Rules) -> dict[str, pl.Expr]:
    ids = pl.col("user"), pl.col("item")
    found = {name: (c.str.strip_chars() == "").fill_null(True) for name, c in zip(_EMPTY, ids, strict=True)}
    found["control_characters"] = ids[0].str.contains(r"\p{Cc}") | ids[1].str.contains(r"\p{Cc}")
    found["id_too_long"] = (ids[0].str.len_chars() > MAX_ID) | (ids[1].str.len_chars() > MAX_ID)
    for rule in rules.filters:
        drops = rule.drops()
        found[rule.reason] = found[rule.reason] | drops if rule.reason in found else drops
    finite = pl.col("value").is_finite().fill_null(False)
    found["bad_rating"] = ~finite
    if rules.scale is not None and "rating" in frame.columns:
        found["out_of_scale"] = finite & ~pl.col("value").is_between(*rules.scale)
    if "time" in frame.columns:
        low, high = rules.time_range
        found["bad_time"] = pl.col("time").is_null()
        found["time_out_of_range"] = (pl.col("time") < low) | (pl.col("time") >= high)
    return found


def _set_aside(frame: pl.DataFrame, reasons: Sequence[str], aside: Tally, rules: Rules, files: Sequence[str]) -> None:
    bad = frame.filter(pl.col("reason").is_not_null())
    columns = {f.reason: raw(f.column) for f in rules.filters}
    usual = [c for c in ("user", "item", "rating", TIME_TEXT) if c in frame.columns]
    for reason in reasons:
        part = bad.filter(pl.col("reason") == reason)
        shown = usual + ([columns[reason]] if reason in columns else [])
        rows = part.head(EXAMPLES).select(FILE, ROW, *dict.fromkeys(shown)).iter_rows()
        found = [Example(files[f], r, ", ".join("" if c is None else c for c in cells)) for f, r, *cells in rows]
        aside.add(reason, part.height, found)


def _complain(frame: pl.DataFrame, aside: Tally, rules: Rules, rows_read: int) -> None:
    if rules.refuse and aside.counts:
        raise GnnrecError(f"data.on_bad=refuse: {describe(aside)}; fix the file, or set data.on_bad=set_aside")
    outside = aside.counts.get("out_of_scale", 0)
    if rules.scale is not None and 2 * outside > rows_read:
        low, high = np.nanmin(frame["value"].to_numpy()), np.nanmax(frame["value"].to_numpy())
        raise GnnrecError(
            f"{outside:,} of {rows_read:,} ratings leave data.scale=[{rules.scale[0]:g},{rules.scale[1]:g}]; "
            f"they lie between {low:g} and {high:g}: set data.scale=[{low:g},{high:g}]"
        )
    if frame.height + aside.total() and not frame["reason"].null_count():
        why = f": {describe(aside)}" if aside.counts else ""
        hint = "check data.columns, data.scale and data.time_unit"
        raise GnnrecError(f"no row is left of {rows_read:,} read{why}; {hint}")


def describe(aside: Tally) -> str:
    """Return one line that says what was set aside and shows an example of each reason."""
    parts = []
    for reason, count in aside.counts.items():
        example = aside.examples[reason][0]
        hint = " (a decimal comma? write 4.5)" if reason == "bad_rating" and _comma(example.value) else ""
        parts.append(f"{count:,} {reason}, as in {one_line(example.file)}:{example.row} '{example.value}'{hint}")
    return "; ".join(parts)


def _comma(value: str) -> bool:
    return any(a.isdigit() and b == "," and c.isdigit() for a, b, c in zip(value, value[1:], value[2:], strict=False))


def _finish(
    good: pl.DataFrame, rows_read: int, aside: Tally, matched: Mapping[str, int], rules: Rules, keep: Sequence[str]
) -> Log:
    timed = ["time"] if "time" in good.columns else []
    single = good.unique(["user", "item", "value", *timed], keep="first", maintain_order=True)
    kept = single
    if rules.repeats == "first":
        kept = single.unique(["user", "item"], keep="first", maintain_order=True)
    elif rules.repeats == "last":
        kept = single.unique(["user", "item"], keep="last", maintain_order=True)
    duplicate, repeat = good.height - single.height, single.height - kept.height
    counts = Counts(rows_read, kept.height, duplicate, repeat, dict(aside.counts), matched)
    counts.check()
    user_ids, user_code = coded(kept["user"])
    item_ids, item_code = coded(kept["item"])
    return Log(
        user_code,
        item_code,
        user_ids,
        item_ids,
        kept["value"].to_numpy(),
        kept["time"].to_numpy() if timed else None,
        {name: texts(kept[raw(name)].fill_null("")) for name in keep},
        counts,
        dict(aside.examples),
    )


def coded(column: pl.Series) -> tuple[Texts, Ints]:
    """Return the distinct texts in order of first appearance, and the position of each cell among them."""
    distinct = column.unique(maintain_order=True)
    numbers = pl.Series(np.arange(len(distinct), dtype=np.int64))
    codes = column.replace_strict(distinct, numbers, return_dtype=pl.Int64) if len(distinct) else numbers
    return texts(distinct), codes.to_numpy()


def texts(column: pl.Series) -> Texts:
    """Return a column of text as a numpy array of Python strings."""
    out = np.empty(len(column), object)
    out[:] = column.to_list()
    return out
