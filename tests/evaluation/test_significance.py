"""Every pair that is spoken of is tested, with one correction; no claim where there is nothing."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnrec.core.errors import GnnrecError
from gnnrec.core.seeds import generator
from gnnrec.evaluation import noninferiority
from gnnrec.evaluation import significance as sg
from gnnrec.evaluation.bootstrap import Draws, _multinomial, draw
from gnnrec.evaluation.pairs import paired_errors

BIG = {"resamples": 600}


def per_user(
    rows: dict[tuple[str, str], float], users: int = 300, seeds: int = 2, seed: int = 0, increments: int = 4
) -> pl.DataFrame:
    """Hits drawn around a common taste per user; the number is what a row adds to the chance of one."""
    rng = np.random.default_rng(seed)
    active = rng.random((users, increments)) < 0.5
    u, t = np.nonzero(active)
    taste = rng.random(users)[u] * 0.5
    frames = []
    for (strategy, scorer), gain in rows.items():
        for s in [None] if scorer == "reference" else range(seeds):
            hit = (rng.random(len(u)) < taste + gain).astype(float)
            frames.append(
                pl.DataFrame(
                    {"user": [f"u{x}" for x in u], "trained_to": t, "evaluated_on": t + 1, "recall@20": hit}
                ).with_columns(
                    strategy=pl.lit(strategy),
                    scorer=pl.lit(scorer),
                    seed=pl.lit(s, dtype=pl.Int64),
                    known=pl.Series(u % 3 > 0),
                )
            )
    return pl.concat(frames)


def test_a_planted_difference_is_found_and_none_is_not() -> None:
    table = {("fine_tune", "model"): 0.0, ("replay", "model"): 0.3, ("frozen", "model"): 0.0, ("pop", "reference"): 0.2}
    frame = per_user(table, increments=7)
    found = {r["strategy"]: r for r in sg.compare(frame, **BIG).iter_rows(named=True)}
    assert set(found) == {"replay", "frozen", "pop"}
    assert found["replay"]["low"] > 0.15
    assert found["replay"]["p"] < 0.01
    assert found["replay"]["wide_low"] > 0.1
    assert found["replay"]["wide_p"] < 0.05
    assert found["frozen"]["low"] < 0 < found["frozen"]["high"]
    assert found["frozen"]["p"] > 0.05
    for r in found.values():
        assert r["low"] <= r["difference"] <= r["high"]
        assert r["wide_low"] <= r["low"] + 0.02
        assert r["increments"] == 6  # the base is left out
        assert r["seeds"] == 2


def test_the_difference_is_the_one_of_the_table() -> None:
    frame = per_user({("fine_tune", "model"): 0.0, ("replay", "model"): 0.1})
    later = frame.filter(pl.col("trained_to") >= 1)
    means = later.group_by("strategy", "seed", "trained_to").agg(pl.col("recall@20").mean())
    by_row = dict(means.group_by("strategy").agg(pl.col("recall@20").mean()).iter_rows())
    got = sg.compare(frame, **BIG)["difference"][0]
    assert got == pytest.approx(by_row["replay"] - by_row["fine_tune"], abs=1e-6)


def test_scorers_are_compared_with_their_like_and_references_with_each() -> None:
    rows = {(s, c): 0.0 for s in ("fine_tune", "replay") for c in ("model", "blend")} | {("pop", "reference"): 0.0}
    frame = sg.compare(per_user(rows, users=60), **BIG)
    couples = set(frame.select("strategy", "scorer", "reference_scorer").iter_rows())
    assert couples == {
        ("replay", "model", "model"),
        ("replay", "blend", "blend"),
        ("pop", "reference", "model"),
        ("pop", "reference", "blend"),
    }


def test_the_best_row_is_set_against_every_other_and_each_pair_stands_once() -> None:
    names = ("full_retrain", "fine_tune", "replay")
    rows = {(s, c): 0.0 for s in names for c in ("model", "blend")} | {("pop", "reference"): 0.0}
    best = ("replay", "blend")
    frame = sg.compare(per_user(rows, users=60), best=best, **BIG)
    pairs = [
        frozenset(((a, b), (c, d)))
        for a, b, c, d in frame.select("strategy", "scorer", "reference", "reference_scorer").iter_rows()
    ]
    assert len(pairs) == len(set(pairs))
    assert {frozenset((best, row)) for row in rows if row != best} <= set(pairs)
    assert {frozenset(((s, c), ("full_retrain", c))) for s in names[1:] for c in ("model", "blend")} <= set(pairs)


def test_all_pairs_of_a_page_share_one_correction() -> None:
    """A pair's interval widens with the number of others that are spoken of, whichever row they are set against."""
    names = [f"row{i}" for i in range(12)]
    rows = {(s, "model"): 0.0 for s in ("full_retrain", "fine_tune", *names)}
    frame = per_user(rows, users=80)
    few = frame.filter(pl.col("strategy").is_in(["full_retrain", "fine_tune"]))

    def width(table: pl.DataFrame) -> float:
        row = table.row(by_predicate=(pl.col("strategy") == "fine_tune"), named=True)
        return row["high"] - row["low"]

    alone, together = (sg.compare(f, resamples=2000) for f in (few, frame))
    assert width(together) > 1.3 * width(alone)
    assert together.height == 25


