"""Every strategy on one log under one protocol: the same number of trials for each, then all seeds, then one table.

    python scripts/methods.py amazon_games threads=1 logger=none
    python scripts/methods.py amazon_games --trials-only --part 0/2 …      # two processes share the trials,
    python scripts/methods.py amazon_games --seeds 0 --part 0/2 …          # and the runs; without --part: the table
    python scripts/methods.py globo --defaults threads=1 logger=none       # no trials

A strategy's settings are tried on the valid events of increments 1 and 2 under seed 0, the best is kept for all seeds, and what
is compared is what came next from increment 3 on. Everything is kept below `output`, runs/methods/LOG where not given; the same
command goes on with what a killed one has left. Strategies without a setting of their own are run as they come.

`CAPS` and `LOGS` say how each log is cut down, so that all strategies on all logs fit into hours of two cores.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import Any

import polars as pl

from gnnrec.cli.exit import guarded
from gnnrec.cli.train import prepare
from gnnrec.config.compose import compose
from gnnrec.config.options import overrides as written
from gnnrec.core import resources
from gnnrec.core.errors import GnnrecError, nearest, one_line
from gnnrec.core.files import write_atomic
from gnnrec.evaluation import significance
from gnnrec.evaluation.results import by_segment, regrets
from gnnrec.runs import build
from gnnrec.runs.build import Config, Scene
from gnnrec.runs.compare import compare, run_all
from gnnrec.runs.folder import finished, named, read_frames
from gnnrec.runs.job import Job
from gnnrec.runs.point import LAST, mean_of, measured
from gnnrec.runs.progress import Progress

METRIC = "ndcg@20"
CAPS = [
    *("fit.batch_size=2048", "fit.max_epochs=12", "fit.patience=3"),
    *("fit.base.batch_size=8192", "fit.base.max_epochs=30", "fit.base.patience=5"),
    *("evaluation.topk=[20]", "evaluation.matrix=off"),
]
"""For every log: few epochs, of two steps at least, offered alike to all that train; no test slices of earlier increments."""
LOGS: dict[str, list[str]] = {
    "amazon_games": [
        *("stream.increments=8", "stream.split=within", "stream.test_share=0"),
        *("evaluation.candidates=known", "encoder.width=64"),
    ],
    "movietweetings": ["stream.increments=8", "stream.test_share=0"],
    "online_retail": ["stream.test_share=0", "fit.batch_size=8192"],
    "gowalla_ccd": [
        "data.filters=[{column: user, reason: nine tenths of the users, matches: '0$'}]",
        *("scorer.companion=itemknn", "fit.base.max_epochs=15", "fit.base.patience=3"),
    ],
    "globo": [
        *('data.time_range=["2017-10-01T03:00","2017-10-02T17:00"]', 'stream.base="2017-10-02T11:00"'),
        *("stream.width=1h", "stream.test_share=0", "fit.batch_size=8192"),
        *("fit.base.max_epochs=15", "fit.base.patience=3"),
    ],
}
"""Beside the settings of each experiment: eight increments, every tenth user of Gowalla, six hours of Globo behind 32."""
Setting = dict[str, Any]


def scaled(keys: tuple[str, ...], values: tuple[float, ...]) -> list[Setting]:
    """Return a setting per value, the same for all keys."""
    return [dict.fromkeys(keys, value) for value in values]


STRENGTHS = (0.01, 0.1, 1.0)
BUDGETS = scaled(("budget",), (1000, 5000, 20_000))
SPACES: dict[str, list[Setting]] = {
    "stale": [],
    "frozen": [],
    "fine_tune": [],
    "full_retrain": [],
    "warm_retrain": [],
    "window_retrain": scaled(("increments",), (1, 2, 3)),
    "aligned_retrain": [],
    "replay": BUDGETS,
    "replay_reservoir": BUDGETS,
    "replay_inverse_degree": BUDGETS,
    "replay_recency": BUDGETS,
    "replay_window": BUDGETS,
    "replay_loss": BUDGETS,
    "replay_proportional": BUDGETS,
    "pull": scaled(("strength",), STRENGTHS),
    "ewc": scaled(("strength",), (100.0, 1e4, 1e6)),
    "distill": scaled(("strength",), STRENGTHS),
    "light_distill": scaled(("strength",), STRENGTHS),
    "ema": scaled(("weight",), STRENGTHS),
    "graph_sail": scaled(("own", "local", "globe"), STRENGTHS),
    "sgct": scaled(("strength",), STRENGTHS),
    "mgct": scaled(("strength",), STRENGTHS),
    "lwc_kd": scaled(("layers",), STRENGTHS),
    "lwc_kd_piw": scaled(("layers",), STRENGTHS),
    "pisa": [{"strength": 0.05, "share": 0.2}, {"strength": 0.5, "share": 0.2}, {"strength": 0.5, "share": 1.0}],
    "igc": scaled(("share",), (0.0, 0.25, 0.5)),
    "sml": scaled(("passes",), (1, 3, 6)),
    "graph_prompt": scaled(("recency",), (0.1, 0.5, 2.0)),
    "expand": scaled(("columns",), (4, 16, 32)),
    "fold_in": scaled(("ridge",), (1.0, 5.0, 25.0)),
    "filter": scaled(("recommender.half_life",), (5000.0, 50_000.0, 500_000.0)),
    "select": scaled(("price",), (0.0, 0.005, 0.02)),
    "ewc_replay": scaled(("parts.replay.budget",), (1000, 5000, 20_000)),
    "replay_graph_sail": scaled(("parts.replay.budget",), (1000, 5000, 20_000)),
}
"""What is tried of each strategy: three settings, or none where there is nothing to set."""


def main() -> int:
    """Try, compare, print the table and where the report is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", help=f"{', '.join(LOGS)}, or another, as it is")
    parser.add_argument("--seeds", default="0,1,2", help="separated by commas")
    parser.add_argument("--strategies", help="some of them, separated by commas; all where left out")
    parser.add_argument(
        "--part", default="0/1", help="k/n: every n-th strategy from the k-th on, for several processes"
    )
    parser.add_argument("--trials-only", action="store_true", help="try and stop")
    parser.add_argument(
        "--defaults",
        action="store_true",
        help="no trials: every strategy as its YAML has it, compared from increment 1 on",
    )
    parser.add_argument("overrides", nargs="*", help="of the configuration, such as output=… threads=1")
    given = parser.parse_intermixed_args()
    names = given.strategies.split(",") if given.strategies else list(SPACES)
    if not given.defaults and (odd := [n for n in names if n not in SPACES]):
        raise GnnrecError(f"--strategies: '{odd[0]}' has no settings to try{nearest(odd[0], SPACES)}")
    (part, of), seeds = shared(given.part), numbers(given.seeds)
    plain, config, scene = cut("methods", given.experiment, given.overrides)
    progress = Progress()
    mine = names[part::of]
    if not mine:
        raise GnnrecError(
            f"--part {given.part} has no strategy of its own: {len(names)} are shared out; take fewer parts"
        )
    rows = {n: [] if given.defaults else tried(n, plain, config, scene, progress) for n in mine}
    if given.trials_only:
        return 0
    jobs = [
        Job(name, compose([*plain, f"strategy={name}", *rows[name], f"seed={seed}"])) for seed in seeds for name in rows
    ]
    if of > 1:
        run_all(jobs, scene, progress)
        return 0
    first = 1 if given.defaults else LAST + 1  # where nothing was tried, nothing is behind a trial
    done = compare(jobs, scene, typed(), progress, first, Path(config["output"]) / "table")
    put_beside(Path(done.path).parent, results_of(jobs, scene), first)
    write_atomic(Path(done.path).parent / "table.txt", done.text + "\n")
    if not given.defaults:
        write_atomic(Path(done.path).parent / "trials.csv", trials(Path(config["output"])).write_csv())
    print(f"{done.text}\nreport: {done.path}")
    return 0


