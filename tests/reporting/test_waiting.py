"""How often to update: what was served by how many increments an update takes up, its interval, and what waiting saves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
from matplotlib.figure import Figure

from gnnrec.config.compose import compose
from gnnrec.evaluation.results import summary
from gnnrec.policies.break_even import break_even_price
from gnnrec.reporting import style
from gnnrec.reporting.drawing.interval import by_interval
from gnnrec.reporting.worth.columns import with_worth
from gnnrec.reporting.worth.waiting import SCHEMA, updates_of, waiting
from gnnrec.runs.alike import by_policy

Make = Callable[..., pl.DataFrame]
EVENTS = 200.0
ROWS = {
    "fine_tune": (0.20, 0.0, 4.0),
    "fine_tune, every_n[n=2]": (0.18, 0.0, 2.0),
    "fine_tune, every_n[n=4]": (0.14, 0.0, 1.0),
    "stale": (0.10, 0.0, 0.01),
    "stale, every_n[n=2]": (0.10, 0.0, 0.01),
}
GROUPS = (("fine_tune, every_n[n=4]", "fine_tune", "fine_tune, every_n[n=2]"), ("stale", "stale, every_n[n=2]"))


def with_waits(results: pl.DataFrame) -> pl.DataFrame:
    """Return results in which rows have waited as their names say."""
    parts = [results]
    for n in (2, 4):
        own = results.filter(pl.col("strategy").str.ends_with(f"[n={n}]"), split="cost", metric="seconds")
        waits = own.filter(pl.col("trained_to") % n != 0)
        parts.append(waits.with_columns(split=pl.lit("policy"), metric=pl.lit("waits"), value=pl.lit(1.0)))
    return pl.concat(parts)


def pairs_of(*pairs: tuple[str, str, float, float], scorer: str = "blend") -> pl.DataFrame:
    rows: list[dict[str, Any]] = []
    for row, against, low, high in pairs:
        ends = {"low": low, "high": high, "wide_low": low, "wide_high": high, "difference": (low + high) / 2}
        keys = {"strategy": row, "scorer": scorer, "reference": against, "reference_scorer": scorer}
        rows.append({**keys, "metric": "recall@20", **ends, "as_good": None})
    return pl.DataFrame(rows)


@pytest.fixture(scope="module")
def results(pretend: Make) -> pl.DataFrame:
    return with_waits(pretend(9, 2, ROWS))


@pytest.fixture(scope="module")
def overview(results: pl.DataFrame) -> pl.DataFrame:
    return with_worth(summary(results), None, results, EVENTS)


def found(
    overview: pl.DataFrame, results: pl.DataFrame, tests: pl.DataFrame | None = None, **more: Any
) -> pl.DataFrame:
    return waiting(overview, results, tests, GROUPS, **{"events": EVENTS, **more})


def rows_of(frame: pl.DataFrame, scorer: str = "blend") -> dict[str, dict[str, Any]]:
    return {r["strategy"]: r for r in frame.filter(scorer=scorer).iter_rows(named=True)}


def test_an_interval_is_what_came_by_the_updates_made(overview: pl.DataFrame, results: pl.DataFrame) -> None:
    rows = rows_of(found(overview, results))
    assert {name: (r["updates"], r["of"], r["interval"]) for name, r in rows.items()} == {
        "fine_tune": (9, 9, 1),
        "fine_tune, every_n[n=2]": (4, 9, 9 / 4),
        "fine_tune, every_n[n=4]": (2, 9, 9 / 2),
        "stale": (9, 9, 1),
        "stale, every_n[n=2]": (4, 9, 9 / 4),
    }
    assert {r["group"] for r in rows.values()} == {"fine_tune", "stale"}
    quality = dict(overview.filter(scorer="blend").select("strategy", "recall@20_all").iter_rows())
    assert all(r["quality"] == quality[name] for name, r in rows.items())
    spent = updates_of(results).filter(strategy="fine_tune", scorer="blend")["spent"][0]
    own = results.filter(pl.col("trained_to") >= 1, strategy="fine_tune", scorer="blend", metric="seconds")
    assert spent == pytest.approx(own["value"].sum() / 2)


def test_at_its_price_waiting_saves_what_it_loses(overview: pl.DataFrame, results: pl.DataFrame) -> None:
    """The same sum as by events lost and seconds saved over the whole stream."""
    rows = rows_of(found(overview, results))
    table = {r["strategy"]: r for r in overview.filter(scorer="blend").iter_rows(named=True)}
    for name in ("fine_tune, every_n[n=2]", "fine_tune, every_n[n=4]"):
        lost = 9 * EVENTS * (rows["fine_tune"]["quality"] - rows[name]["quality"])
        saved = 9 * (table["fine_tune"]["seconds_per_update"] - table[name]["seconds_per_update"])
        assert rows[name]["price"] == pytest.approx(break_even_price(lost, saved))
        assert rows[name]["price_low"] is None
    always = rows["fine_tune"]
    assert always["price"] is always["pays"] is None
    dear = rows_of(found(overview, results, events=None))
    assert all(r["price"] is None and r["pays"] is None for r in dear.values()), "seconds do not compare"


def test_what_waits_and_loses_nothing_pays_at_any_price(pretend: Make) -> None:
    results = with_waits(pretend(9, 1, {**ROWS, "fine_tune, every_n[n=2]": (0.25, 0.0, 2.0)}))
    row = rows_of(found(with_worth(summary(results), None, results, EVENTS), results))["fine_tune, every_n[n=2]"]
    assert row["pays"] == "any"
    assert row["price"] is None


def test_as_many_updates_save_nothing(pretend: Make) -> None:
    results = pretend(9, 1, ROWS)  # nobody has waited
    rows = rows_of(found(with_worth(summary(results), None, results, EVENTS), results))
    assert all(r["interval"] == 1 and r["price"] is None and r["pays"] is None for r in rows.values())


def test_the_band_is_of_pairs_that_were_tested(overview: pl.DataFrame, results: pl.DataFrame) -> None:
    two, four = "fine_tune, every_n[n=2]", "fine_tune, every_n[n=4]"
    own = pairs_of((two, "fine_tune", -0.05, -0.01), ("fine_tune", four, 0.02, 0.09))
    rows = rows_of(found(overview, results, own))
    level = rows["fine_tune"]["quality"]
    assert {(r["against"], r["level"]) for n, r in rows.items() if "fine" in n} == {("fine_tune (blend)", level)}
    assert (rows["fine_tune"]["low"], rows["fine_tune"]["high"]) == (0, 0)
    assert (rows[two]["low"], rows[two]["high"]) == (-0.05, -0.01)
    assert (rows[four]["low"], rows[four]["high"]) == (-0.09, -0.02), "turned: the pair was tested the other way"
    table = {r["strategy"]: r for r in overview.filter(scorer="blend").iter_rows(named=True)}
    saved = table["fine_tune"]["seconds_per_update"] - table[two]["seconds_per_update"]
    assert rows[two]["price_low"] == pytest.approx(0.01 * EVENTS / saved)
    assert rows[two]["price_high"] == pytest.approx(0.05 * EVENTS / saved)
    assert {r["against"] for n, r in rows.items() if "stale" in n} == {None}, "neither pair was tested"
    best = pairs_of(("stale", "fine_tune", -0.2, -0.1), ("stale, every_n[n=2]", "fine_tune", -0.2, -0.1))
    rows = rows_of(found(overview, results, best, best=("fine_tune", "blend")))
    assert {r["against"] for n, r in rows.items() if "stale" in n} == {"fine_tune (blend)"}


def drawn(frame: pl.DataFrame, overview: pl.DataFrame, results: pl.DataFrame, metric: str = "recall@20_all") -> Figure:
    with style.styled():
        figure = by_interval(frame, overview, metric, style.Look.of(results))
    assert figure is not None
    return figure


def test_the_figure_has_a_line_a_strategy_and_what_is_never_updated_across(
    overview: pl.DataFrame, results: pl.DataFrame
) -> None:
    level = overview.filter(strategy="stale", scorer="blend")["recall@20_all"][0]
    flat = overview.with_columns(
        pl.when(pl.col("strategy").str.starts_with("stale"), scorer="blend")
        .then(pl.lit(level))
        .otherwise("recall@20_all")
        .alias("recall@20_all")
    )
    tests = pairs_of(("fine_tune, every_n[n=2]", "fine_tune", -0.05, -0.01))
    frame = found(flat, results, tests)
    (axis,) = drawn(frame, flat, results).axes
    lines = {tuple(np.round(np.asarray(line.get_xdata(), float), 3)) for line in axis.get_lines()}
    assert (1, 2.25, 4.5) in lines
    across = {line.get_label(): float(np.asarray(line.get_ydata())[0]) for line in axis.get_lines()}
    assert across["stale"] == level
    assert "decayed_popularity" in across, "the best that trains nothing"
    (band,) = axis.collections
    vertices = band.get_paths()[0].vertices
    top = frame.filter(strategy="fine_tune", scorer="blend")["quality"][0]
    assert vertices[:, 0].max() == 2.25, "the pair with every fourth was not tested"
    assert vertices[:, 1].max() == pytest.approx(top)
    assert vertices[:, 1].min() == pytest.approx(top - 0.05)
    rows = rows_of(frame)
    texts = [t.get_text() for t in axis.texts]
    assert {f"{rows[f'fine_tune, every_n[n={n}]']['price']:.3g}" for n in (2, 4)} <= set(texts)
    assert axis.get_title(loc="left") == "blend, 8,360 users scored over 8 increments"


def test_without_policies_there_is_no_figure(overview: pl.DataFrame, results: pl.DataFrame) -> None:
    nothing = pl.DataFrame(schema=SCHEMA)
    look = style.Look.of(results)
    assert by_interval(nothing, overview, "recall@20_all", look) is None
    assert waiting(overview, results, None, ()).equals(nothing)
    assert waiting(overview, results, None, [("fine_tune", "no such row")]).height == 0


def test_rows_that_differ_in_their_policy_alone_are_found() -> None:
    plain = ["strategy=fine_tune", "output=out"]
    waits = [*plain, "policy=every_n", "policy.n=2"]
    rows = [
        *(("a", compose([*plain, f"seed={seed}"])) for seed in (0, 1)),
        *(("a, 2", compose([*waits, f"seed={seed}"])) for seed in (0, 1)),
        ("a, 2, lr", compose([*waits, "fit.lr=0.5"])),
        ("b", compose(["strategy=replay", "output=out"])),
    ]
    assert by_policy(rows) == (("a", "a, 2"),)
    assert by_policy(rows[:2]) == ()
