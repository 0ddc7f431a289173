"""1. What should I serve? Four tiles."""

from __future__ import annotations

from gnnrec.evaluation.results import REFERENCE
from gnnrec.evaluation.significance import FULL
from gnnrec.reporting import page, tables
from gnnrec.reporting.answer import to_serve
from gnnrec.reporting.headings.content import PageContent
from gnnrec.reporting.verdicts import SummaryRow, key_of, name_of

GREEN, GREY = "tile good", "tile"
STILL = {"stale": "Gain over doing nothing", "frozen": "Gain over letting in what is new, untrained"}
"""Rows that train nothing anew: what any update is to be better than."""


def serve(content: PageContent) -> str:
    """Return the tiles: the row, its gain over doing nothing and over the best that trains nothing, its seconds."""
    rows = [r for r in content.summary.rows(named=True) if r["strategy"] != "oracle"]
    row = to_serve(content.summary, content.tests, content.k)
    if row is None or row[content.metric] is None:
        return page.small(
            "No row ranks anything: what is served is chosen by its squared error; the table below has them."
        )
    off = row.get("model_off") == 1
    value = tables.cell(row[content.metric], row.get(f"{content.metric}_deviation"), 4)
    users = f"{row['users_all']:,.0f} users scored" if row.get("users_all") else ""
    served = _tile("Serve this", name_of(row), f"recall@{content.k} {value}; {users}", good=not off)
    still = next(
        (
            max(found, key=lambda r: (r["scorer"] == row["scorer"], float(r[content.metric])))
            for name in STILL
            if (found := [r for r in rows if r["strategy"] == name and r[content.metric] is not None])
        ),
        None,
    )
    counters = [r for r in rows if r["scorer"] == REFERENCE and r[content.metric] is not None]
    counter = max(counters, key=lambda r: float(r[content.metric]), default=None)
    doing = STILL[str((still or {"strategy": "stale"})["strategy"])]
    tiles = [
        served,
        _gain(doing, row, still, content, "neither stale nor frozen ran"),
        _gain("Gain over the best that trains nothing", row, counter, content, "no such row was scored"),
        _seconds(row, rows, content),
    ]
    off_note = "Its blend leaves the model out in every increment (α = 0): the model adds nothing." if off else ""
    return f'<div class="tiles">{"".join(tiles)}</div>' + page.warnings([off_note] if off_note else [])


def _tile(what: str, value: str, below: str, good: bool) -> str:
    return (
        f'<div class="{GREEN if good else GREY}"><p class="what">{page.text(what)}</p>'
        f'<p class="value">{page.text(value)}</p><p class="below">{page.text(below)}</p></div>'
    )


def _gain(what: str, row: SummaryRow, other: SummaryRow | None, content: PageContent, missing: str) -> str:
    if other is None:
        return _tile(what, tables.NA, missing, good=False)
    if key_of(other) == key_of(row):
        return _tile(what, "none", "it is this row that is to be served", good=False)
    if other[content.metric] is None:
        return _tile(what, tables.NA, f"{name_of(other)} has no recall", good=False)
    gap, said = row[content.metric] - other[content.metric], content.verdicts.standing(row, other)
    low, high = content.verdicts.interval(row, other)
    span = "no interval" if low is None or high is None else f"{tables.number(low, 4)} to {tables.number(high, 4)}"
    also = {
        "here": ", shown for these increments and seeds alone",
        "not shown": ", not shown",
        "untested": ", untested",
    }.get(said, "")
    number = tables.number(gap, 4)
    good = said in ("shown", "here") and gap > 0
    return _tile(what, number if number.startswith("-") else f"+{number}", f"{span}{also}; over {name_of(other)}", good)


def _seconds(row: SummaryRow, rows: list[SummaryRow], content: PageContent) -> str:
    what, seconds, times = "Seconds an update", tables.number(row["seconds_per_update"], 2), row["vs_full"]
    if seconds == tables.NA:
        return _tile(what, tables.NA, "it trains nothing, or was not timed", good=False)
    full = any(r["strategy"] == FULL and r["scorer"] == row["scorer"] for r in rows)
    if row["strategy"] == FULL:
        return _tile(what, f"{seconds} s", "it is full retraining", good=False)
    if times is None:
        why = "under this budget seconds do not compare" if full else "full retraining did not run"
        return _tile(what, f"{seconds} s", f"against full retraining: {tables.NA}, {why}", good=False)
    said = f"{tables.ratio(times)} cheaper than" if times >= 1 else f"{tables.ratio(1 / times)} dearer than"
    good = row.get("as_good") or "untested"
    return _tile(what, f"{seconds} s", f"{said} full retraining; as good as it within 1 %: {good}", good=times > 1)
