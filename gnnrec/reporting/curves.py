"""Figures that run along increments: each metric of next per increment, and how a model decays without updates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from gnnrec.evaluation import r_matrix
from gnnrec.evaluation import results as table
from gnnrec.evaluation.results import REFERENCE
from gnnrec.reporting.style import GRID, MARKERS, PALETTE, Look, canvas, label, legend
from gnnrec.reporting.worth.criterion import called

Floats = NDArray[np.float64]
_SHARES = ("new users", "new items", "set aside", "repeated", "late")


def metric_by_increment(
    results: pl.DataFrame,
    metric: str,
    segment: str,
    title: str,
    look: Look,
    first: int = 1,
    scorers: Sequence[str] = (),
) -> Figure | None:
    """Draw `metric` on the next increment against its number: mean over seeds, ± deviation as a band.

    Increments up to `first` are shaded: they are drawn and not averaged. None without data. One panel per scorer, or for
    those of `scorers`; reference rows stand in all of them as grey dashes.
    """
    frame = table.per_increment(results, metric, segment)
    scorers = [s for s in scorers_of(frame) if s in scorers or not scorers]
    if not scorers:
        return None
    figure, axes = canvas(1, len(scorers), 4.6 if len(scorers) > 1 else 5.4, 3.7, share_y=True)
    for axis, scorer in zip(axes, scorers, strict=True):
        _draw(axis, frame.filter(pl.col("scorer").is_in([scorer, REFERENCE])), look)
        axis.set_title(f"{title} · {label(scorer)}" if scorer != REFERENCE else title)
        axis.set_xlabel("increment scored before it was seen")
        _shade(axis, frame, first)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[0].set_ylabel(called(metric))
    drawn = set(frame["strategy"].to_list())
    legend(figure, [n for n in look.names if n in drawn], look)
    return figure


def scorers_of(frame: pl.DataFrame) -> list[str]:
    """Return the scorers of trained rows in order of appearance; ``reference`` alone when there are no others."""
    found = frame["scorer"].unique(maintain_order=True).to_list()
    return [s for s in found if s != REFERENCE] or found


def _draw(axis: Axes, frame: pl.DataFrame, look: Look) -> None:
    for (strategy,), rows in frame.group_by("strategy", maintain_order=True):
        name, x, mean = str(strategy), rows["evaluated_on"].to_numpy(), rows["mean"].to_numpy()
        axis.plot(x, mean, zorder=3 if name in look.strategies else 2, **look.line(name))
        spread = rows["deviation"].fill_null(0.0).to_numpy()
        if spread.any() and name not in look.others:
            axis.fill_between(x, mean - spread, mean + spread, color=look.colour(name), alpha=0.16, lw=0)
    axis.margins(x=0.03)


def _shade(axis: Axes, frame: pl.DataFrame, first: int) -> None:
    """Shade next[t], t < first: what means leave out."""
    if int(frame["evaluated_on"].min()) <= first:  # type: ignore[arg-type]
        low, high = axis.get_xlim()
        axis.axvspan(low, first + 0.5, color=GRID, alpha=0.7, lw=0, zorder=0)
        axis.set_xlim(low, max(high, first + 0.5))


def quality(results: pl.DataFrame, table_of: pl.DataFrame, metric: str, look: Look) -> Figure | None:
    """Draw `metric` of the first scorer on each next increment above drift and shares of that increment's data.

    None without a next increment, or where no increment can be compared with one before it.

    Args:
        results: the table of results.
        table_of: gnnrec.quality.increments.per_increment.
        metric: such as recall@20.
        look: of the rows.
    """
    frame = table.per_increment(results, metric, "all")
    if not frame.height or not table_of["item drift"].count():
        return None
    figure, (top, middle, low) = canvas(3, 1, 5.6, 2.2)
    _draw(top, frame.filter(pl.col("scorer").is_in([scorers_of(frame)[0], REFERENCE])), look)
    top.set_ylabel(f"{called(metric)}, {label(scorers_of(frame)[0])}")
    t = table_of["t"].to_numpy()
    for axis, names, what in ((middle, ("item drift", "value drift"), "PSI"), (low, _SHARES, "share")):
        for k, name in enumerate(n for n in names if table_of[n].count()):
            y = table_of[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
            axis.plot(t, y, color=PALETTE[k], marker=MARKERS[k], ms=3.5, lw=1.4, label=name)
        axis.set_ylim(bottom=0)
        axis.margins(y=0.3)
        axis.set_ylabel(what)
        axis.legend(fontsize=7, ncols=2)
    for axis in (top, middle, low):
        axis.set_xlim(0.5, max(int(t[-1]), 1) + 0.5)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    low.set_xlabel("increment")
    drawn = set(frame["strategy"].to_list())
    legend(figure, [n for n in look.names if n in drawn], look)
    return figure


def staleness(results: pl.DataFrame, metric: str, look: Look, first: int = 1) -> Figure | None:
    """Draw the mean of R[k−δ, k] against δ, ± deviation over seeds; None where R does not reach two ahead."""
    tests = results.filter((pl.col("split") == "test") & (pl.col("segment") == "all") & (pl.col("metric") == metric))
    curves = {
        (strategy, scorer): curve
        for strategy, scorer in tests.select("strategy", "scorer").unique(maintain_order=True).iter_rows()
        if (curve := _stale_curves(tests, strategy, scorer, metric, first)) is not None
    }
    scorers = list(dict.fromkeys(scorer for _, scorer in curves if scorer != REFERENCE))
    if not scorers:
        return None
    figure, axes = canvas(1, len(scorers), 4.6 if len(scorers) > 1 else 5.4, 3.7, share_y=True)
    for axis, scorer in zip(axes, scorers, strict=True):
        for (strategy, own), curve in curves.items():
            if own in (scorer, REFERENCE):
                _draw_curve(axis, curve, strategy, look)
        axis.set_title(f"{called(metric)} without updates · {label(scorer)}")
        axis.set_xlabel("increments since the last update (δ)")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[0].set_ylabel(called(metric))
    legend(figure, dict.fromkeys(strategy for strategy, _ in curves), look)
    return figure


def _stale_curves(tests: pl.DataFrame, strategy: str, scorer: str, metric: str, first: int) -> Floats | None:
    """Return [seeds, δ] of one row of the table, None when there are fewer than two finite δ."""
    own = tests.filter((pl.col("strategy") == strategy) & (pl.col("scorer") == scorer))
    seeds = own["seed"].unique(maintain_order=True).to_list()
    matrices = [r_matrix.matrix(tests, strategy, scorer, seed, metric) for seed in seeds]
    curves = np.array([r_matrix.staleness(r, first=first) for r in matrices if r is not None])
    usable = curves.ndim == 2 and curves.shape[1] > 1 and bool(np.isfinite(curves).all())
    return curves if usable else None


def _draw_curve(axis: Axes, curve: Floats, strategy: str, look: Look) -> None:
    x, mean = np.arange(1, curve.shape[1] + 1), curve.mean(axis=0)
    axis.plot(x, mean, **look.line(strategy))
    if len(curve) > 1:
        spread = curve.std(axis=0, ddof=1)
        axis.fill_between(x, mean - spread, mean + spread, color=look.colour(strategy), alpha=0.16, lw=0)
