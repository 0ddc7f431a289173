"""Two comparisons on the same data, row by row: what has changed, and by more than chance?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from gnnrec.core.errors import GnnrecError
from gnnrec.evaluation import significance
from gnnrec.reporting import tables
from gnnrec.reporting.exports import PrintedTable
from gnnrec.reporting.leaderboard import SUMMARY, identity

PER_USER = "per_user.parquet"


def against(one: Path, other: Path, k: int = 20, resamples: int = 10_000) -> PrintedTable:
    """Return recall@k and seconds of every row that both have, the difference with its intervals, and how much faster.

    Args:
        one, other: folders of comparisons; the difference is one − other.
        k: cut-off.
        resamples: of users.

    Raises:
        GnnrecError: they are of different data, or were measured differently, or share no row.
    """
    _check(one, other)
    metric = f"recall@{k}"
    here, there = (pl.read_parquet(folder / PER_USER, glob=False) for folder in (one, other))
    tested = significance.set_against(here, there, metric, resamples=resamples)
    rows = ["strategy", "scorer"]
    summaries = [pl.read_csv(folder / SUMMARY).cast(dict.fromkeys(rows, pl.String)) for folder in (one, other)]
    wanted = (f"{metric}_all", "seconds_per_update")
    new, old = (s.select(*rows, *wanted) for s in summaries)
    found = new.join(old, on=rows, suffix=" of the other", maintain_order="left")
    numbers = [c for c in tested.columns if c not in ("reference", "reference_scorer", "metric", "as_good", "margin")]
    found = found.join(tested.select(numbers), on=rows, how="left", maintain_order="left")
    if not found.height:
        raise GnnrecError(f"{one} and {other} have no row of the same name")
    heads = ["strategy", "scorer", metric, "of the other", "difference", "95 % interval", "over increments and seeds"]
    heads += ["s/update", "of the other", "faster"]
    cells = [_cells(r, metric) for r in found.iter_rows(named=True)]
    only = sum(s.join(found, on=rows, how="anti").height for s in summaries)
    notes = [
        f"{one} minus {other}, paired by user, corrected over all {tested.height} rows together; the second interval resamples "
        f"increments and seeds too. {only} rows are of one of them alone."
    ]
    return PrintedTable(f"against-{other.resolve().name}", f"{one} set against {other}", found, heads, cells, 2, notes)


def _check(one: Path, other: Path) -> None:
    (protocol, data), (protocol_then, data_then) = identity(one), identity(other)
    for folder, known in ((one, data), (other, data_then)):
        if not known:
            raise GnnrecError(f"{folder} does not say which data it is of; `gnnrec report {folder}` writes it again")
        if missing := [f for f in (SUMMARY, PER_USER) if not (folder / f).is_file()]:
            raise GnnrecError(f"{folder} has no {missing[0]}; `gnnrec report {folder}` writes it")
    if data != data_then:
        raise GnnrecError(
            f"{one} and {other} are of different data or streams ({data[:12]} and {data_then[:12]}): their rows do not compare"
        )
    if protocol != protocol_then:
        raise GnnrecError(f"{one} and {other} are measured differently: by protocol {protocol} and {protocol_then}")


def _cells(row: dict[str, Any], metric: str) -> list[str]:
    def span(low: str, high: str) -> str:
        return tables.NA if row[low] is None else f"{tables.number(row[low], 4)} to {tables.number(row[high], 4)}"

    seconds, then = row["seconds_per_update"], row["seconds_per_update of the other"]
    return [
        *(str(row["strategy"]), str(row["scorer"])),
        *(tables.number(row[f"{metric}_all{suffix}"], 4) for suffix in ("", " of the other")),
        *(tables.number(row["difference"], 4), span("low", "high"), span("wide_low", "wide_high")),
        *(
            tables.number(seconds, 2),
            tables.number(then, 2),
            tables.ratio(then / seconds if seconds and then else None),
        ),
    ]
