"""How often should one update? Policies × two strategies on one log, cut down, by what was served when it came.

    python scripts/update_frequency.py movietweetings threads=1 logger=none
    python scripts/update_frequency.py movietweetings --seeds 0 threads=1 logger=none      # a part of it

Everything is kept below `output`, runs/update_frequency/LOG where not given; the same command goes on with what a killed
one has left. Beside the table: policies.csv, what every policy served, lost and took, and the price of a second from which
on it pays against updating always; worth.csv, what every interval is worth at a price; both as Markdown too;
differences.csv, of every policy from updating always and with every second increment; figures/interval.png.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from methods import cut, numbers, typed
from numpy.typing import NDArray

from gnnrec.cli.exit import guarded
from gnnrec.config.compose import compose
from gnnrec.core.files import write_atomic
from gnnrec.data.types import Stream
from gnnrec.evaluation import significance
from gnnrec.policies.break_even import best_interval, break_even_price, loss_by_age, worth
from gnnrec.reporting import style
from gnnrec.runs.compare import compare
from gnnrec.runs.job import Job
from gnnrec.runs.progress import Progress

SHORT = [
    *("scorer.rows=[blend]", "references=[decayed_popularity]"),
    *("fit.max_epochs=6", "fit.patience=2", "fit.base.max_epochs=6", "fit.base.patience=2", "encoder.width=32"),
]
"""Beside the caps of `methods.py`, for every log: the scorer that serves alone, half the width, fewer epochs."""
LOGS: dict[str, list[str]] = {
    "movietweetings": ["stream.increments=16"],
    "online_retail": [
        *("data=online_retail", "stream=by_count", "stream.increments=12", "stream.base=0.5", "stream.test_share=0"),
        "data.filters=["
        "{column: InvoiceNo, not_matches: '^C', reason: cancellation},"
        "{column: Quantity, above: 0, reason: quantity_not_positive},"
        "{column: StockCode, matches: '^[0-9][0-9][0-9][0-9][0-9]', reason: not_a_product},"
        "{column: CustomerID, matches: '[02468][.]0$', reason: half of the customers}]",
    ],
    "globo": [
        "data.filters=[{column: user, reason: forty-nine fiftieths of the users, matches: '[05]0$'}]",
        *('data.time_range=["2017-10-01","2017-10-17T03:00"]', 'stream.base="2017-10-06T03:00"', "stream.width=1d"),
        *("scorer.grid.most_users=1000",),
    ],
}
POLICIES = {
    "every": ["policy=every"],
    "every_n 2": ["policy=every_n", "policy.n=2"],
    "every_n 4": ["policy=every_n", "policy.n=4"],
    "every_n 8": ["policy=every_n", "policy.n=8"],
    "drift": ["policy=drift"],
    "performance": ["policy=performance"],
    "cost": ["policy=cost"],
    "budget": ["policy=budget", "policy.seconds=0.25"],
}
"""As they come, but for the budget: a second for a thousand events would never bind."""
STRATEGIES = ("fine_tune", "full_retrain")
FLOORS = ("stale", "frozen")
"""Nothing is let in; new edges and counts are, with every increment, and nothing is trained."""
INTERVALS = {1: "every", 2: "every_n 2", 4: "every_n 4", 8: "every_n 8"}
PRICES = (1.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
"""Events with a recall of 1 that a second must bring back, as policy `cost` has it."""
METRIC, SCORER = "recall@20", "blend"
Floats = NDArray[np.float64]


def main() -> int:
    """Run what is missing, print the tables and where the report is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", help=f"{', '.join(LOGS)}, or another, as it is")
    parser.add_argument("--seeds", default="0,1", help="separated by commas")
    parser.add_argument("overrides", nargs="*", help="of the configuration, such as output=… threads=1")
    given = parser.parse_intermixed_args()
    time.perf_counter = time.process_time  # core-seconds: what runs beside is charged to nobody
    own = [*SHORT, *LOGS.get(given.experiment, []), *given.overrides]
    plain, config, scene = cut("update_frequency", given.experiment, own)
    jobs = [
        Job(name, compose([*plain, *more, f"seed={seed}"]))
        for seed in numbers(given.seeds)
        for name, more in rows().items()
    ]
    done = compare(jobs, scene, typed(), Progress(), output=Path(config["output"]) / "table")
    write(Path(done.path).parent, scene.setting.stream)
    write_atomic(Path(done.path).parent / "table.txt", done.text + "\n")
    print(f"{done.text}\nreport: {done.path}")
    return 0


