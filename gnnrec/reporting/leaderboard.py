"""All comparisons below a folder as one ranking per data and protocol: only what was measured alike stands in one table."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from gnnrec.core.errors import GnnrecError
from gnnrec.evaluation.results import REFERENCE
from gnnrec.reporting import page, tables, terminal

SUMMARY, RECORD = "summary.csv", "run.json"


@dataclass(frozen=True, slots=True)
class Board:
    """Rows that may be compared.

    Attributes:
        protocol: hash of how they were measured.
        data: the first 12 digits of what data and stream hash to; a comparison from before that was written down stands alone,
            under its own name.
        rows: place, strategy, scorer, recall@k of all users and its deviation, seeds, seconds_per_update, vs_full,
            comparison; the best first.
    """

    protocol: str
    data: str
    rows: pl.DataFrame

    @property
    def heading(self) -> str:
        """What its rows have in common."""
        counted = self.rows["comparison"].n_unique()
        return (
            f"Data {self.data}, protocol {self.protocol}: {counted} comparison{'' if counted == 1 else 's'}, "
            f"{self.rows.height} rows"
        )

    def text(self) -> str:
        """Return it for a terminal."""
        return f"{self.heading}\n{terminal.plain(_printed(self.rows))}"


def boards(root: Path, k: int = 20) -> list[Board]:
    """Return a ranking per protocol and data of every comparison below a folder.

    A row that trains nothing, which several comparisons have alike, is listed once; trained rows are listed with each.

    Raises:
        GnnrecError: there is no comparison below the folder.
    """
    found: dict[tuple[str, str], list[pl.DataFrame]] = {}
    for folder in sorted(p.parent for p in root.rglob(RECORD) if (p.parent / SUMMARY).is_file()):
        name, (protocol, data) = str(folder.relative_to(root)), identity(folder)
        key = protocol, data[:12] or f"of {name} alone"
        found.setdefault(key, []).append(_rows(folder / SUMMARY, name, k))
    if not found:
        raise GnnrecError(f"{root} holds no comparison ({SUMMARY} beside {RECORD}); `gnnrec compare` makes them")
    made = [Board(*key, _ranked(pl.concat(parts), k)) for key, parts in found.items()]
    return sorted((b for b in made if b.rows.height), key=lambda b: (b.data, b.protocol))


def write(path: Path, found: list[Board]) -> None:
    """Write the rankings as a page."""
    places = len({(b.data, b.protocol) for b in found})
    said = (
        f"{sum(b.rows.height for b in found)} rows in {places} ranking{'' if places == 1 else 's'}.\n"
        "Rows of one ranking were measured alike on one stream; rows of two are never to be compared.\n"
        "The order is that of the means: whether a difference is more than chance is on the page of a comparison."
    )
    sections = [(f"board{n}", b.heading, _table(_printed(b.rows))) for n, b in enumerate(found)]
    page.save(path, page.page("All comparisons", said, sections))


def _table(cells: pl.DataFrame) -> str:
    return page.grid(cells.columns, [page.row(list(map(str, line))) for line in cells.iter_rows()])


def identity(folder: Path) -> tuple[str, str]:
    """Return how a comparison was measured and what its data and stream hash to; "" where neither it nor a run says that.

    Raises:
        GnnrecError: there is none, or its record is damaged.
    """
    path = folder / RECORD
    try:
        record = json.loads(path.read_text())
        protocol = str(record.get("protocol", "of an older version"))
        places = [place / run / "status.json" for run in record.get("runs", ()) for place in (folder, folder.parent)]
        told = next((p for p in places if p.is_file()), None)
        known = record.get("fingerprint") or (json.loads(told.read_text())["fingerprint"] if told else "")
    except OSError:
        raise GnnrecError(f"{folder} holds no comparison: there is no {RECORD} in it") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise GnnrecError(f"{path} is damaged ({error}); `gnnrec report {folder}` writes it again") from None
    return protocol, str(known)


def _rows(path: Path, comparison: str, k: int) -> pl.DataFrame:
    frame, metric = pl.read_csv(path), f"recall@{k}_all"
    wanted = (metric, f"{metric}_deviation", "seeds", "seconds_per_update", "vs_full")
    kinds = {name: pl.Int64() if name == "seeds" else pl.Float64() for name in wanted}
    have = [
        (pl.col(n) if n in frame.columns else pl.lit(None)).cast(kind, strict=False).alias(n)
        for n, kind in kinds.items()
    ]
    return frame.select(pl.col("strategy", "scorer").cast(pl.String), *have, comparison=pl.lit(comparison))


def _ranked(rows: pl.DataFrame, k: int) -> pl.DataFrame:
    metric = f"recall@{k}_all"
    trains = pl.col("scorer") != REFERENCE
    once = pl.struct("strategy", pl.col(metric).round(9)).is_first_distinct()
    kept = pl.concat([rows.filter(trains), rows.filter(~trains).filter(once)]).drop_nulls(metric)
    kept = kept.sort(metric, "comparison", "strategy", "scorer", descending=[True, False, False, False])
    return kept.with_columns(place=pl.col(metric).rank("min", descending=True).cast(pl.Int64))


def _printed(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the cells of a ranking."""
    metric = next(n for n in rows.columns if n.startswith("recall@") and n.endswith("_all"))
    return pl.DataFrame(
        [
            {
                "row": f"{r['strategy']} / {r['scorer']}",
                "comparison": r["comparison"],
                "place": r["place"],
                metric.removesuffix("_all"): tables.cell(r[metric], r[f"{metric}_deviation"], 4),
                "seeds": "" if r["scorer"] == REFERENCE else str(r["seeds"]),
                "s/update": tables.number(r["seconds_per_update"], 2),
                "vs full": tables.ratio(r["vs_full"]),
            }
            for r in rows.iter_rows(named=True)
        ]
    )
