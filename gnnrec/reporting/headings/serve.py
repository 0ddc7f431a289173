"""1. What should I serve? Four tiles."""

from __future__ import annotations

from gnnrec.evaluation.results import next_mean
from gnnrec.evaluation.significance import FULL
from gnnrec.reporting import page, tables
from gnnrec.reporting.answer import best_counter, to_serve
from gnnrec.reporting.headings.content import PageContent
from gnnrec.reporting.verdicts import SummaryRow, key_of, name_of

BY_ERROR = "Rows are compared by their squared error: models were selected by it, or no row ranks."

GREEN, GREY = "tile good", "tile"
STILL = {"stale": "doing nothing", "frozen": "letting in what is new, untrained"}
"""Rows that train nothing anew: what any update is to be better than."""


def serve(content: PageContent) -> str:
    """Return the tiles: the row, its gain over doing nothing and over the best that trains nothing, its seconds."""
    row = to_serve(content.summary, content.tests, content.k)
    if row is None:
        return page.small("No row has a recall or an error on the next increment.")
    rows = [r for r in content.summary.rows(named=True) if r["strategy"] != "oracle" and r[content.metric] is not None]
    still, counter = _still(rows, row, content), best_counter(content.summary, content.metric)
    name, gain = still["strategy"] if still else "stale", "MSE against" if content.falls else "Gain over"
    tiles = [
        _served(row, content),
        _gain(f"{gain} {STILL[name]}", row, still, content, "neither stale nor frozen ran"),
        _gain(f"{gain} the best that trains nothing", row, counter, content, "no such row was scored"),
        _seconds(row, rows, content),
    ]
    off = "Its blend leaves the model out in every increment (α = 0): the model adds nothing."
    told = f'<div class="tiles">{"".join(tiles)}</div>' + page.warnings([off] if row.get("model_off") == 1 else [])
    return told + page.small(BY_ERROR if content.falls else "")


def _still(rows: list[SummaryRow], row: SummaryRow, content: PageContent) -> SummaryRow | None:
    """Return the row that does nothing, under the scorer of the one to serve where there is such."""
    for name in STILL:
        if found := [r for r in rows if r["strategy"] == name]:
            better = -1 if content.falls else 1
            return max(found, key=lambda r: (r["scorer"] == row["scorer"], better * float(r[content.metric])))
    return None


def _served(row: SummaryRow, content: PageContent) -> str:
    value = tables.cell(row[content.metric], row.get(f"{content.metric}_deviation"), 4)
    scored = f"; {_events(row, content)}" if content.falls else ""
    if not content.falls and row.get("users_all"):
        scored = f"; {row['users_all']:,.0f} users scored"
    return _tile("Serve this", name_of(row), f"{content.called} {value}{scored}", row.get("model_off") != 1)


def _events(row: SummaryRow, content: PageContent) -> str:
    """Return on how many events the error of a row rests."""
    if content.results is None:
        return f"events scored: {tables.NA}"
    scored = next_mean(content.results, content.metric, first=content.first)
    counted = scored.filter(strategy=row["strategy"], scorer=row["scorer"])["n"].to_list()
    return f"{max(counted, default=0):,} events scored"


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
    gap, said = row[content.metric] - other[content.metric], content.verdicts.standing(row, other)
    low, high = content.verdicts.interval(row, other)
    span = "no interval" if low is None or high is None else f"{tables.number(low, 4)} to {tables.number(high, 4)}"
    also = {
        "here": ", shown for these increments and seeds alone",
        "not shown": ", not shown",
        "untested": ", untested",
    }.get(said, "")
    number = tables.number(gap, 4)
    good = said in ("shown", "here") and (gap < 0 if content.falls else gap > 0)
    over = "less is better; " if content.falls else ""
    return _tile(
        what, number if number.startswith("-") else f"+{number}", f"{over}{span}{also}; over {name_of(other)}", good
    )


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
