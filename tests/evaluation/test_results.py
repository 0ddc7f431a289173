"""The table of results and the averages that follow from it, against closed forms."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import polars as pl
import pytest

from gnnrec.core.errors import GnnrecError
from gnnrec.evaluation import r_matrix as rm
from gnnrec.evaluation import results as rs

Row = dict[str, object]


def row(
    strategy: str, seed: int | None, t: int, k: int, split: str, metric: str, value: float | None, **more: object
) -> Row:
    scorer = "reference" if seed is None else more.pop("scorer", "model")
    base: Row = {"experiment": "e", "strategy": strategy, "scorer": scorer, "seed": seed, "trained_to": t}
    return (
        base | {"evaluated_on": k, "split": split, "segment": "all", "metric": metric, "value": value, "n": 10} | more
    )


def table(rows: Iterable[Row]) -> pl.DataFrame:
    return rs.check(pl.DataFrame(list(rows), schema=rs.SCHEMA))


def planted(strategy: str, seed: int | None, last: int = 5, learn: float = 0.5, lose: float = 0.02) -> list[Row]:
    """R[t, k] = learn − lose·(t − k) for k ≤ t; learn/2 − 0.01·(k − t) before k was absorbed."""
    rows = []
    for t in range(last + 1):
        for k in range(min(t + 4, last) + 1):
            value = learn - lose * (t - k) if k <= t else learn / 2 - 0.01 * (k - t)
            rows.append(row(strategy, seed, t, k, "test", "recall@20", value))
        if t < last:
            rows.append(row(strategy, seed, t, t + 1, "next", "recall@20", 0.1 * (t + 1) + (seed or 0)))
        rows.append(row(strategy, seed, t, t, "cost", "seconds", 99.0 if t == 0 else float(t)))
    return rows


def test_averages_of_a_planted_matrix() -> None:
    r = rm.matrix(table(planted("a", 0)), "a", "model", 0, "recall@20")
    assert r is not None
    assert r.shape == (6, 6)
    assert math.isnan(r[0, 5])
    assert rm.learning_average(r) == pytest.approx(0.5)
    retained = 0.5 - 0.02 * np.mean([4, 3, 2, 1, 0])
    assert rm.retained_average(r) == rm.acc(r) == pytest.approx(retained)
    assert rm.h_mean(r) == pytest.approx(2 * 0.5 * retained / (0.5 + retained))
    assert rm.aia(r) == pytest.approx(np.mean([0.5 - 0.02 * (t - 1) / 2 for t in range(1, 6)]))
    lost = 0.02 * np.mean([4, 3, 2, 1])
    assert rm.bwt(r) == pytest.approx(-lost)
    assert rm.forgetting(r) == pytest.approx(lost)
    assert rm.staleness(r) == pytest.approx([0.25 - 0.01 * d for d in (1, 2, 3, 4)])


def test_forward_transfer_and_intransigence_against_their_references() -> None:
    frame = table(
        [*planted("a", 0), *planted("decayed_popularity", None, learn=0.3), *planted("full_retrain", 0, learn=0.6)]
    )
    summary = rs.summary(frame)
    a = summary.row(by_predicate=pl.col("strategy") == "a", named=True)
    assert a["fwt"] == pytest.approx(0.25 - 0.15)
    assert a["intransigence"] == pytest.approx(0.1)


def test_the_base_is_in_no_average_of_r() -> None:
    """Means over 1 ≤ j < T, as docs/protocol.md says: what the base loses is no loss of an update."""
    r = rm.matrix(table(planted("a", 0)), "a", "model", 0, "recall@20")
    assert r is not None
    lost = r.copy()
    lost[:, 0] = np.linspace(0.9, 0.0, 6)
    for average in (rm.forgetting, rm.bwt, rm.learning_average, rm.retained_average, rm.aia, rm.h_mean):
        assert average(lost) == average(r), average.__name__


def test_fixed_scores_forget_nothing() -> None:
    column = np.linspace(0.1, 0.4, 6)
    r = np.tile(column, (6, 1))
    assert rm.forgetting(r) == rm.bwt(r) == 0.0


def test_forgetting_counts_the_best_earlier_model_even_one_before_the_increment() -> None:
    r = np.array([[0.0, 0.9, 0.1], [0.0, 0.5, 0.2], [0.0, 0.4, 0.3]])
    assert rm.forgetting(r) == pytest.approx(0.5)


def test_an_empty_test_slice_is_left_out_and_a_missing_cell_is_not_guessed() -> None:
    r = np.tile(np.linspace(0.1, 0.4, 6), (6, 1))
    r[:, 3] = np.nan
    assert rm.measured(r).tolist() == [1, 2, 4, 5]
    assert rm.forgetting(r) == 0.0
    assert math.isfinite(rm.learning_average(r))
    r[5, 2] = np.nan
    for broken in (rm.forgetting, rm.bwt, rm.retained_average, rm.aia, rm.h_mean):
        assert math.isnan(broken(r)), broken.__name__


def test_one_increment_has_no_forgetting() -> None:
    r = np.array([[0.2, 0.1], [0.2, 0.3]])
    assert math.isnan(rm.forgetting(r))
    assert math.isnan(rm.bwt(r))
    assert rm.staleness(r) == pytest.approx([0.1])


def test_next_mean_leaves_out_the_base_and_after_a_sweep_the_tuned_increments() -> None:
    frame = table(planted("a", 0))
    assert rs.next_mean(frame, "recall@20")["value"].to_list() == [pytest.approx(np.mean([0.2, 0.3, 0.4, 0.5]))]
    assert rs.next_mean(frame, "recall@20", first=3)["value"].to_list() == [pytest.approx(0.45)]
    assert rs.next_mean(frame, "recall@20")["n"].to_list() == [40]
    assert rs.cost_mean(frame)["value"].to_list() == [pytest.approx(3.0)]


def test_a_row_that_lacks_an_increment_is_not_averaged() -> None:
    short = [r for r in planted("b", 0) if r["trained_to"] != 4 or r["split"] != "next"]
    frame = table([*planted("a", 0), *short])
    assert rs.next_mean(frame, "recall@20").rows()[1][3] is None
    assert rs.incomplete(frame) == ["b / model, seed 0: 4 of 5 increments; its means are n/a"]


def test_summary_has_mean_and_deviation_over_seeds_and_references_last() -> None:
    rows = [*planted("decayed_popularity", None), *planted("b", 0), *planted("b", 2), *planted("full_retrain", 0)]
    summary = rs.summary(table(rows))
    assert summary["strategy"].to_list() == ["b", "full_retrain", "decayed_popularity"]
    assert summary["seeds"].to_list() == [2, 1, 0]
    b, full, popularity = summary.rows(named=True)
    assert b["recall@20_all"] == pytest.approx(1.35)
    assert b["recall@20_all_deviation"] == pytest.approx(np.std([0.35, 2.35], ddof=1))
    assert full["recall@20_all_deviation"] is None
    assert popularity["recall@20_all_deviation"] is None
    assert popularity["vs_full"] is None
    assert b["mse"] is None
    assert b["vs_full"] == pytest.approx(1.0)
    assert b["users_all"] == 40
    assert summary["increments"].to_list() == [4, 4, 4]


def test_cost_ratio_only_when_everybody_converged_and_full_retraining_ran() -> None:
    frame = table([*planted("a", 0), *planted("full_retrain", 0)])
    assert rs.summary(frame)["vs_full"].to_list() == [1.0, 1.0]
    assert rs.summary(frame, budget="equal")["vs_full"].to_list() == [None, None]
    assert rs.summary(table(planted("a", 0)))["vs_full"].to_list() == [None]
    free = [r | {"value": 0.0} if r["metric"] == "seconds" else r for r in planted("stale", 0)]
    assert rs.summary(table([*free, *planted("full_retrain", 0)]))["vs_full"].to_list() == [None, 1.0]


def test_every_scorer_pays_its_own_cost() -> None:
    rows = [r | {"value": 2.0} if r["metric"] == "seconds" else r for r in planted("a", 0)]
    rows += [
        r | {"scorer": "blend", "value": 5.0} if r["metric"] == "seconds" else r | {"scorer": "blend"} for r in rows
    ]
    full = [r | {"value": 20.0} if r["metric"] == "seconds" else r for r in planted("full_retrain", 0)]
    rows += [
        *full,
        *(
            r | {"scorer": "blend", "value": 40.0} if r["metric"] == "seconds" else r | {"scorer": "blend"}
            for r in full
        ),
    ]
    found = {(r["strategy"], r["scorer"]): r for r in rs.summary(table(rows)).iter_rows(named=True)}
    assert (found["a", "model"]["seconds_per_update"], found["a", "blend"]["seconds_per_update"]) == (2.0, 5.0)
    assert (found["a", "model"]["vs_full"], found["a", "blend"]["vs_full"]) == (10.0, 8.0)
    assert rs.summary(table(rows), budget="ahead")["vs_full"].to_list() == rs.summary(table(rows))["vs_full"].to_list()


def test_share_of_increments_without_the_model_epochs_and_rewritten_rows() -> None:
    rows = [r | {"scorer": "blend"} for s in (0, 1) for r in planted("a", s)] + planted("b", 0)
    for seed, alphas in ((0, (1, 0, 0, 1, 1, 1)), (1, (0, 0, 0, 0, 0, 0))):  # the base is left out
        rows += [row("a", seed, t, t, "blend", "alpha", float(x), scorer="blend") for t, x in enumerate(alphas)]
        rows += [row("a", seed, t, t, "blend", "beta", 1.0, scorer="blend") for t in range(6)]
        rows += [
            row("a", seed, t, t, "cost", "epochs", 9.0 if t == 0 else 2.0 + seed, scorer="blend") for t in range(6)
        ]
        rows += [row("a", seed, t, t, "cost", "rows_rewritten", 100.0, scorer="blend") for t in range(6)]
    blend, model = rs.summary(table(rows)).rows(named=True)
    assert blend["model_off"] == pytest.approx((2 / 5 + 1) / 2)
    assert blend["epochs"] == pytest.approx(2.5)
    assert blend["rows_rewritten"] == pytest.approx(100)
    assert (model["model_off"], model["epochs"], model["rows_rewritten"]) == (None, None, None)


@pytest.mark.parametrize(("split", "scorers"), [("fit", ["model"]), ("cost", ["model", "blend"])])
def test_both_scorers_of_a_trained_model_have_its_epochs(split: str, scorers: list[str]) -> None:
    rows = [r | {"scorer": scorer} for scorer in ("model", "blend") for r in planted("a", 3)] + planted("stale", 3)
    rows += [row("a", 3, t, t, split, "epochs", float(t), scorer=scorer) for scorer in scorers for t in range(6)]
    found = {(r["strategy"], r["scorer"]): r["epochs"] for r in rs.summary(table(rows)).iter_rows(named=True)}
    assert found == {("a", "model"): 3.0, ("a", "blend"): 3.0, ("stale", "model"): None}


def test_without_test_slices_there_is_no_matrix() -> None:
    frame = table([r for r in planted("a", 0) if r["split"] != "test"])
    assert rm.matrix(frame, "a", "model", 0, "recall@20") is None
    assert rs.summary(frame)["forgetting"].to_list() == [None]


def test_peak_memory_is_the_largest_not_the_mean() -> None:
    rows = planted("a", 0) + [row("a", 0, t, t, "cost", "peak_memory", float(t)) for t in range(6)]
    assert rs.summary(table(rows))["peak_memory"].to_list() == [5.0]


def test_segments_and_increments_as_tables() -> None:
    rows = [*planted("a", 0), *planted("a", 2)]
    rows += [r | {"segment": "new_user", "value": 0.0} for r in rows if r["split"] == "next"]
    frame = table(rows)
    assert rs.by_segment(frame, "recall@20").to_dicts() == [
        {"strategy": "a", "scorer": "model", "all": pytest.approx(1.35), "new_user": 0.0}
    ]
    steps = rs.per_increment(frame, "recall@20")
    assert steps["evaluated_on"].to_list() == [1, 2, 3, 4, 5]
    assert steps["mean"].to_list() == pytest.approx([1.1, 1.2, 1.3, 1.4, 1.5])
    assert steps["deviation"].to_list() == pytest.approx([math.sqrt(2)] * 5)


def test_pareto_front_and_regret() -> None:
    cost, quality = np.array([1.0, 2.0, 3.0, 3.0, np.nan]), np.array([0.1, 0.3, 0.2, 0.3, 0.9])
    assert rs.pareto(cost, quality).tolist() == [True, True, False, False, False]
    assert rs.regret(cost, quality)[:4] == pytest.approx([0.0, 0.0, 0.1, 0.0])
    assert math.isnan(rs.regret(cost, quality)[4])
    assert rs.regret(np.empty(0), np.empty(0)).shape == (0,)


def test_regret_to_the_best_fixed_row_and_to_the_best_at_every_increment() -> None:
    def rows(strategy: str, scorer: str, values: list[float]) -> list[dict]:
        row = {
            "experiment": "e",
            "strategy": strategy,
            "scorer": scorer,
            "seed": 0,
            "split": "next",
            "segment": "all",
            "n": 1,
        }
        return [
            {**row, "trained_to": t, "tested_on": t + 1, "metric": "ndcg@20", "value": v} for t, v in enumerate(values)
        ]

    planted = [("a", [9.0, 0.1, 0.4]), ("b", [9.0, 0.3, 0.3]), ("c", [9.0, 0.2])]
    frame = pl.DataFrame([r for name, values in planted for r in rows(name, "model", values)])
    found = {r["strategy"]: r for r in rs.regrets(frame, "ndcg@20").iter_rows(named=True)}
    assert set(found) == {"a", "b"}
    assert [found["a"][k] for k in ("to_fixed", "to_oracle")] == pytest.approx([0.05, 0.1])
    assert [found["b"][k] for k in ("to_fixed", "to_oracle")] == pytest.approx([0.0, 0.05])


def test_check_refuses_what_is_not_a_table_of_results() -> None:
    good = pl.DataFrame(planted("a", 0), schema=rs.SCHEMA)
    assert rs.check(good.with_columns(value=pl.lit(float("nan"))))["value"].null_count() == good.height
    for bad, message in [
        (good.drop("seed"), "seed"),
        (good.with_columns(split=pl.lit("tset")), "unknown split 'tset'"),
        (good.with_columns(segment=pl.lit("some")), "unknown segment"),
        (good.with_columns(seed=pl.lit(None)), "no seed exactly"),
        (pl.concat([good, good]), "repeat the key"),
    ]:
        with pytest.raises(GnnrecError, match=message):
            rs.check(bad)
    with pytest.raises(GnnrecError, match="mixes 2 experiments"):
        rs.summary(pl.concat([good, good.with_columns(experiment=pl.lit("f"))]))


def test_a_table_without_rows_gives_a_summary_without_rows() -> None:
    assert rs.summary(table([])).height == 0
