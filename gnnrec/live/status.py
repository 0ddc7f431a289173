"""How a live run stands: what serves, what it was decided by, and what waits."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from gnnrec.core.errors import one_line
from gnnrec.live.health import champion_of, problems
from gnnrec.live.interval import break_even
from gnnrec.live.journal import ACCEPTED, Entry
from gnnrec.live.run import rows_behind, waiting
from gnnrec.live.update import Backlog
from gnnrec.runs.saved import Saved
from gnnrec.store.table import Store

DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Status:
    """How a live run stands.

    Attributes:
        champion: number of what serves; 0: the run's own model.
        version: newest version that it has absorbed.
        newest: newest version of the store.
        waiting: events that it has not absorbed.
        age: days of event time from the newest event it knows to the newest there is; NaN without times or where nothing waits.
        decisions: a row each: when, outcome, champion, versions, events, recall@20 of what was served, seconds, tries, why.
        due: when the next update is, in words.
        problems: what keeps it from being brought up to date.
        data: what the quality report of the newest version says of it, in words.
        often: with every how many versions to update at a price, in words; "" where no price is named.
    """

    champion: int
    version: int
    newest: int
    waiting: int
    age: float
    decisions: pl.DataFrame
    due: str
    problems: tuple[str, ...] = ()
    often: str = ""
    data: str = ""

    @property
    def answer(self) -> str:
        """What there is to know first, in a few lines."""
        made = "the run's own model" if not self.champion else f"champion {self.champion}"
        behind = "up to date" if not self.waiting else f"{self.waiting:,} events behind"
        age = f", {self.age:.1f} days" if self.waiting and math.isfinite(self.age) else ""
        wrong = "".join(f"\nWrong: {one_line(p)}" for p in self.problems)
        often = f"\n{self.often}" if self.often else ""
        head = f"{made} serves, of version {self.version} of {self.newest}: {behind}{age}."
        data = f"\n{self.data}" if self.data else ""
        return f"{head}{data}\nNext update: {self.due}.{often}{wrong}"


def status_of(run: Saved, store: Store, price: float | None = None) -> Status:
    """Return how a live run stands, whatever is wrong with it.

    Args:
        run: finished.
        store: that it learns from.
        price: events with a recall of 1 that a second of an update must bring back; None: how often is not asked.
    """
    number, entries, _ = champion_of(run)
    version = _absorbed(run, entries, number)
    rows = rows_behind(store, run)
    waits = waiting(store, rows, version)
    wrong = tuple(problems(run, store.contents))
    due = "not before what is wrong is mended" if wrong else _due(entries, waits)
    newest, age = store.versions[-1].number, _age(rows, waits.rows)
    often = "" if price is None else break_even(entries, price)
    data = _quality(newest, store.quality(store.versions[-1]) or {})
    return Status(number, version, newest, waits.rows.height, age, table(entries), due, wrong, often, data)


def _quality(version: int, report: Mapping[str, Any]) -> str:
    """Return verdict and alerts of a quality report; "" where there is none."""
    if not report:
        return ""
    alerts = [
        f"{a['rule']} ({a['value']:.3g})" + ("" if a.get("since") is None else f", still so since version {a['since']}")
        for a in report.get("alerts", ())
    ]
    return f"Data of version {version}: {report['verdict']}" + (f": {'; '.join(alerts)}." if alerts else ", no drift.")


def _absorbed(run: Saved, entries: Sequence[Entry], number: int) -> int:
    """Return the newest version that the champion has absorbed, without loading it, as far as decisions can be read."""
    learnt = [v for e in entries if e.outcome == ACCEPTED and e.champion == number for v in e.numbers]
    return max([*map(int, run.versions), *learnt])


def table(entries: Sequence[Entry]) -> pl.DataFrame:
    """Return the decisions as a table."""
    rows = [
        {
            "when": e.at.replace("T", " ").removesuffix("+00:00"),
            "decision": e.outcome,
            "serves": str(e.champion),
            "versions": _span(e.numbers),
            "by": e.tried or " → ".join(str(t["try"]) for t in e.tries),
            "why": e.reason,
            "events": e.rows,
            "recall@20 served": _mean(e.quality),
            "seconds": e.seconds,
        }
        for e in entries
    ]
    schema = {
        **dict.fromkeys(("when", "decision", "serves", "versions", "by", "why"), pl.String()),
        **{"events": pl.Int64(), "recall@20 served": pl.Float64(), "seconds": pl.Float64()},
    }
    return pl.DataFrame(rows, schema=schema)


def _due(entries: Sequence[Entry], waits: Backlog) -> str:
    if not waits.rows.height:
        return "with the next version"
    last = entries[-1] if entries else None
    same = last is not None and last.numbers == sorted(waits.contents)
    if last is None or not same:
        return "now, `gnnrec update` has not looked at what waits"
    return f"with the next version ({last.reason or last.policy})" if last.outcome != ACCEPTED else "now"


def _age(rows: pl.DataFrame, waits: pl.DataFrame) -> float:
    if not waits.height or waits["time"].null_count() or rows["time"].null_count():
        return math.nan
    first, newest = waits["time"].min(), waits["time"].max()
    known = rows.filter(~pl.col("version").is_in(waits["version"].unique().to_list()))["time"].max()
    start = first if known is None else known
    return (float(newest) - float(start)) / DAY  # type: ignore[arg-type]


def _mean(quality: Mapping[str, float | None]) -> float | None:
    known = [v for v in quality.values() if v is not None]
    return sum(known) / len(known) if known else None


def _span(numbers: Sequence[int]) -> str:
    return "" if not numbers else str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