def rows() -> dict[str, list[str]]:
    """Return the rows of the table and what makes them: the floors, then each policy under each strategy."""
    found = {name: [f"strategy={name}"] for name in FLOORS}
    for policy, own in POLICIES.items():
        found |= {named(strategy, policy): [f"strategy={strategy}", *own] for strategy in STRATEGIES}
    return found


def named(strategy: str, policy: str) -> str:
    """Return what a row is called."""
    return strategy if policy == "every" else f"{strategy}, {policy}"


@dataclass(frozen=True, slots=True)
class Served:
    """What the rows served and took, by increment that came; t ≥ 1, as in the means.

    Attributes:
        events: [t] of each increment that came.
        quality: row -> [seeds, t] recall@20 of what was served on it.
        seconds, edges: row -> [seeds, t] of the update just before; 0 where nothing was updated.
        updated: row -> [seeds, t], whether there was one.
    """

    events: Floats
    quality: dict[str, Floats]
    seconds: dict[str, Floats]
    edges: dict[str, Floats]
    updated: dict[str, NDArray[np.bool_]]

    @staticmethod
    def of(results: pl.DataFrame, stream: Stream) -> Served:
        """Return it from the tidy rows; an update that serves nobody that is scored is left out."""
        own = results.filter(pl.col("scorer") == SCORER, pl.col("segment") == "all", pl.col("trained_to") >= 1)
        came = own.filter(split="next", metric=METRIC)
        ts = came["trained_to"].unique().sort().to_list()
        own = own.filter(pl.col("trained_to").is_in(ts))
        counts = [
            len(stream.increments[t + 1].observed.arrived) + len(stream.increments[t + 1].observed.folded) for t in ts
        ]
        waits = by_row(own.filter(split="policy", metric="waits"), ts)
        seconds = by_row(own.filter(split="cost", metric="seconds"), ts)
        return Served(
            np.array(counts, float),
            by_row(came, ts),
            seconds,
            by_row(own.filter(split="cost", metric="edges_touched"), ts),
            {name: ~np.isfinite(waits.get(name, np.full_like(x, np.nan))) for name, x in seconds.items()},
        )


def by_row(frame: pl.DataFrame, ts: list[int]) -> dict[str, Floats]:
    """Return row -> [seeds, t]; NaN where there is no value."""
    found: dict[str, dict[int, Floats]] = {}
    place = {t: n for n, t in enumerate(ts)}
    for name, seed, t, value in frame.select("strategy", "seed", "trained_to", "value").iter_rows():
        line = found.setdefault(name, {}).setdefault(seed, np.full(len(ts), np.nan))
        line[place[t]] = math.nan if value is None else value
    return {name: np.array([lines[s] for s in sorted(lines)]) for name, lines in found.items()}


def write(table: Path, stream: Stream) -> None:
    """Write the tables and the figure beside a comparison's."""
    served = Served.of(pl.read_parquet(table / "results.parquet"), stream)
    per_user = pl.read_parquet(table / "per_user.parquet").filter(scorer=SCORER)
    differences = differences_of(per_user)
    write_atomic(table / "differences.csv", differences.write_csv())
    policies = policies_of(served, differences)
    offered = worth_of(served, policies)
    for name, frame, text in (("policies", policies, policy_lines(policies)), ("worth", offered, worth_lines(offered))):
        write_atomic(table / f"{name}.csv", frame.write_csv())
        write_atomic(table / f"{name}.md", text)
        print(text)
    (table / "figures").mkdir(exist_ok=True)
    draw(policies, table / "figures" / "interval.png")


def differences_of(per_user: pl.DataFrame) -> pl.DataFrame:
    """Return how far the rows of each strategy, and the floors, are from updating always and with every second increment."""
    found = []
    for strategy in STRATEGIES:
        among = per_user.filter(pl.col("strategy").is_in([*(named(strategy, policy) for policy in POLICIES), *FLOORS]))
        found.append(significance.compare(among, METRIC, references=[strategy, named(strategy, INTERVALS[2])]))
    return pl.concat(found)


def policies_of(served: Served, differences: pl.DataFrame) -> pl.DataFrame:
    """Return a row per strategy and policy, and the floors; differences are from that strategy updating always."""
    found = []
    for strategy in STRATEGIES:
        names = {named(strategy, policy): policy for policy in POLICIES} | {floor: floor for floor in FLOORS}
        apart = {row["strategy"]: row for row in differences.filter(reference=strategy).iter_rows(named=True)}
        found += [
            {"strategy": strategy, "policy": policy, **line(served, strategy, name, apart.get(name))}
            for name, policy in names.items()
        ]
    return pl.DataFrame(found, infer_schema_length=None)