def put_beside(table: Path, results: pl.DataFrame, first: int) -> None:
    """Write regrets, segments and differences beside a table."""
    among = ["select", *compose(["strategy=select"])["strategy"]["candidates"]]
    rows, per_user = (pl.read_parquet(table / f"{name}.parquet") for name in ("results", "per_user"))
    files = {
        "regret": regrets(results, METRIC, first),
        "regret-select": regrets(results.filter(pl.col("strategy").is_in(among)), METRIC, first),
        "segments": by_segment(rows, "recall@20", first),
        "differences": pl.concat(
            significance.compare(per_user, metric, first=first) for metric in ("recall@20", METRIC)
        ),
    }
    for name, frame in files.items():
        write_atomic(table / f"{name}.csv", frame.write_csv())


def shared(part: str) -> tuple[int, int]:
    """Return k and n of `--part k/n`."""
    k, _, n = part.partition("/")
    if not (k.isdecimal() and n.isdecimal() and int(k) < int(n)):
        raise GnnrecError(f"--part {part} must be k/n, whole numbers with k below n: 0/2 and 1/2 for two processes")
    return int(k), int(n)


def numbers(seeds: str) -> list[int]:
    """Return the seeds of `--seeds 0,1,2`."""
    if odd := [x for x in seeds.split(",") if not x.isdecimal()]:
        raise GnnrecError(f"--seeds {seeds}: '{odd[0]}' is no whole number; separate them by commas, as in 0,1,2")
    return [int(x) for x in seeds.split(",")]


