"""Ranking and rating metrics against a brute-force twin, against ranx, and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gnnrec.core.errors import GnnrecError
from gnnrec.evaluation import metrics


def twin(name: str, ranked: list[int], relevant: set[int], k: int) -> float:
    """The textbook, over a Python list and set."""
    top = ranked[:k]
    found = [r for r, item in enumerate(top, 1) if item in relevant]
    p, r = len(found) / k, len(found) / len(relevant)
    ideal = sum(1 / math.log2(rank + 1) for rank in range(1, min(k, len(relevant)) + 1))
    return {
        "recall": r,
        "precision": p,
        "f1": 0.0 if not found else 2 * p * r / (p + r),
        "ndcg": sum(1 / math.log2(rank + 1) for rank in found) / ideal,
        "mrr": 1 / found[0] if found else 0.0,
        "map": sum((i / rank) for i, rank in enumerate(found, 1)) / min(k, len(relevant)),
        "hit_rate": float(bool(found)),
    }[name]


@st.composite
def rankings(draw: st.DrawFn) -> tuple[list[list[int]], list[set[int]], int]:
    items, users, k = draw(st.integers(1, 12)), draw(st.integers(1, 5)), draw(st.integers(1, 15))
    lists = [draw(st.permutations(range(items))) for _ in range(users)]
    # items 90.. are unknown: relevant, in no list
    truth = [draw(st.sets(st.one_of(st.integers(0, items - 1), st.integers(90, 94)), min_size=1)) for _ in range(users)]
    return lists, truth, k


def as_hits(lists: list[list[int]], truth: list[set[int]]) -> tuple[np.ndarray, np.ndarray]:
    hits = np.array([[item in t for item in row] for row, t in zip(lists, truth, strict=True)])
    return hits, np.array([len(t) for t in truth])


@given(rankings())
@settings(max_examples=150, deadline=None)
def test_equals_the_brute_force_twin(case: tuple[list[list[int]], list[set[int]], int]) -> None:
    lists, truth, k = case
    hits, sizes = as_hits(lists, truth)
    for name, metric in metrics.RANKING.items():
        got = metric(hits, sizes, k)
        assert got.dtype == np.float64
        assert got == pytest.approx([twin(name, row, t, k) for row, t in zip(lists, truth, strict=True)], abs=1e-12)
        assert ((got >= 0) & (got <= 1 + 1e-12)).all()


def test_equals_ranx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")  # compiling takes 25 s
    ranx = pytest.importorskip("ranx")
    rng = np.random.default_rng(0)
    lists = [list(rng.permutation(40)) for _ in range(25)]
    truth = [set(rng.choice(60, size=rng.integers(1, 30), replace=False).tolist()) for _ in range(25)]
    hits, sizes = as_hits(lists, truth)
    qrels = ranx.Qrels({f"u{u:03}": {f"i{i}": 1 for i in t} for u, t in enumerate(truth)})
    run = ranx.Run({f"u{u:03}": {f"i{i}": 1.0 - r / 100 for r, i in enumerate(row)} for u, row in enumerate(lists)})
    for k in (1, 5, 20):
        names = {"recall": "recall", "precision": "precision", "f1": "f1", "ndcg": "ndcg", "mrr": "mrr", "map": "map"}
        for name, theirs in (names | {"hit_rate": "hit_rate"}).items():
            want = np.array(ranx.evaluate(qrels, run, f"{theirs}@{k}", return_mean=False))
            if name == "map":  # ranx divides by |T_u|, not by min(k, |T_u|)
                want = want * sizes / np.minimum(k, sizes)
            assert metrics.RANKING[name](hits, sizes, k) == pytest.approx(want, abs=1e-6), (name, k)


def test_by_hand() -> None:
    hits, sizes = np.array([[0, 1, 0, 1]], bool), np.array([3])
    assert metrics.recall(hits, sizes, 3) == pytest.approx([1 / 3])
    assert metrics.precision(hits, sizes, 4) == pytest.approx([0.5])
    assert metrics.f1(hits, sizes, 4) == pytest.approx([2 * 0.5 * (2 / 3) / (0.5 + 2 / 3)])
    assert metrics.mrr(hits, sizes, 4) == pytest.approx([0.5])
    assert metrics.mean_average_precision(hits, sizes, 4) == pytest.approx([(1 / 2 + 2 / 4) / 3])
    ideal = 1 + 1 / math.log2(3) + 0.5
    assert metrics.ndcg(hits, sizes, 4) == pytest.approx([(1 / math.log2(3) + 1 / math.log2(5)) / ideal])
    assert metrics.ceiling(np.array([2, 5]), np.array([4, 5]), 3) == pytest.approx([0.5, 0.6])


def test_perfect_ranking_has_ndcg_and_map_one_even_beyond_k() -> None:
    hits, sizes = np.ones((1, 5), bool), np.array([50])
    assert metrics.ndcg(hits, sizes, 5) == pytest.approx([1.0])
    assert metrics.mean_average_precision(hits, sizes, 5) == pytest.approx([1.0])


def test_lists_shorter_than_the_cut_off_and_no_users() -> None:
    for name, metric in metrics.RANKING.items():
        assert metric(np.zeros((2, 0), bool), np.array([1, 2]), 20).tolist() == [0.0, 0.0], name
        assert metric(np.zeros((0, 20), bool), np.zeros(0, int), 20).shape == (0,), name


def test_refuses_what_has_no_metric() -> None:
    with pytest.raises(GnnrecError, match="1 of 2 users have no relevant item"):
        metrics.recall(np.zeros((2, 3), bool), np.array([0, 1]), 3)
    with pytest.raises(GnnrecError, match="more hits than relevant"):
        metrics.recall(np.ones((1, 3), bool), np.array([2]), 3)
    with pytest.raises(GnnrecError, match="cut-off"):
        metrics.recall(np.ones((1, 3), bool), np.array([3]), 0)
    with pytest.raises(GnnrecError, match="more relevant known"):
        metrics.ceiling(np.array([3]), np.array([2]), 5)


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), min_size=1, max_size=30))
@settings(deadline=None)
def test_rating_errors_equal_their_twins(pairs: list[tuple[float, float]]) -> None:
    predicted, true = [p for p, _ in pairs], [t for _, t in pairs]
    squares = [(p - t) ** 2 for p, t in pairs]
    assert metrics.mse(predicted, true) == pytest.approx(sum(squares) / len(squares), abs=1e-12)
    assert metrics.rmse(predicted, true) == pytest.approx(math.sqrt(sum(squares) / len(squares)), abs=1e-12)
    assert metrics.mae(predicted, true) == pytest.approx(sum(abs(p - t) for p, t in pairs) / len(pairs), abs=1e-12)


def test_rating_errors_accumulate_in_double_precision() -> None:
    predicted = np.full(200_000, 4096.0, np.float32) + np.float32(0.5)
    assert metrics.mse(predicted, np.zeros(200_000, np.float32)) == pytest.approx(4096.5**2, rel=1e-14)


def test_rating_errors_refuse_nan_and_are_not_a_number_without_events() -> None:
    assert math.isnan(metrics.mse([], []))
    assert math.isnan(metrics.rmse([], []))
    with pytest.raises(GnnrecError, match="1 of 2 predictions are not finite"):
        metrics.mae([float("nan"), 1.0], [1.0, 1.0])
    with pytest.raises(GnnrecError, match="must be"):
        metrics.mse([1.0], [1.0, 2.0])