def line(served: Served, always: str, name: str, apart: dict[str, Any] | None) -> dict[str, Any]:
    """Return what a row served, lost and took."""
    quality, events = served.quality[name], served.events
    means, spent = quality.mean(axis=1), served.seconds[name].sum(axis=1).mean()
    saved = float(served.seconds[always].sum(axis=1).mean() - spent)
    if name not in FLOORS and (served.updated[name] == served.updated[always]).all():
        saved = 0.0  # the same updates: what their seconds differ by is chance
    lost = float(((served.quality[always] - quality) * events).sum(axis=1).mean())
    per_thousand = 1000 / events.sum()
    low, high, wide_low, wide_high, difference = (
        (apart or {}).get(what) for what in ("low", "high", "wide_low", "wide_high", "difference")
    )
    # Increments weigh alike in the interval and by their events in what is lost: the interval keeps its width.
    least, most = (
        (lost - (high - difference) * events.sum(), lost + (difference - low) * events.sum()) if apart else (None, None)
    )
    return {
        "updates": float(served.updated[name].sum(axis=1).mean()) if name not in FLOORS else None,
        "of": quality.shape[1],
        "seeds": quality.shape[0],
        METRIC: float(means.mean()),
        "deviation": float(means.std(ddof=1)) if len(means) > 1 else None,
        **{"difference": difference, "low": low, "high": high, "wide_low": wide_low, "wide_high": wide_high},
        "regret": lost,
        "regret_per_1000": lost * per_thousand,
        "regret_low": None if least is None else least * per_thousand,
        "regret_high": None if most is None else most * per_thousand,
        "seconds": float(spent),
        "seconds_per_1000": float(spent) * per_thousand,
        "saved_per_1000": saved * per_thousand,
        "edges": float(served.edges[name].sum(axis=1).mean() / served.edges[always].sum(axis=1).mean()),
        "price": known(break_even_price(lost, saved)) if apart else None,
        "price_low": None if least is None else known(break_even_price(least, saved)),
        "price_high": None if most is None else known(break_even_price(most, saved)),
    }


def known(value: float) -> float | None:
    """Return a number, None for NaN."""
    return value if math.isfinite(value) else None


def worth_of(served: Served, policies: pl.DataFrame) -> pl.DataFrame:
    """Return what every interval is worth against updating always, per 1,000 events and price, and which one is best.

    `best_by_age` is what `gnnrec status --price` would say by the rows that waited: the interval that costs least where
    each increment of age loses as much as it does on average.
    """
    found = []
    for strategy in STRATEGIES:
        own = {row["policy"]: row for row in policies.filter(strategy=strategy).iter_rows(named=True)}
        waited = [x for policy in INTERVALS.values() for x in runs_of(served, named(strategy, policy))]
        lost, events = loss_by_age(waited), float(served.events.mean())
        seconds = served.seconds[strategy].mean()
        for price in PRICES:
            net = {
                n: worth(own[policy]["regret_per_1000"], own[policy]["saved_per_1000"], price) if n > 1 else 0.0
                for n, policy in INTERVALS.items()
            }
            bounds = {n: between(own[policy], price) for n, policy in INTERVALS.items() if n > 1}
            found.append(
                {
                    "strategy": strategy,
                    "price": price,
                    **{f"every {n}": x for n, x in net.items() if n > 1},
                    **{
                        f"every {n} {what}": x
                        for n, pair in bounds.items()
                        for what, x in zip(("low", "high"), pair, strict=True)
                    },
                    "best": max(net, key=lambda n: (net[n], -n)),
                    "best_by_age": best_interval(lost.loss, events, float(seconds), price),
                    "loss": known(lost.loss),
                }
            )
    return pl.DataFrame(found, infer_schema_length=None)


def runs_of(served: Served, name: str) -> list[list[float]]:
    """Return for each model of each seed what it served, in turn."""
    found: list[list[float]] = []
    for quality, updated in zip(served.quality[name], served.updated[name], strict=True):
        for n, (value, fresh) in enumerate(zip(quality, updated, strict=True)):
            if fresh or n == 0:
                found.append([])
            found[-1].append(float(value))
    return found


