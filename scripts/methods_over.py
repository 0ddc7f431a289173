"""One table over all data sets of `scripts/methods.py`: mean ranks, the critical distance and its figure.

    python scripts/methods_over.py runs/methods --scorer blend --metric ndcg@20

Reads runs/methods/*/table/summary.csv; strategies that are not in every one of them are left out, and said. A table of each
data set is written beside its summary, as Markdown: the setting that trials preferred, recall@20 under both scorers, how far it
is from fine-tuning and whether it is as good as full retraining (`--scorer`, corrected over all rows; ‡: shown for other
increments and seeds too), epochs, what an update costs, and recall@20 by segment.
over-<scorer>.md has a line per strategy: its mean rank, how far it is from fine-tuning on each data set, and along how many
edges messages go in an update.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import Any

import polars as pl

from gnnrec.reporting.ranks import draw, ranks


def main() -> int:
    """Write ranks-<scorer>.csv and its figure beside the data sets' folders, and print the ranks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, help="folder of the data sets' folders")
    parser.add_argument("--scorer", choices=("model", "blend"), default="blend")
    parser.add_argument("--metric", default="ndcg@20", help="a column of summary.csv")
    given = parser.parse_args()
    tables = {path.parts[-3]: pl.read_csv(path) for path in sorted(given.runs.glob("*/table/summary.csv"))}
    if not tables:
        print(f"{given.runs} has no */table/summary.csv; run scripts/methods.py first", file=sys.stderr)
        return 1
    for name in tables:
        table = given.runs / name / "table"
        if lacking := [name for name in ("differences.csv", "segments.csv") if not (table / name).exists()]:
            print(f"{table} has no {' and no '.join(lacking)}; run scripts/methods.py again for its Markdown")
            continue
        (table / f"table-{given.scorer}.md").write_text(markdown(table, given.scorer))
        (table / f"segments-{given.scorer}.md").write_text(segments(table, given.scorer))
    rows = pl.concat(
        table.filter(scorer=given.scorer).select(pl.lit(name).alias("block"), "strategy", value=given.metric)
        for name, table in tables.items()
    ).drop_nulls()
    everywhere = pl.col("block").n_unique().over("strategy") == len(tables)
    for name in rows.filter(~everywhere)["strategy"].unique(maintain_order=True):
        print(f"{name} is not in every data set and has no rank")
    found = ranks(rows.filter(everywhere))
    draw(found, given.runs / f"ranks-{given.scorer}.png")
    pl.DataFrame({"strategy": found.names, "mean_rank": found.mean}).write_csv(given.runs / f"ranks-{given.scorer}.csv")
    order = dict(zip(found.names, found.mean, strict=True))
    (given.runs / f"over-{given.scorer}.md").write_text(overview(given.runs, list(tables), order, given.scorer))
    p = "n/a" if found.p is None else f"{found.p:.3g}"
    print(f"{found.blocks} data sets, Friedman p {p}; rows differ if {found.distance:.2f} ranks apart (Nemenyi, 5 %)")
    for name, mean in zip(found.names, found.mean, strict=True):
        print(f"{name:<24} {mean:.2f}")
    return 0