def test_equal_rows_differ_by_exactly_nothing() -> None:
    frame = per_user({("fine_tune", "model"): 0.0, ("replay", "model"): 0.1})
    twin = pl.concat([frame, frame.filter(strategy="replay").with_columns(strategy=pl.lit("copy"))])
    only = sg.compare(twin, best=("copy", "model"), **BIG).row(
        by_predicate=(pl.col("strategy") == "replay") & (pl.col("reference") == "copy"), named=True
    )
    assert (only["difference"], only["low"], only["high"]) == (0.0, 0.0, 0.0)
    assert only["p"] is None


def test_repeats_bit_for_bit_in_any_order_of_rows() -> None:
    frame = per_user({("fine_tune", "model"): 0.0, ("replay", "model"): 0.1}, users=80)
    once = sg.compare(frame, **BIG)
    assert once.equals(sg.compare(frame.sample(fraction=1.0, shuffle=True, seed=3), **BIG))


def test_known_users_only_and_missing_seeds() -> None:
    frame = per_user({("fine_tune", "model"): 0.0, ("replay", "model"): 0.1})
    everyone, known = sg.compare(frame, **BIG), sg.compare(frame, known=True, **BIG)
    assert known["users"][0] < everyone["users"][0]
    half = frame.filter((pl.col("strategy") != "replay") | (pl.col("seed") == 0))
    assert sg.compare(half, **BIG)["seeds"].to_list() == [1]


def test_clear_errors_and_nothing_to_compare() -> None:
    frame = per_user({("fine_tune", "model"): 0.0}, users=20)
    assert sg.compare(frame).height == 0
    assert sg.compare(frame, references=("nobody",)).height == 0
    assert sg.compare(frame.clear()).height == 0
    with pytest.raises(GnnrecError, match="did you mean 'fine_tune'"):
        sg.compare(frame, best=("fine_tun", "model"))
    with pytest.raises(GnnrecError, match="no column recall@2"):
        sg.compare(frame, metric="recall@2")


# Non-inferiority ------------------------------------------------------------------------------------------------------


def judged(difference: float, spread: float, margin: float = 0.01, t: int = 8, seeds: int = 3) -> dict[str, object]:
    """One couple whose resamples are normal and whose cells vary by increment alone, alike."""
    rng = np.random.default_rng(0)
    levels = rng.normal(size=t)
    levels = (levels - levels.mean()) / levels.std(ddof=1) * spread * math.sqrt(t)
    cells = np.repeat((difference + levels)[None, :, None], seeds, axis=2)
    drawn = difference + spread * rng.normal(size=(20_000, 1))
    draws = Draws(cells, np.array([difference]), drawn, drawn)
    return {k: v[0] for k, v in noninferiority.judge(draws, np.array([margin])).items()}


