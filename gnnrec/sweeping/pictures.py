"""Figures of a sweep: history, front, importances, parallel coordinates; SVG, in the style of reports."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gnnrec.reporting.style import FAINT, INK, MUTED, PALETTE, canvas, label, styled
from gnnrec.sweeping.space import Dimension
from gnnrec.sweeping.study import Tried
from gnnrec.sweeping.text import named

SALT = "gnnrec"
"""What ids inside an SVG are made of: without it, no two drawings are the same."""
SHADES = colormaps["viridis"]


def svg(figure: Figure) -> bytes:
    """Return a figure as SVG, the same bytes for the same figure."""
    buffer = io.BytesIO()
    with rc_context({"svg.hashsalt": SALT}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def history(tried: Sequence[Tried], metric: str, at: int, maximised: bool) -> Figure:
    """Return a metric of each point in the order in which points were asked for, and the best so far."""
    with styled():
        figure, (axes,) = canvas(1, 1, 7.2, 3.2)
        complete = [(t.number, t.values[at]) for t in tried if t.values]
        if complete:
            numbers, values = zip(*complete, strict=True)
            axes.plot(numbers, values, "o", color=PALETTE[0], ms=5, label="complete")
            best = (np.maximum if maximised else np.minimum).accumulate(values)
            axes.step(numbers, best, where="post", color=PALETTE[1], lw=1.8, label="best so far")
        for state, mark in (("pruned", "x"), ("failed", "|"), ("running", "."), ("interrupted", "2")):
            if lost := [t.number for t in tried if t.state == state]:
                # On the axis itself: they have no value that could be compared.
                at_bottom: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "clip_on": False}
                axes.plot(lost, [0.02] * len(lost), mark, color=INK, ms=7, label=state, **at_bottom)
        axes.set(xlabel="trial, in the order asked for", ylabel=named(metric), title=f"{metric} of each trial")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
        return figure


def front(tried: Sequence[Tried], best: Sequence[Tried], metrics: Sequence[str], default: Mapping[str, Any]) -> Figure:
    """Return the complete points by the first two metrics, the front joined."""
    with styled():
        figure, (axes,) = canvas(1, 1, 7.2, 4.2)
        on = {t.number for t in best}
        off = [t.values[:2] for t in tried if t.state == "complete" and t.values and t.number not in on]
        if off:
            axes.plot([v[1] for v in off], [v[0] for v in off], "o", color=FAINT, ms=5, label="not on the front")
        points = sorted((t.values[1], t.values[0], t.number) for t in best if t.values)
        axes.plot(
            [p[0] for p in points], [p[1] for p in points], "-o", color=PALETTE[0], lw=1.6, ms=6, label="the front"
        )
        for x, y, number in points:
            axes.annotate(str(number), (x, y), xytext=(5, 5), textcoords="offset points", fontsize=8, color=INK)
        for t in tried:
            if t.params == default and t.state == "complete" and t.values:
                axes.plot(
                    t.values[1], t.values[0], "D", mfc="none", mec=PALETTE[1], ms=10, mew=1.6, label="the default"
                )
        axes.set(xlabel=named(metrics[1]), ylabel=named(metrics[0]), title=f"{metrics[0]} against {metrics[1]}")
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
        return figure


def importances(found: Mapping[str, Mapping[str, float]]) -> Figure:
    """Return bars of how much each key matters, a panel per metric."""
    with styled():
        keys = max((len(per_key) for per_key in found.values()), default=1)
        figure, panels = canvas(1, len(found), 7.2 / len(found) if len(found) > 1 else 6.0, 0.9 + 0.34 * keys)
        for axes, (metric, per_key) in zip(panels, found.items(), strict=True):
            names = list(per_key)[::-1]
            axes.barh([label(n) for n in names], [per_key[n] for n in names], color=PALETTE[0], height=0.6)
            axes.set(xlim=(0, 1.18), xticks=(0, 0.5, 1), xlabel="share", title=metric)
            axes.grid(False, axis="y")
            for n, name in enumerate(names):
                axes.text(per_key[name] + 0.02, n, f"{per_key[name]:.2f}", va="center", color=INK, fontsize=8)
        return figure


def parallel(
    tried: Sequence[Tried], space: Sequence[Dimension], metric: str, at: int, maximised: bool
) -> Figure | None:
    """Return a line per complete point through its setting, coloured by a metric; None: no two of them differ."""
    shown = [t for t in tried if t.state == "complete" and t.values]
    values = [t.values[at] for t in shown if t.values]
    if len(set(values)) < 2:
        return None
    with styled():
        figure, (axes,) = canvas(1, 1, max(7.2, 1.9 * (len(space) + 1)), 3.6)
        low, high = min(values), max(values)
        for t, value in sorted(zip(shown, values, strict=True), key=lambda pair: pair[1], reverse=not maximised):
            share = (value - low) / (high - low)
            heights = [*(_height(d, t.params[d.key], shown) for d in space), share]
            shade = SHADES(share if maximised else 1 - share)
            axes.plot(range(len(heights)), heights, color=shade, lw=1.6, alpha=0.85, marker="o", ms=3)
        for n, d in enumerate(space):
            _axis(axes, n, _marks(d, shown))
        _axis(axes, len(space), [(0.0, f"{low:.4g}"), (1.0, f"{high:.4g}")])
        axes.set(xlim=(-0.25, len(space) + 0.35), ylim=(-0.06, 1.06), yticks=[], title="Settings and what they came to")
        axes.set_xticks(range(len(space) + 1), [*(label(d.key, 24) for d in space), metric], color=INK)
        axes.grid(False)
        for side in ("left", "bottom"):
            axes.spines[side].set_visible(False)
        scale = ScalarMappable(Normalize(low, high), SHADES if maximised else SHADES.reversed())
        figure.colorbar(scale, ax=axes, label=named(metric), pad=0.02, aspect=30)
        return figure


def _axis(axes: Axes, x: int, marks: Sequence[tuple[float, str]]) -> None:
    axes.axvline(x, color=MUTED, lw=1, zorder=0)
    for height, text in marks:
        axes.text(x + 0.03, height, text, fontsize=7.5, color=INK, va="bottom", ha="left", zorder=5)


def _span(d: Dimension, shown: Sequence[Tried]) -> tuple[float, float]:
    low, high = (np.log(d.low), np.log(d.high)) if d.log else (d.low, d.high)
    return float(low), float(high)


def _height(d: Dimension, value: Any, shown: Sequence[Tried]) -> float:
    """Return where a value lies on its axis, 0 to 1."""
    if d.choices:
        return d.choices.index(value) / max(len(d.choices) - 1, 1)
    low, high = _span(d, shown)
    at = float(np.log(value)) if d.log else float(value)
    return (at - low) / (high - low) if high > low else 0.5


def _marks(d: Dimension, shown: Sequence[Tried]) -> list[tuple[float, str]]:
    if d.choices:
        return [(_height(d, choice, shown), label(str(choice), 16)) for choice in d.choices]
    return [(_height(d, end, shown), f"{end:g}") for end in dict.fromkeys((d.low, d.high))]