def markdown(table: Path, scorer: str) -> str:
    """Return the table of one data set, the best row first."""
    summary = pl.read_csv(table / "summary.csv")
    tuned, full = compared(table, scorer, "fine_tune"), compared(table, scorer, "full_retrain")
    own = {row["strategy"]: row for row in summary.filter(scorer=scorer).iter_rows(named=True)}
    other = {row["strategy"]: row for row in summary.filter(scorer="model").iter_rows(named=True)}
    beside = {row["strategy"]: row for row in summary.filter(scorer="reference").iter_rows(named=True)}
    unit = own.get("fine_tune")
    lines = [
        f"| strategy | recall@20 model | recall@20 {scorer} | ndcg@20 {scorer} | from fine_tune | as good as full_retrain "
        "| epochs | churn | edges, in fine_tune's | seconds, in fine_tune's |",
        "|---" * 10 + "|",
    ]
    setting = settings(table)
    ranked = {n: row for n, row in {**own, **beside}.items() if row["recall@20_all"] is not None}
    for name, row in sorted(ranked.items(), key=lambda pair: -pair[1]["recall@20_all"]):
        trained = name in own
        cells = [
            f"{name}{setting.get(name, '')}" if trained else f"*{name}*",
            spread(other.get(name), "recall@20_all") if trained else "",
            spread(row, "recall@20_all"),
            number(row["ndcg@20"]),
            interval(tuned.get(name)),
            (full.get(name) or {}).get("as_good") or "",
            *(f"{row[what]:.{n}f}" if row.get(what) is not None else "" for what, n in (("epochs", 1), ("churn", 2))),
            *(times(row, unit, what) if trained else "" for what in ("edges_touched", "seconds_per_update")),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def compared(table: Path, scorer: str, reference: str) -> dict[str, dict[str, Any]]:
    """Return how far each row is from a strategy in recall@20, by the row's name."""
    pairs = pl.read_csv(table / "differences.csv").filter(metric="recall@20", reference_scorer=scorer)
    pairs = pairs.filter(pl.col("scorer").is_in([scorer, "reference"]))
    found = {row["strategy"]: row for row in pairs.filter(reference=reference).iter_rows(named=True)}
    for row in pairs.filter(strategy=reference).iter_rows(named=True):  # a pair stands in the table once
        turned = {"difference": -row["difference"], "low": -row["high"], "high": -row["low"], "wide_p": row["wide_p"]}
        found.setdefault(row["reference"], turned)
    return found


def settings(table: Path) -> dict[str, str]:
    """Return the setting of each strategy that trials preferred, in brackets; none where nothing was tried."""
    if not (table / "trials.csv").exists():
        return {}
    best = pl.read_csv(table / "trials.csv").drop_nulls("ndcg@20").sort("ndcg@20", descending=True, maintain_order=True)
    best = best.unique("strategy", keep="first").filter(pl.col("setting") != "")
    return {
        name: f" ({', '.join(map(short, text.split()))})" for name, text in best.select("strategy", "setting").rows()
    }


def short(override: str) -> str:
    """Return "budget 20000" of "strategy.budget=20000"."""
    key, _, value = override.rpartition("=")
    return f"{key.rpartition('.')[2]} {float(value):g}"


def overview(runs: Path, names: list[str], order: dict[str, float], scorer: str) -> str:
    """Return a line per strategy, in the order of mean ranks."""
    apart = [compared(runs / name / "table", scorer, "fine_tune") for name in names]
    costs = [
        dict(
            pl.read_csv(runs / name / "table" / "summary.csv")
            .filter(scorer=scorer)["strategy", "edges_touched"]
            .iter_rows()
        )
        for name in names
    ]
    lines = [
        f"| strategy | mean rank | {' | '.join(names)} | edges, in fine_tune's |",
        "|---" * (len(names) + 3) + "|",
    ]
    for strategy, rank in order.items():
        factors = [cost[strategy] / cost["fine_tune"] for cost in costs]
        spent = math.prod(factors) ** (1 / len(factors))
        cells = [shown(found.get(strategy)) for found in apart]
        lines.append(f"| {strategy} | {rank:.1f} | {' | '.join(cells)} | {spent:.1f} |")
    return "\n".join(lines) + "\n"


def shown(row: dict[str, Any] | None) -> str:
    """Return a difference, in bold where its interval leaves 0 out."""
    if row is None:
        return ""
    text = f"{round(row['difference'], 4) + 0.0:+.4f}".replace("0.", ".", 1)  # no -0
    return f"**{text}**" if row["low"] > 0 or row["high"] < 0 else text


def times(row: dict[str, Any], unit: dict[str, Any] | None, what: str) -> str:
    """Return how many times the unit's cost a row has."""
    return f"{row[what] / unit[what]:.1f}" if unit and row.get(what) is not None else ""


def segments(table: Path, scorer: str) -> str:
    """Return recall@20 by segment of users and items, in the order of the table."""
    frame = pl.read_csv(table / "segments.csv").filter(pl.col("scorer").is_in([scorer, "reference"]))
    names = [name for name in frame.columns if name not in ("strategy", "scorer")]
    lines = [f"| strategy | {' | '.join(name.replace('_', ' ') for name in names)} |", "|---" * (len(names) + 1) + "|"]
    for row in frame.drop_nulls("all").sort("all", descending=True).iter_rows(named=True):
        shown = row["strategy"] if row["scorer"] == scorer else f"*{row['strategy']}*"
        lines.append(f"| {shown} | {' | '.join(number(row[name]) for name in names)} |")
    return "\n".join(lines) + "\n"


def number(value: float | None) -> str:
    """Return it without the zero in front; nothing where there is none."""
    if value is None:
        return ""
    text = f"{value:.4f}".replace("0.", ".", 1)
    return text.lstrip("-") if float(text) == 0 else text


def spread(row: dict[str, Any] | None, name: str) -> str:
    """Return mean and deviation."""
    if row is None:
        return ""
    deviation = row[f"{name}_deviation"]
    return number(row[name]) + ("" if deviation is None else f" ± {number(deviation)}")


def interval(row: dict[str, Any] | None) -> str:
    """Return a difference and its interval."""
    if row is None:
        return ""
    anywhere = " ‡" if row["wide_p"] is not None and row["wide_p"] < 0.05 else ""
    return f"{number(row['difference'])} ({number(row['low'])} to {number(row['high'])}){anywhere}"


if __name__ == "__main__":
    sys.exit(main())
