"""The quality report of a version of a store as one HTML file: verdict, alerts, measures, figures, rows set aside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes

from gnnrec.quality.statistics import Statistics
from gnnrec.reporting import page, style, tables
from gnnrec.reporting.drawing import svg

NEW, OLD = style.PALETTE[0], style.MUTED
_POINTS, _BARS = 200, 40


def write(
    path: Path,
    *,
    title: str,
    content: Mapping[str, Any],
    examples: Sequence[tuple[str, str]],
    new: Statistics,
    old: Statistics | None,
    history: pl.DataFrame,
) -> None:
    """Write the report to `path`, whole or not at all.

    Args:
        path: the HTML file.
        title: of the page.
        content: gnnrec.quality.verdict.as_json.
        examples: (reason, what was read) of rows set aside.
        new: statistics of the version.
        old: of those it was compared with; None: it is the first.
        history: a row per accepted version and this one: version, rows, set aside, duplicate, late, new users, new items.
    """
    sections = [
        ("alerts", "Alerts", _alerts(content["alerts"])),
        ("figures", "Figures", _figures(new, old, history)),
        ("rows", "Rows", _rows(content["rows"], examples)),
        ("measures", "Measures", _measures(content["measures"])),
        ("drift", "Compared with earlier versions", _drift(content["drift"])),
        ("history", "History", page.folded("every accepted version", page.table(history))),
    ]
    page.save(path, page.page(title, _answer(content), [s for s in sections if s[2]]))


def _answer(content: Mapping[str, Any]) -> str:
    rows, alerts = content["rows"], content["alerts"]
    why = (
        "; ".join(f"{a['rule']} ({a['value']:.4g})" for a in alerts if a.get("since") is None) or "no rule was met anew"
    )
    return f"{content['verdict']}: {why}. Of {rows['read']:,} rows read, {rows['kept']:,} were kept."


def _alerts(alerts: Sequence[Mapping[str, Any]]) -> str:
    if not alerts:
        return '<p class="small">None.</p>'
    heads = ["level", "rule", "what to look at", "value", "threshold", "events"]
    lines = [
        page.row(
            [_level(a), a["rule"], a["advice"], tables.number(a["value"], 4), a["threshold"], f"{a['n']:,}"], left=3
        )
        for a in alerts
    ]
    return page.grid(heads, lines, left=3)


def _level(alert: Mapping[str, Any]) -> str:
    since = alert.get("since")
    return str(alert["level"]) if since is None else f"still so since version {since}"


def _rows(rows: Mapping[str, Any], examples: Sequence[tuple[str, str]]) -> str:
    named = {"read": rows["read"], "kept": rows["kept"], "duplicate": rows["duplicate"], "repeat": rows["repeat"]}
    named |= {f"known from version {v}": n for v, n in rows["known"].items()}
    named |= {f"set aside: {reason}": n for reason, n in rows["set_aside"].items()}
    named |= {"late, among those kept": rows["late"]}
    lines = [page.row([name, f"{count:,}"], left=1) for name, count in named.items()]
    found = [page.row([reason, text], left=2) for reason, text in examples]
    shown = page.folded("examples of rows set aside", page.grid(["reason", "row"], found, left=2)) if found else ""
    # Marked, so that an erasure can take them out.
    return f"{page.grid(['rows', 'count'], lines, left=1)}<!--examples-->{shown}<!--/examples-->"


def _measures(measures: Mapping[str, float | None]) -> str:
    lines = [page.row([name.replace("_", " "), _value(value)], left=1) for name, value in measures.items()]
    return page.grid(["measure", "value"], lines, left=1)


def _value(value: float | None) -> str:
    """Return counts whole and everything else with four decimals."""
    counted = value is not None and value >= 10 and float(value).is_integer()
    return f"{value:,.0f}" if counted else tables.number(value, 4)


def _distance(found: Mapping[str, Any]) -> list[str]:
    p = "< 1e-300" if found["p_value"] < 1e-300 else f"{found['p_value']:.4g}"
    return [f"{found['psi']:.4f}", f"{found['js']:.4f}", p, f"{found['n']:,.0f}", f"{found['m']:,.0f}"]


def _drift(drifts: Mapping[str, Mapping[str, Any] | None]) -> str:
    lines = []
    for name, found in drifts.items():
        numbers = ["n/a"] * 5 if found is None else _distance(found)
        lines.append(page.row([name, *numbers], left=1))
    note = (
        "PSI: population stability index, Σ (p − q) ln(p / q). JS: Jensen-Shannon divergence. p: chance of such a PSI in equal "
        "populations, before the adjustment for several comparisons. A rule looks at both: small changes of large samples are "
        "significant and do not matter."
    )
    return (
        page.grid(["compared", "PSI", "JS", "p", "n before", "n new"], lines, left=1) + f'<p class="small">{note}</p>'
    )


def _figures(new: Statistics, old: Statistics | None, history: pl.DataFrame) -> str:
    with style.styled():
        figure, axes = style.canvas(2, 2, 4.4, 2.9)
        _values(axes[0], new, old)
        _hours(axes[1], new, old)
        _popularity(axes[2], new, old)
        _history(axes[3], history)
    caption = "Blue: this version. Grey: the versions it is compared with. Shares, so that sizes do not matter."
    return svg.inline(figure, "quality", caption, wide=True)


def _values(axis: Axes, new: Statistics, old: Statistics | None) -> None:
    axis.set_title("values")
    for found, colour, width in ((old, OLD, 0.8), (new, NEW, 0.45)):
        if found is not None and found.rows:
            key, share = found.values["key"].to_numpy(), found.values["count"].to_numpy() / found.rows
            if len(key) > _BARS:
                share, edges = np.histogram(key, _BARS, weights=share)
                key = (edges[1:] + edges[:-1]) / 2
            gap = float(np.diff(key).min()) if len(key) > 1 else 1.0
            axis.bar(key, share, width=width * gap, color=colour)
    axis.margins(x=0.2)
    axis.set_ylabel("share of events")


def _hours(axis: Axes, new: Statistics, old: Statistics | None) -> None:
    axis.set_title("hour of the day (UTC)")
    for found, colour in ((old, OLD), (new, NEW)):
        if found is not None and found.hours.height:
            count = found.by_hour_of_day()
            axis.step(range(24), count / count.sum(), where="mid", color=colour, lw=1.8)
    axis.set_ylim(bottom=0)


def _popularity(axis: Axes, new: Statistics, old: Statistics | None) -> None:
    axis.set_title("items by popularity")
    for found, colour in ((old, OLD), (new, NEW)):
        if found is not None and found.rows:
            count = np.sort(found.items["count"].to_numpy())[::-1] / found.rows
            at = np.unique(np.geomspace(1, len(count), _POINTS).astype(int))
            axis.plot(at, count[at - 1], color=colour, lw=1.8)
    axis.set(xscale="log", yscale="log", xlabel="rank", ylabel="share of events")
    for one in (axis.xaxis, axis.yaxis):
        one.set_major_formatter("{x:g}")
        one.set_minor_formatter("")


def _history(axis: Axes, history: pl.DataFrame) -> None:
    axis.set_title("shares over versions")
    version = history["version"].to_list()
    for k, name in enumerate(("set aside", "duplicate", "late", "new users", "new items")):
        share = [np.nan if v is None else v for v in history[name].to_list()]
        axis.plot(version, share, color=style.PALETTE[k], marker=style.MARKERS[k], ms=3, lw=1.4, label=name)
    axis.set_ylim(bottom=0)
    axis.set_xlabel("version")
    axis.legend(fontsize=7)
