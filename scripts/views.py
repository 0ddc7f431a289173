"""Which edges should carry messages? Every view × not training and fine-tuning on one log, cut down as in `methods.py`.

    python scripts/views.py amazon_games threads=1 logger=none
    python scripts/views.py amazon_games --seeds 0 threads=1 logger=none      # a part of it; without --seeds: the table

Everything is kept below `output`, runs/views/LOG where not given; the same command goes on with what a killed one has left.
Beside the table: differences.csv, recall@20 of every row against both strategies over all edges.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import polars as pl
from methods import LOGS, cut, numbers, typed

from gnnrec.cli.exit import guarded
from gnnrec.config.compose import compose
from gnnrec.core.files import write_atomic
from gnnrec.evaluation import significance
from gnnrec.runs.compare import compare
from gnnrec.runs.job import Job
from gnnrec.runs.progress import Progress

VIEWS = ("accumulated", "block", "window", "decayed")
STRATEGIES = ("frozen", "fine_tune")


def main() -> int:
    """Run what is missing, print the table and where the report is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", help=f"{', '.join(LOGS)}, or another, as it is")
    parser.add_argument("--seeds", default="0,1,2", help="separated by commas")
    parser.add_argument("overrides", nargs="*", help="of the configuration, such as output=… threads=1")
    given = parser.parse_intermixed_args()
    seeds = numbers(given.seeds)
    plain, config, scene = cut("views", given.experiment, given.overrides)
    jobs = [
        Job(f"{strategy}, {view}", compose([*plain, f"graph={view}", f"strategy={strategy}", f"seed={seed}"]))
        for seed in seeds
        for view in VIEWS
        for strategy in STRATEGIES
    ]
    done = compare(jobs, scene, typed(), Progress(), output=Path(config["output"]) / "table")
    beside = Path(done.path).parent
    per_user = pl.read_parquet(beside / "per_user.parquet")
    against = [f"{strategy}, {VIEWS[0]}" for strategy in STRATEGIES]
    differences = significance.compare(per_user, "recall@20", references=against)
    write_atomic(beside / "differences.csv", differences.write_csv())
    print(f"{done.text}\nreport: {done.path}")
    return 0


if __name__ == "__main__":
    sys.exit(guarded(lambda _: main(), ["scripts/views.py"]))