def test_yes_no_and_cannot_tell() -> None:
    assert judged(0.0, 0.004)["as_good"] == "yes"
    assert judged(-0.02, 0.004)["as_good"] == "no"
    assert judged(-0.008, 0.004)["as_good"] == "cannot tell"
    assert judged(0.0, 0.004)["increments_to_tell"] is None
    other = noninferiority.judge(
        Draws(np.zeros((1, 2, 1)), np.zeros(1), np.zeros((9, 1)), np.zeros((9, 1))), np.array([np.nan])
    )
    assert other == {name: [None] for name in noninferiority.SCHEMA}


@settings(max_examples=50, deadline=None)
@given(st.floats(-0.05, 0.05), st.floats(0.001, 0.03), st.floats(0.001, 0.03))
def test_the_verdict_is_where_the_one_sided_bound_lies(difference, spread, margin) -> None:
    said = judged(difference, spread, margin)["as_good"]
    if difference - 1.72 * spread > -margin:
        assert said == "yes"
    elif difference + 1.72 * spread < -margin:
        assert said == "no"
    elif abs(difference + margin) < 1.57 * spread:
        assert said == "cannot tell"


def test_how_many_increments_would_tell() -> None:
    """Variance that is all between increments falls as 1 / t: bound 1.645·.006·√(8/t) below .01 − .004 from t = 22 on."""
    found = judged(-0.004, 0.006)
    assert found["as_good"] == "cannot tell"
    assert found["increments_to_tell"] == pytest.approx(8 * (1.645 * 0.006 / 0.006) ** 2, abs=2)
    assert found["seeds_to_tell"] is None  # seeds agree: more of them change nothing
    assert judged(-0.0099, 0.02)["increments_to_tell"] is None  # more than a thousand


def test_how_many_users_would_tell() -> None:
    """Variance that is all between users falls as 1 / u; where half of it is not theirs, none are enough."""
    rng = np.random.default_rng(0)
    wide = -0.004 + 0.006 * rng.normal(size=(20_000, 1))
    for share, want in ((1.0, 300 * 1.645**2), (0.7, 300 * 0.7 / (1.645**-2 - 0.3)), (0.5, None)):
        narrow = -0.004 + math.sqrt(share) * (wide + 0.004)
        draws = Draws(np.full((1, 8, 3), -0.004), np.array([-0.004]), narrow, wide)
        found = noninferiority.judge(draws, np.array([0.01]), users=[300])
        assert found["as_good"] == ["cannot tell"]
        assert found["users_to_tell"] == [want and pytest.approx(want, rel=0.15)]
    assert noninferiority.judge(draws, np.array([0.01]))["users_to_tell"] == [None]


def test_only_full_retraining_is_a_yardstick_and_few_increments_cannot_tell() -> None:
    rows = {("full_retrain", "model"): 0.1, ("fine_tune", "model"): 0.4, ("replay", "model"): 0.1}
    told = sg.compare(per_user(rows, increments=9), **BIG)
    assert set(told.filter(reference="fine_tune")["as_good"]) == {None}
    against = told.filter(reference="full_retrain")
    assert against.filter(strategy="fine_tune")["as_good"].to_list() == ["yes"]
    full = per_user(rows, increments=9).filter(strategy="full_retrain").filter(pl.col("trained_to") >= 1)
    value = full.group_by("trained_to", "seed").agg(pl.col("recall@20").mean())["recall@20"].mean()
    assert against["margin"][0] == pytest.approx(0.01 * value, rel=1e-5)
    few = sg.compare(per_user(rows, increments=4), **BIG).filter(reference="full_retrain")
    assert set(few["as_good"]) == {"cannot tell"}


def predictions(
    rows: dict[tuple[str, str], float], users: int = 80, increments: int = 6, seeds: int = 2
) -> pl.DataFrame:
    """Values 1 to 5; the number is a row's noise; users have one to nine events in an increment."""
    rng = np.random.default_rng(0)
    u = np.repeat(np.tile(np.arange(users), increments), rng.integers(1, 10, users * increments))
    t = np.sort(rng.integers(0, increments, len(u)))
    true = rng.integers(1, 6, len(u)).astype(float)
    frames = [
        pl.DataFrame(
            {
                "trained_to": t,
                "user": [f"u{x}" for x in u],
                "true": true,
                "predicted": true + rng.normal(0, noise, len(u)),
            }
        ).with_columns(strategy=pl.lit(row[0]), scorer=pl.lit(row[1]), seed=pl.lit(s, dtype=pl.Int64))
        for row, noise in rows.items()
        for s in ([None] if row[1] == "reference" else range(seeds))
    ]
    return pl.concat(frames)


