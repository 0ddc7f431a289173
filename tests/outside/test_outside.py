"""Recommenders from elsewhere, as rows."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from gnnrec.cli.main import main
from gnnrec.core.errors import GnnrecError
from gnnrec.evaluation import results as table
from gnnrec.evaluation.reference import reference_rows
from gnnrec.evaluation.world import worlds
from gnnrec.leaks.subject import check_row
from gnnrec.outside import pairs
from gnnrec.outside.base import UnknownItemsError
from gnnrec.outside.pyg import PyGLightGCN
from gnnrec.outside.row import Outside
from gnnrec.scorers.blend import Grid
from gnnrec.testing.untrained import UntrainedContract
from gnnrec.testing.worlds import MEASURE, interactions, simulated
from gnnrec.untrained.popularity import PopularItems


class Popular:
    """All-time popularity, written by somebody else; it keeps what it was given."""

    def __init__(self):
        self.given = []

    def fit(self, observed):
        self.given.append(observed)
        self.counts = np.bincount(observed.events.item, minlength=observed.num_items)

    def recommend(self, users, k):
        return np.tile(np.argsort(-self.counts, kind="stable")[:k], (len(users), 1))


class TestOutside(UntrainedContract):
    make, personal = staticmethod(lambda: Outside(Popular())), False


class TestPyGLightGCN(UntrainedContract):
    make = staticmethod(lambda: Outside(PyGLightGCN(width=8, epochs=15, lr=0.05, batch_size=128)))


class TestImplicit(UntrainedContract):
    @staticmethod
    def make():
        pytest.importorskip("implicit")
        from gnnrec.outside.implicit import ImplicitModel

        return Outside(ImplicitModel("nearest_neighbours.CosineRecommender"))


LENSKIT = pytest.mark.skipif(
    not importlib.util.find_spec("lenskit"), reason="LensKit is not installed: it needs pandas below 3"
)


@LENSKIT
class TestLensKit(UntrainedContract):
    @staticmethod
    def make():
        from gnnrec.outside.lenskit import LensKitModel

        return Outside(LensKitModel("knn.ease.EASEScorer"))


def test_data_are_released_increment_by_increment_and_cannot_be_written():
    stream, model = simulated(), Popular()
    reference_rows("e", stream, worlds(stream), MEASURE, Grid(), {"mine": Outside(model)})
    assert len(model.given) == len(stream.increments)
    for given, increment in zip(model.given, stream.increments, strict=True):
        new = increment.observed
        assert (given.num_users, given.num_items) == (new.num_users, new.num_items)
        assert given.events.time.max() == max(new.train.time.max(), new.valid.time.max())
        assert not np.isin(increment.test.time, given.events.time).any()
        with pytest.raises(ValueError, match="read-only"):
            given.events.user[0] = 1
        assert given.events.user.base is None


def test_popularity_from_elsewhere_scores_as_popularity_does_but_for_ties():
    stream = simulated()
    rows = {"mine": Outside(Popular()), "own": PopularItems()}
    frame = reference_rows("e", stream, worlds(stream), MEASURE, Grid(), rows)["results"]
    recall = frame.filter(pl.col("metric") == "recall@20", pl.col("segment") == "all", pl.col("split") == "next")
    mine, own = (recall.filter(strategy=name)["value"].to_numpy() for name in rows)
    assert np.abs(mine - own).max() < 0.05


def test_lists_become_scores_by_place_and_what_is_in_none_scores_nothing():
    class Two(Popular):
        def recommend(self, users, k):
            return np.array([[2, 0, 2, -1]] * len(users))[:, :k]

    row = Outside(Two(), depth=2)
    row.absorb(interactions([(0, 0), (0, 1), (0, 2), (0, 3)]), 1, 4)
    assert row.scores(np.array([0]), 4)[0].tolist() == [0.5, 0.0, 1.0, 0.0]


@pytest.mark.parametrize(
    ("lists", "why"),
    [
        ([[0.5]], "whole numbers of shape"),
        ([0], "whole numbers of shape"),
        ([[0], [1]], "whole numbers of shape"),
        ([[0, 1, 0]], "at most 2"),
    ],
)
def test_lists_of_another_form_are_refused(lists, why):
    class Odd(Popular):
        def recommend(self, users, k):
            return lists

    row = Outside(Odd())
    row.absorb(interactions([(0, 0), (0, 1)]), 1, 2)
    with pytest.raises(GnnrecError, match=why):
        row.scores(np.array([0]), 2)


def test_an_item_that_nobody_knows_is_refused_by_its_number():
    class Ahead(Popular):
        def recommend(self, users, k):
            return np.full((len(users), 1), 2)

    row = Outside(Ahead())
    row.absorb(interactions([(0, 0), (0, 1)]), 1, 2)
    with pytest.raises(UnknownItemsError, match="names item 2, where items 0 to 1 are known"):
        row.scores(np.array([0]), 2)


def test_a_model_whose_bytes_are_no_number_says_nothing():
    class Odd(Popular):
        def nbytes(self):
            return 3

    assert Outside(Odd()).nbytes == 0


@pytest.mark.parametrize("model", [None, object(), 3])
def test_what_has_not_both_methods_is_no_model(model):
    with pytest.raises(GnnrecError, match="has no method fit"):
        Outside(model)


def test_a_library_that_is_not_here_is_named():
    with pytest.raises(GnnrecError, match=r"no_such_library cannot be imported .*: pip install it"):
        pairs.library("no_such_library", "pip install it")
    with pytest.raises(GnnrecError, match="is no class of json"):
        pairs.named("json.Nothing", "pip install it")


def test_peers_have_no_leak():
    rows = [lambda: Outside(PyGLightGCN(width=8, epochs=3))]
    if importlib.util.find_spec("implicit"):
        from gnnrec.outside.implicit import ImplicitModel

        rows.append(lambda: Outside(ImplicitModel(options={"factors": 8, "iterations": 3})))
    for make in rows:
        assert {f.verdict for f in check_row(make)} == {"ok"}


@LENSKIT
def test_lenskit_has_no_leak():
    from gnnrec.outside.lenskit import LensKitModel

    for options in ({"model": "knn.ItemKNNScorer"}, {"options": {"embedding_size": 8}}):
        assert {f.verdict for f in check_row(lambda o=options: Outside(LensKitModel(**o)))} == {"ok"}


def test_a_comparison_takes_them_as_rows(tmp_path, monkeypatch, capsys):
    (tmp_path / "someone.py").write_text(Path(__file__).read_text().partition("class TestOutside")[0])
    monkeypatch.chdir(tmp_path)
    rows = "{pyg_lightgcn:{model:{width:8,epochs:2}}},{outside:{model:{_target_:someone.Popular}}}"
    call = [
        "compare",
        "data.users=60",
        "data.items=40",
        "data.events=800",
        "stream.increments=2",
        "strategies=[frozen]",
    ]
    more = ["logger=none", "figures=false", "fit.base.max_epochs=1", "encoder.width=8", "plugins.allow=[someone.]"]
    assert main([*call, *more, "output=out", f"references=[popularity,{rows}]"]) == 0
    (found,) = (tmp_path / "out").glob("references-*/results.parquet")
    frame = table.check(pl.read_parquet(found))
    assert {"pyg_lightgcn", "outside"} <= set(frame["strategy"])
    recall = frame.filter(pl.col("metric") == "recall@20", pl.col("segment") == "all", pl.col("strategy") == "outside")
    assert recall["value"].is_between(0, 1).all()
    assert "pyg_lightgcn" in capsys.readouterr().out
