"""One table over all data sets of `scripts/methods.py`: mean ranks, the critical distance and its figure.

    python scripts/methods_over.py runs/methods --scorer blend --metric ndcg@20

Reads runs/methods/*/table/summary.csv; strategies that are not in every one of them are left out, and said.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

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
    p = "n/a" if found.p is None else f"{found.p:.3g}"
    print(f"{found.blocks} data sets, Friedman p {p}; rows differ if {found.distance:.2f} ranks apart (Nemenyi, 5 %)")
    for name, mean in zip(found.names, found.mean, strict=True):
        print(f"{name:<24} {mean:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
