"""When is an incremental update as good as retraining, and how much cheaper? The same rows on five logs, five seeds each.

    python scripts/flagship.py run [LOG…] --seeds 0,1,2,3,4     # `gnnrec compare` for each log; what is finished stays
    python scripts/flagship.py page runs/flagship                # tables and the figure over what has run

`run` keeps a comparison below runs/flagship/LOG, with its own report, and goes on with what a killed one has left. `page`
writes beside them rows.csv (every row against full retraining), when.csv (the same by kind of user and item, and early against
late increments), both as Markdown too, and figures/flagship.png and .svg. Online Retail goes through a store that lies at
`retail` (see experiments/online_retail).
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gnnrec.cli.exit import guarded
from gnnrec.cli.main import main as gnnrec
from gnnrec.core.errors import GnnrecError, nearest
from gnnrec.core.files import write_atomic
from gnnrec.evaluation import significance
from gnnrec.evaluation.results import REFERENCE, by_segment, cost_mean, summary
from gnnrec.reporting import style
from gnnrec.reporting.style import GRID, INK, MUTED, Look

STRATEGIES = ("full_retrain", "warm_retrain", "replay", "ema", "fine_tune", "frozen", "stale")
FULL, METRIC, MARGIN = "full_retrain", "recall@20", 0.01
COMMON = [
    *("threads=1", "logger=none", "figures=false", "launcher=processes"),
    f"strategies=[{','.join(STRATEGIES)}]",
    "references=[popularity,decayed_popularity,popularity_itemknn]",
    *("fit.batch_size=2048", "fit.max_epochs=20", "fit.patience=5"),
    *("fit.base.batch_size=8192", "fit.base.max_epochs=30", "fit.base.patience=5"),
    *("evaluation.topk=[20]", "evaluation.matrix=off", "stream.test_share=0"),
]
"""Every row as its YAML has it, nothing tuned; the same schedule for all updates, another for all cold starts."""
LONGER = ["fit.base.batch_size=4096", "fit.base.max_epochs=40", "fit.base.patience=8"]
LOGS: dict[str, list[str]] = {
    "movietweetings": ["stream.increments=8", *LONGER],
    "amazon_games": [
        *("stream.increments=8", "stream.split=within", "evaluation.candidates=known", "encoder.width=64"),
        *LONGER,
    ],
    "gowalla_ccd": [
        'data.filters=[{column:user,reason:nine_tenths_of_the_users,matches:"0$"}]',
        "scorer.companion=itemknn",
    ],
    "globo": [
        'data.filters=[{column:user,reason:seven_tenths_of_the_users,matches:"[036]$"}]',
        *('data.time_range=["2017-10-01T03:00","2017-10-02T17:00"]', 'stream.base="2017-10-02T11:00"'),
        *("stream.width=1h", "fit.batch_size=8192"),
    ],
    "online_retail": ["data.path=retail", "fit.batch_size=8192"],
}
"""Beside the settings of each experiment: eight increments, a tenth of Gowalla's users, three tenths of Globo's in 38 hours."""
NAMES = {
    "movietweetings": "MovieTweetings (films)",
    "amazon_games": "Amazon Games (reviews)",
    "gowalla_ccd": "Gowalla (check-ins)",
    "globo": "Globo (news)",
    "online_retail": "Online Retail (shop)",
}
SCORERS = {"model": "the model alone", "blend": "blend, as served"}


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a finished comparison of one log holds."""

    log: str
    results: pl.DataFrame
    per_user: pl.DataFrame

    @staticmethod
    def of(folder: Path) -> Comparison:
        """Read one."""
        results, per_user = (pl.read_parquet(folder / f"{name}.parquet") for name in ("results", "per_user"))
        return Comparison(folder.name, results, per_user)


