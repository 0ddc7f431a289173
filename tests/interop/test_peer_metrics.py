"""gnnrec's recall and NDCG of an exported split beside those of LensKit and RecTools, with what their definitions differ by."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from gnnrec.evaluation.evaluate import evaluate, rank
from gnnrec.evaluation.settings import Settings
from gnnrec.evaluation.world import worlds
from gnnrec.interop.extract import split
from gnnrec.interop.frames import to_lenskit, to_rectools
from gnnrec.untrained.popularity import PopularItems

K = 5


@pytest.fixture(scope="module")
def scored():
    """Return users, their lists and relevant items by external id, and gnnrec's metrics by user."""
    from gnnrec.data.simulate.world import SimulatedWorld
    from gnnrec.data.stream.cuts import ByCount

    log = SimulatedWorld(users=60, items=40, events=800).load()
    stream = ByCount(increments=3).build(log)
    world, seen, settings = (
        worlds(stream)[1],
        [i.observed for i in stream.increments[:2]],
        Settings.of(stream, topk=(K,)),
    )
    row = PopularItems()
    for new in seen:
        row.absorb(new.arrived, new.num_users, new.num_items)
        row.absorb(new.folded, new.num_users, new.num_items)
    found = evaluate(row, stream.increments[1].upcoming, world, settings)
    parts = split(log, stream, 1).parts
    users = stream.users[found.user].tolist()
    truth = {u: set(i) for u, i in parts["test"].group_by("user").agg("item").iter_rows()}
    lists = stream.items[rank(row, found.user, world, settings).numpy()].tolist()
    assert sorted(truth) == sorted(users)
    assert (found.relevant > K).any()
    assert (found.relevant < K).any()
    return users, lists, truth, found, parts["test"]


def test_lists_and_truth_of_the_export_give_gnnrecs_metrics(scored):
    users, lists, truth, found, _ = scored
    hits = np.array([[i in truth[u] for i in row] for u, row in zip(users, lists, strict=True)])
    size = np.array([len(truth[u]) for u in users])
    assert np.array_equal(size, found.relevant)
    assert np.allclose(found.per_user[f"recall@{K}"], hits.sum(1) / size)


@pytest.mark.skipif(not importlib.util.find_spec("lenskit"), reason="LensKit is not installed: it needs pandas below 3")
def test_lenskit_divides_recall_by_no_more_than_k_and_discounts_the_second_place_alike(scored):
    from lenskit.data import ItemList, from_interactions_df
    from lenskit.metrics.ranking import NDCG, LogRankWeight, Recall

    users, lists, truth, found, test = scored
    assert from_interactions_df(to_lenskit(test)).interaction_count == test.height
    pairs = [
        (ItemList(item_ids=row, ordered=True), ItemList(item_ids=sorted(truth[u])))
        for u, row in zip(users, lists, strict=True)
    ]
    recall = np.array([Recall(n=K).measure_list(*pair) for pair in pairs])
    mine = found.per_user[f"recall@{K}"]
    assert np.allclose(recall * np.minimum(found.relevant, K) / found.relevant, mine)
    assert not np.allclose(recall, mine)
    as_here = NDCG(n=K, weight=LogRankWeight(offset=1))
    as_it_comes = np.array([NDCG(n=K).measure_list(*pair) for pair in pairs])
    ndcg = found.per_user[f"ndcg@{K}"]
    assert np.allclose([as_here.measure_list(*pair) for pair in pairs], ndcg)
    assert not np.allclose(as_it_comes, ndcg)


@pytest.mark.skipif(
    not importlib.util.find_spec("rectools"), reason="RecTools is not installed: it needs pandas below 3"
)
def test_rectools_divides_ndcg_by_the_ideal_of_k_unless_told_otherwise(scored):
    import pandas as pd
    from rectools.dataset import Dataset
    from rectools.metrics import NDCG, Recall

    users, lists, _, found, test = scored
    asked = [(u, i, place) for u, row in zip(users, lists, strict=True) for place, i in enumerate(row, 1)]
    assert len(Dataset.construct(to_rectools(test)).interactions.df) == test.height
    reco, truth = pd.DataFrame(asked, columns=["user_id", "item_id", "rank"]), to_rectools(test)
    by_user = {
        m: metric.calc_per_user(reco, truth).loc[users].to_numpy()
        for m, metric in {
            "recall": Recall(k=K),
            "ndcg": NDCG(k=K, divide_by_achievable=True),
            "plain": NDCG(k=K),
        }.items()
    }
    assert np.allclose(by_user["recall"], found.per_user[f"recall@{K}"])
    assert np.allclose(by_user["ndcg"], found.per_user[f"ndcg@{K}"])
    discount = np.cumsum(1 / np.log2(np.arange(2, K + 2)))
    ideal = discount[np.minimum(found.relevant, K) - 1]
    assert np.allclose(by_user["plain"] * discount[-1] / ideal, by_user["ndcg"])