def cut(record: str, experiment: str, overrides: list[str]) -> tuple[list[str], Config, Scene]:
    """Return the overrides of an experiment cut down, the configuration that they make, and its scene."""
    own = [f"output=runs/{record}/{experiment}", *CAPS, *LOGS.get(experiment, [])]
    plain = [f"experiment={experiment}", *own, *overrides]
    config = compose(plain)
    prepare(config)
    return plain, config, build.scene(config)


def typed() -> str:
    """Return what was typed, as from the project's root: where the project lies is no part of a record."""
    return shlex.join(["python", f"scripts/{Path(sys.argv[0]).name}", *sys.argv[1:]])


def results_of(jobs: list[Job], scene: Scene) -> pl.DataFrame:
    """Return the tidy rows of the runs that are finished."""
    folders = [(job, job.folder(scene.setting.stream)) for job in jobs]
    return pl.concat([named(read_frames(f), job.name)["results"] for job, f in folders if finished(f)], how="diagonal")


def trials(output: Path) -> pl.DataFrame:
    """Return what was tried: strategy, setting, value on valid, or why there is none."""
    rows = []
    for file in sorted((output / "trials").glob("*.json")):
        found = json.loads(file.read_text())
        setting = " ".join(found["asked"]["overrides"])
        rows.append((file.stem.rpartition("-")[0], setting, found.get("value"), found.get("failed")))
    schema = {"strategy": pl.String, "setting": pl.String, METRIC: pl.Float64, "failed": pl.String}
    return pl.DataFrame(rows, schema, orient="row")


def tried(name: str, plain: list[str], config: Config, scene: Scene, progress: Progress) -> list[str]:
    """Return the overrides that were best on valid of increments 1 and 2; of a setting that fails it is said why."""
    best: tuple[float, list[str]] | None = None
    for n, setting in enumerate(SPACES[name]):
        asked = written(setting, "strategy.")
        file = Path(config["output"]) / "trials" / f"{name}-{n}.json"
        wanted = [*plain, f"strategy={name}", *asked, "seed=0"]
        key = {"overrides": asked, "run": build.run_digest(compose(wanted), scene.setting.stream)}
        if not file.exists() or json.loads(file.read_text())["asked"] != key:
            found = outcome(name, wanted, scene, progress)
            file.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(file, json.dumps({"asked": key, **found}, indent=1) + "\n")
        found = json.loads(file.read_text())
        progress.say(f"{name}: {' '.join(asked)}: {found.get('value', found.get('failed'))}")
        if "value" in found and (best is None or found["value"] > best[0]):
            best = found["value"], asked
    return best[1] if best is not None else []


def outcome(name: str, asked: list[str], scene: Scene, progress: Progress) -> dict[str, Any]:
    """Return a trial's value, or why there is none."""
    try:
        return {"value": mean_of(measured(Job(name, compose(asked)), scene, LAST, progress), METRIC, LAST)}
    except resources.MemoryShortError:
        raise  # the machine's failure, not the setting's
    except GnnrecError as error:
        return {"failed": one_line(str(error))}


if __name__ == "__main__":
    sys.exit(guarded(lambda _: main(), ["scripts/methods.py"]))