def main() -> int:
    """Run the comparisons, or write the page of those that have run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("run", "page"))
    parser.add_argument("what", nargs="*", help="run: some of the logs, and KEY=VALUE; page: the folder")
    parser.add_argument("--seeds", default="0,1,2,3,4", help="separated by commas")
    given = parser.parse_intermixed_args()
    if given.action == "page":
        if len(given.what) != 1:
            raise GnnrecError(f"page takes one folder, got {len(given.what)}")
        return page(Path(given.what[0]))
    logs = [w for w in given.what if "=" not in w] or list(LOGS)
    if odd := [log for log in logs if log not in LOGS]:
        raise GnnrecError(f"'{odd[0]}' is no log of this record{nearest(odd[0], LOGS)}")
    more = [w for w in given.what if "=" in w]
    own = [[f"experiment={log}", f"output=runs/flagship/{log}", f"seeds=[{given.seeds}]", *COMMON] for log in logs]
    return max(gnnrec(["compare", *asked, *LOGS[log], *more]) for log, asked in zip(logs, own, strict=True))


def page(folder: Path) -> int:
    """Write tables and figure of the comparisons below `folder`, and print the rows."""
    found = [Comparison.of(f) for f in sorted(folder.iterdir()) if (f / "per_user.parquet").is_file()]
    if not found:
        raise GnnrecError(f"{folder} holds no finished comparison; `python scripts/flagship.py run` makes them")
    rows = pl.concat([against_full(c) for c in found])
    when = pl.concat([where(c) for c in found], how="diagonal")
    for name, frame in (("rows", rows), ("when", when)):
        write_atomic(folder / f"{name}.csv", frame.write_csv())
    write_atomic(folder / "rows.md", markdown(rows))
    write_atomic(folder / "when.md", markdown_when(when))
    (folder / "figures").mkdir(exist_ok=True)
    with style.styled():
        figure = draw(rows)
        figure.savefig(folder / "figures" / "flagship.svg", metadata={"Date": None})
        style.save(figure, folder / "figures" / "flagship.png")
    print(markdown(rows))
    return 0


def against_full(c: Comparison) -> pl.DataFrame:
    """Return every row's recall@20, its difference to full retraining as a share of that, and how many times less it costs.

    The share is of full retraining's mean as it was observed, which intervals take for fixed. Intervals are corrected over all
    pairs of the log: `low` to `high` for these increments and seeds, `wide_low` to `wide_high` for others like them. A row that
    trains nothing is set against full retraining's blend and costs n/a.
    """
    tested = significance.compare(c.per_user, METRIC, references=(FULL,), margin=MARGIN)
    tested = tested.filter((pl.col("scorer") != REFERENCE) | (pl.col("reference_scorer") == "blend"))
    table = summary(c.results).select("strategy", "scorer", value=f"{METRIC}_all")
    full = table.filter(strategy=FULL).select(reference_scorer="scorer", full="value")
    costs = times_cheaper(c.results, "seconds", "times").join(
        times_cheaper(c.results, "edges_touched", "edges"), on=["strategy", "scorer"], how="left"
    )
    rows = tested.join(table, on=["strategy", "scorer"], how="left").join(full, on="reference_scorer", how="left")
    ends = ("difference", "low", "high", "wide_low", "wide_high")
    rows = rows.with_columns(pl.col(end) / pl.col("full") for end in ends).join(
        costs, on=["strategy", "scorer"], how="left"
    )
    cheaper = (f"{name}{end}" for name in ("times", "edges") for end in ("", "_low", "_high"))
    kept = ("strategy", "scorer", "value", "full", *ends, "as_good", *cheaper)
    return rows.select(pl.lit(c.log).alias("log"), *kept, "users", "increments", "seeds").sort(
        "scorer", "difference", descending=[False, True], maintain_order=True
    )


def times_cheaper(results: pl.DataFrame, metric: str, name: str) -> pl.DataFrame:
    """Return how many times a row's cost full retraining's is: the median over seeds of the ratio within one, least and most.

    Within a seed both rows had the same base, schedule and, mostly, the same company on the machine.
    """
    spent = cost_mean(results, metric)
    full = spent.filter(strategy=FULL).select("scorer", "seed", full="value")
    ratio = spent.join(full, on=["scorer", "seed"]).with_columns(ratio=pl.col("full") / pl.col("value"))
    told = {"": pl.col("ratio").median(), "_low": pl.col("ratio").min(), "_high": pl.col("ratio").max()}
    return ratio.group_by("strategy", "scorer").agg(**{f"{name}{end}": value for end, value in told.items()})


def where(c: Comparison) -> pl.DataFrame:
    """Return each trained row's difference to full retraining under the blend, in percent of it, by segment and by age."""
    segments = by_segment(c.results, METRIC).filter(scorer="blend").drop("scorer").drop("all")
    segments = segments.unpivot(index="strategy", variable_name="segment", value_name="value").drop_nulls()
    of_full = segments.filter(strategy=FULL).select("segment", full="value")
    told = segments.filter(pl.col("strategy") != FULL).join(of_full, on="segment")
    told = told.select("strategy", "segment", "full", difference=pl.col("value") / pl.col("full") - 1)
    last = int(c.results.filter(split="next")["trained_to"].max())  # type: ignore[arg-type]
    parts = {"early increments": (1, 1 + last // 2), "late increments": (1 + last // 2, last + 1)}
    ages = [_between(c, *span).with_columns(segment=pl.lit(name)) for name, span in parts.items()]
    every = pl.concat([told, *ages], how="diagonal_relaxed")
    return every.select(pl.lit(c.log).alias("log"), "segment", "strategy", "full", "difference")


def _between(c: Comparison, first: int, behind: int) -> pl.DataFrame:
    rows = c.results.filter(
        pl.col("scorer") == "blend", pl.col("split") == "next", pl.col("segment") == "all", pl.col("metric") == METRIC,
        pl.col("trained_to").is_between(first, behind, closed="left"),
    )  # fmt: skip
    means = rows.group_by("strategy", maintain_order=True).agg(pl.col("value").mean())
    full = means.filter(strategy=FULL)["value"].item()
    return means.filter(pl.col("strategy") != FULL).select(
        "strategy", full=pl.lit(full), difference=pl.col("value") / full - 1
    )


def percent(x: float | None) -> str:
    """Return a share as percent with a sign."""
    return "n/a" if x is None or not math.isfinite(x) else f"{100 * x:+.1f} %"


def ranged(x: float | None, low: float | None, high: float | None) -> str:
    """Return a ratio with its least and most."""
    if x is None or low is None or high is None or not math.isfinite(high):
        return "n/a"
    return "> 1,000" if x > 1000 else f"{x:,.1f} ({low:,.1f} to {high:,.1f})"


def markdown(rows: pl.DataFrame) -> str:
    """Return the table of all logs, the blend's rows first."""
    lines = [
        "| log | row | recall@20 | from full retraining | for other increments and seeds | as good, within 1 % "
        "| times fewer seconds | times fewer edges |",
        "|---" * 8 + "|",
    ]
    for row in rows.iter_rows(named=True):
        name = f"*{row['strategy']}*" if row["scorer"] == REFERENCE else f"{row['strategy']}, {row['scorer']}"
        inner, wide = (
            f"{percent(row[a])} to {percent(row[b])}" for a, b in (("low", "high"), ("wide_low", "wide_high"))
        )
        cost = [ranged(*(row[f"{name}{end}"] for end in ("", "_low", "_high"))) for name in ("times", "edges")]
        cells = [
            NAMES.get(row["log"], row["log"]),
            name,
            f"{row['value']:.4f}",
            f"{percent(row['difference'])} ({inner})",
        ]
        lines.append("| " + " | ".join([*cells, wide, row["as_good"] or "n/a", *cost]) + " |")
    return "\n".join(lines) + "\n"


def markdown_when(when: pl.DataFrame) -> str:
    """Return the differences by segment, a column per strategy."""
    names = [n for n in STRATEGIES if n in when["strategy"].unique()]
    lines = [f"| log | among | full_retrain | {' | '.join(names)} |", "|---" * (len(names) + 3) + "|"]
    for (log, segment), part in when.group_by(["log", "segment"], maintain_order=True):
        own = dict(part.select("strategy", "difference").iter_rows())
        cells = [NAMES.get(str(log), str(log)), str(segment), f"{part['full'][0]:.4f}"]
        lines.append(f"| {' | '.join([*cells, *(percent(own.get(n)) for n in names)])} |")
    return "\n".join(lines) + "\n"


def draw(rows: pl.DataFrame) -> Figure:
    """Draw a panel for each log and scorer: differences to full retraining, intervals, and times cheaper beside them.

    Thick: for these increments and seeds. Thin: for others like them. The band is what counts as at least as good.
    """
    logs = [log for log in LOGS if log in rows["log"].unique()] + sorted(set(rows["log"].unique()) - set(LOGS))
    names = tuple(n for n in STRATEGIES if n not in ("stale", FULL))
    scorers = tuple(SCORERS)
    figure, axes = style.canvas(len(scorers), len(logs), 2.35, 2.1, share_y=True)
    for n, axis in enumerate(axes):
        scorer, log = scorers[n // len(logs)], logs[n % len(logs)]
        _panel(axis, rows.filter(log=log, scorer=scorer), Look(names, ()))
        if n < len(logs):
            axis.set_title(NAMES.get(log, log).replace(" (", "\n("), fontsize=9)
        if n % len(logs) == 0:
            axis.set_ylabel(SCORERS[scorer], fontsize=8)
    axes[0].set_yticks(range(len(names)), names)
    axes[0].set_ylim(len(names) - 0.4, -0.6)
    told = "recall@20 against full retraining, % of it; right: how many times fewer seconds an update takes (median of seeds)"
    figure.supxlabel(told, fontsize=9)
    return figure


def _panel(axis: Axes, rows: pl.DataFrame, look: Look) -> None:
    axis.axvspan(-100 * MARGIN, 100 * MARGIN, color=GRID, alpha=0.8, lw=0, zorder=0)
    axis.axvline(0, color=INK, lw=1, zorder=1)
    own = {row["strategy"]: row for row in rows.iter_rows(named=True)}
    for n, name in enumerate(look.strategies):
        if (row := own.get(name)) is None:
            continue
        colour = look.colour(name)
        for ends, width in ((("wide_low", "wide_high"), 0.8), (("low", "high"), 3.0)):
            if all(row[end] is not None and np.isfinite(row[end]) for end in ends):
                axis.plot([100 * row[end] for end in ends], [n, n], color=colour, lw=width, zorder=2)
        axis.plot(100 * row["difference"], n, look.marker(name), color=colour, ms=6, zorder=3)
        told = "" if row["times"] is None else f"{row['times']:.0f}×" if row["times"] >= 10 else f"{row['times']:.1f}×"
        axis.annotate(told, (1.01, n), xycoords=("axes fraction", "data"), va="center", fontsize=8, color=MUTED)
    axis.grid(visible=False, axis="y")
    axis.locator_params(axis="x", nbins=5)


if __name__ == "__main__":
    sys.exit(guarded(lambda _: main(), ["scripts/flagship.py"]))
