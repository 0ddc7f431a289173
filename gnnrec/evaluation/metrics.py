"""Metrics as pure functions: ranking per user, rating over events. Float64, no torch, no state.

Letters: n events, u users, K ranked places, k cut-off, T_u the relevant items of a user (unknown items included).

A ranking enters as ``hits`` [u, K], whether the item at rank r (best first) is relevant, and ``relevant`` [u] = |T_u|.
Lists shorter than k count as followed by misses. A user without a relevant item has no metric and is refused.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gnnrec.core.errors import GnnrecError

Bools = NDArray[np.bool_]
Ints = NDArray[np.integer]
Floats = NDArray[np.float64]
Ranking = Callable[[Bools, Ints, int], Floats]


def recall(hits: Bools, relevant: Ints, k: int) -> Floats:
    """Recall@k = |L_u^k ∩ T_u| / |T_u|, per user [u]. The denominator is all of T_u, not min(k, |T_u|)."""
    top, size = _ranked(hits, relevant, k)
    return _floats(top.sum(axis=1) / size)


def precision(hits: Bools, relevant: Ints, k: int) -> Floats:
    """Precision@k = |L_u^k ∩ T_u| / k, per user [u]. Divided by k even where the list is shorter."""
    top, _ = _ranked(hits, relevant, k)
    return _floats(top.sum(axis=1) / k)


def f1(hits: Bools, relevant: Ints, k: int) -> Floats:
    """F1@k = 2·P·R / (P + R) = 2·|L_u^k ∩ T_u| / (k + |T_u|), per user [u]; 0 without a hit."""
    top, size = _ranked(hits, relevant, k)
    return _floats(2.0 * top.sum(axis=1) / (k + size))


def ndcg(hits: Bools, relevant: Ints, k: int) -> Floats:
    """NDCG@k = Σ_{r≤k} 1[L_r ∈ T_u]/log2(r+1) / Σ_{r≤min(k,|T_u|)} 1/log2(r+1), per user [u].

    The ideal comes from the ground truth, not from the hits (Järvelin & Kekäläinen 2002, binary gains).
    """
    top, size = _ranked(hits, relevant, k)
    gain = 1.0 / np.log2(np.arange(k) + 2.0)
    ideal = np.cumsum(gain)[np.minimum(k, size) - 1]
    return _floats(top @ gain[: top.shape[1]] / ideal)


def mrr(hits: Bools, relevant: Ints, k: int) -> Floats:
    """MRR@k = 1 / rank of the first hit, 0 when it is beyond k, per user [u] (Voorhees 1999)."""
    top, _ = _ranked(hits, relevant, k)
    if top.shape[1] == 0:
        return np.zeros(len(top))
    return np.where(top.any(axis=1), 1.0 / (top.argmax(axis=1) + 1.0), 0.0)


def mean_average_precision(hits: Bools, relevant: Ints, k: int) -> Floats:
    """MAP@k = Σ_{r≤k} P@r · 1[L_r ∈ T_u] / min(k, |T_u|), per user [u] (AP; the mean over users makes it MAP)."""
    top, size = _ranked(hits, relevant, k)
    precision_at = np.cumsum(top, axis=1) / np.arange(1, top.shape[1] + 1)
    return _floats((precision_at * top).sum(axis=1) / np.minimum(k, size))


def hit_rate(hits: Bools, relevant: Ints, k: int) -> Floats:
    """HR@k = 1[L_u^k ∩ T_u ≠ ∅], per user [u]."""
    top, _ = _ranked(hits, relevant, k)
    return _floats(top.any(axis=1))


def ceiling(known_relevant: Ints, relevant: Ints, k: int) -> Floats:
    """ceil@k = min(k, |T_u ∩ known items|) / |T_u|, per user [u]: the best recall@k that known items allow."""
    known, size = np.asarray(known_relevant), _sizes(relevant, k)
    if known.shape != size.shape or np.any(known < 0) or np.any(known > size):
        raise GnnrecError("ceiling: a user has more relevant known items than relevant items")
    return _floats(np.minimum(k, known) / size)


RANKING: dict[str, Ranking] = {
    "recall": recall,
    "precision": precision,
    "f1": f1,
    "ndcg": ndcg,
    "mrr": mrr,
    "map": mean_average_precision,
    "hit_rate": hit_rate,
}


def mse(prediction: ArrayLike, truth: ArrayLike) -> float:
    """MSE = 1/n Σ (ŷ − y)² over [n] events; NaN (n/a) without events. Non-finite predictions are refused."""
    error = _errors(prediction, truth)
    return float(np.mean(error**2)) if len(error) else float("nan")


def rmse(prediction: ArrayLike, truth: ArrayLike) -> float:
    """RMSE = √MSE over [n] events; NaN (n/a) without events."""
    return float(np.sqrt(mse(prediction, truth)))


def mae(prediction: ArrayLike, truth: ArrayLike) -> float:
    """MAE = 1/n Σ |ŷ − y| over [n] events; NaN (n/a) without events."""
    error = _errors(prediction, truth)
    return float(np.mean(np.abs(error))) if len(error) else float("nan")


RATING: dict[str, Callable[[ArrayLike, ArrayLike], float]] = {"mse": mse, "rmse": rmse, "mae": mae}


def _ranked(hits: Bools, relevant: Ints, k: int) -> tuple[Bools, Ints]:
    """Return the first k places of `hits` and the checked |T_u|."""
    size, top = _sizes(relevant, k), np.asarray(hits, dtype=bool)
    if top.ndim != 2 or len(top) != len(size):
        raise GnnrecError(f"hits must be [users, places] for {len(size)} users, got shape {top.shape}")
    top = top[:, :k]
    if np.any(top.sum(axis=1) > size):
        raise GnnrecError(f"{int(np.sum(top.sum(axis=1) > size))} users have more hits than relevant items")
    return top, size


def _sizes(relevant: Ints, k: int) -> Ints:
    size = np.asarray(relevant)
    if k < 1:
        raise GnnrecError(f"the cut-off must be at least 1, got {k}")
    if np.any(size < 1):
        raise GnnrecError(f"{int(np.sum(size < 1))} of {size.size} users have no relevant item: leave them out")
    return size


def _errors(prediction: ArrayLike, truth: ArrayLike) -> Floats:
    """Return ŷ − y in float64."""
    predicted, true = np.asarray(prediction, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if predicted.shape != true.shape or predicted.ndim != 1:
        raise GnnrecError(f"{predicted.shape} predictions for {true.shape} values: both must be [n]")
    if not np.isfinite(predicted).all():
        raise GnnrecError(f"{int(np.sum(~np.isfinite(predicted)))} of {len(predicted)} predictions are not finite")
    return predicted - true


def _floats(values: ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float64)