def between(row: dict[str, Any], price: float) -> tuple[float | None, float | None]:
    """Return the interval of what a row is worth."""
    if row["regret_low"] is None:
        return None, None
    return (
        worth(row["regret_high"], row["saved_per_1000"], price),
        worth(row["regret_low"], row["saved_per_1000"], price),
    )


def policy_lines(frame: pl.DataFrame) -> str:
    """Return a line per strategy and policy, as Markdown."""
    lines = [
        "| strategy | policy | updates | recall@20 served | from every | regret | seconds per 1,000 events | edges "
        "| pays from a price of |",
        "|---" * 9 + "|",
    ]
    for row in frame.iter_rows(named=True):
        spread = "" if row["deviation"] is None else f" ± {short(row['deviation'])}"
        apart = (
            ""
            if row["difference"] is None
            else f"{signed(row['difference'])} ({signed(row['low'])} to {signed(row['high'])})"
        )
        cells = [
            *(row["strategy"], row["policy"]),
            "" if row["updates"] is None else f"{row['updates']:g} of {row['of']}",
            f"{short(row[METRIC])}{spread}",
            apart,
            f"{row['regret']:.0f}" if apart else "",
            f"{row['seconds_per_1000']:.2f}",
            f"{row['edges']:.2f}",
            prices(row) if apart else "",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def prices(row: dict[str, Any]) -> str:
    """Return the price from which on a row pays, and its interval; n/a where it saves nothing."""
    if row["price"] is None:
        return "n/a"
    price, low, high = (
        f"{row[what]:,.{0 if row[what] >= 10 else 1}f}" for what in ("price", "price_low", "price_high")
    )
    return f"{price} ({low} to {high})"


def worth_lines(frame: pl.DataFrame) -> str:
    """Return a line per strategy and price, as Markdown; bold where its interval leaves 0 out."""
    several = [n for n in INTERVALS if n > 1]
    lines = [
        f"| strategy | price | {' | '.join(f'every {n}' for n in several)} | best of these | by loss with age |",
        "|---" * (4 + len(several)) + "|",
    ]
    for row in frame.iter_rows(named=True):
        shown = []
        for n in several:
            low, high = row[f"every {n} low"], row[f"every {n} high"]
            text = "n/a" if low is None else f"{row[f'every {n}']:+.2f}"
            shown.append(f"**{text}**" if low is not None and (low > 0 or high < 0) else text)
        age = "n/a" if row["best_by_age"] is None else str(row["best_by_age"])
        lines.append(f"| {row['strategy']} | {row['price']:g} | {' | '.join(shown)} | {row['best']} | {age} |")
    return "\n".join(lines) + "\n"


def short(value: float) -> str:
    """Return a share without the zero in front."""
    return f"{value:.4f}".replace("0.", ".", 1)


def signed(value: float) -> str:
    """Return a difference with its sign, and no -0."""
    return f"{round(value, 4) + 0.0:+.4f}".replace("0.", ".", 1)


def draw(policies: pl.DataFrame, path: Path) -> None:
    """Draw served quality against the interval: a band is the interval of the difference from updating always."""
    with style.styled():
        figure, (axis,) = style.canvas(1, 1, 6.0, 3.7)
        for colour, marker, strategy in zip(style.PALETTE, style.MARKERS, STRATEGIES, strict=False):
            own = {row["policy"]: row for row in policies.filter(strategy=strategy).iter_rows(named=True)}
            at = [own[policy] for policy in INTERVALS.values()]
            mean = np.array([row[METRIC] for row in at])
            low, high = (np.array([row[what] or 0.0 for row in at]) + mean[0] for what in ("low", "high"))
            axis.plot(list(INTERVALS), mean, color=colour, marker=marker, ms=4, lw=1.8, label=strategy)
            axis.fill_between(list(INTERVALS), low, high, color=colour, alpha=0.16, lw=0)
        for dash, floor in zip(style.DASHES, FLOORS, strict=False):
            axis.axhline(own[floor][METRIC], color=style.MUTED, lw=1.1, ls=dash, label=floor)
        axis.set_xscale("log", base=2)
        axis.set_xticks(list(INTERVALS), [str(n) for n in INTERVALS])
        axis.set_xlabel("increments that an update takes up")
        axis.set_ylabel("recall@20 of what was served")
        figure.legend(loc="outside right center")
        style.save(figure, path)


if __name__ == "__main__":
    sys.exit(guarded(lambda _: main(), ["scripts/update_frequency.py"]))