def test_errors_are_means_over_events_and_less_is_better() -> None:
    noise = {("fine_tune", "model"): 1.0, ("full_retrain", "model"): 1.3, ("bias", "reference"): 1.0}
    frame = predictions(noise)
    cells = frame.filter(pl.col("trained_to") >= 1).with_columns(e=(pl.col("true") - pl.col("predicted")) ** 2)
    means = dict(
        cells.group_by("strategy", "seed", "trained_to")
        .agg(pl.col("e").mean())
        .group_by("strategy")
        .agg(pl.col("e").mean())
        .iter_rows()
    )
    found = {(r["strategy"], r["reference"]): r for r in sg.compare_errors(frame, **BIG).iter_rows(named=True)}
    assert set(found) == {("fine_tune", "full_retrain"), ("bias", "full_retrain"), ("bias", "fine_tune")}
    for (row, base), r in found.items():
        assert r["difference"] == pytest.approx(means[row] - means[base], abs=1e-6)
    better = found["fine_tune", "full_retrain"]
    assert better["high"] < 0
    assert (better["as_good"], better["margin"]) == ("yes", pytest.approx(0.01 * means["full_retrain"]))
    assert found["bias", "fine_tune"]["low"] < 0 < found["bias", "fine_tune"]["high"]
    turned = predictions({("fine_tune", "model"): 1.3, ("full_retrain", "model"): 1.0})
    assert sg.compare_errors(turned, **BIG)["as_good"].to_list() == ["no"]


def test_a_resample_of_users_brings_all_their_events_along() -> None:
    pairs = paired_errors(predictions({("a", "model"): 1.0, ("b", "reference"): 1.5}, increments=3, seeds=1), first=0)
    a, b = (("a", "model"), ("b", "reference"))
    drawn = draw(pairs, [(a, b)], 50).narrow[:, 0]
    times = _multinomial(generator(0, "bootstrap"), 50, pairs.users)
    gap = pairs.value[a][0].astype(float) - pairs.value[b][0]
    expected = []
    for w in times:
        each = [np.average(gap[cut], weights=(w[pairs.user] * pairs.weight)[cut]) for cut in pairs.blocks()]
        expected.append(np.mean(each))
    assert np.allclose(drawn, expected, atol=1e-5)
    assert pairs.weight.max() > 3


def test_a_row_that_is_off_beyond_measure_is_untested_and_not_good_at_the_rest() -> None:
    frame = predictions({("fine_tune", "model"): 1.0, ("full_retrain", "model"): 1.3, ("bias", "reference"): 1.0})
    lost = (pl.col("strategy") == "fine_tune") & (pl.col("user") == "u3")
    frame = frame.with_columns(pl.when(lost).then(1e20).otherwise("predicted").alias("predicted"))
    found = sg.compare_errors(frame, best=("fine_tune", "model"), **BIG)
    assert found.select("strategy", "reference").rows() == [("bias", "full_retrain")]
    assert sg.compare_errors(frame.filter(strategy="fine_tune"), best=("fine_tune", "model"), **BIG).height == 0


def test_a_blend_is_not_tested_for_what_its_model_predicts_and_old_runs_say_what_they_lack() -> None:
    frame = predictions({("fine_tune", "model"): 1.0, ("fine_tune", "blend"): 1.0, ("bias", "reference"): 1.0})
    assert "blend" not in sg.compare_errors(frame, **BIG)["scorer"].to_list()
    with pytest.raises(GnnrecError, match="do not tell the user of each event"):
        sg.compare_errors(frame.drop("user"), **BIG)
    with pytest.raises(GnnrecError, match="do not tell the user of each event"):
        sg.compare_errors(pl.concat([frame, frame.drop("user")], how="diagonal"), **BIG)
