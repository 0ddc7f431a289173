"""Expand: the contract, what is pruned is gone, and nothing to add is fine-tuning."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal
from support.penalties import step

from gnnrec.core.errors import GnnrecError
from gnnrec.encoders.lightgcn import LightGCN
from gnnrec.encoders.ngcf import NGCF
from gnnrec.learner import Learner
from gnnrec.objectives.gcmc import RatingLevels
from gnnrec.objectives.joint import Joint
from gnnrec.strategies.adapted.expand import Expand, become
from gnnrec.strategies.chain import Chain
from gnnrec.strategies.distil.pull import Pull
from gnnrec.strategies.fine_tune import FineTune
from gnnrec.strategies.selection.select import Selector
from gnnrec.testing.strategies import StrategyContract, game
from gnnrec.testing.worlds import FIT, MEASURE, Game, differing


class TestExpand(StrategyContract):
    make = staticmethod(lambda: Expand(columns=2, least=4))


@pytest.mark.usefixtures("one_thread")
def test_with_nothing_to_add_or_drop_it_is_fine_tuning():
    a, b = game().play(Expand(0, 0.0, 0.0)), game().play(FineTune())
    for t in a.prints:
        assert not differing(*({n: x for n, x in p.prints[t].items() if not n.startswith("strategy.")} for p in (a, b)))
    assert_frame_equal(*(p.results().filter(pl.col("split") != "cost") for p in (a, b)), check_exact=True)


def test_the_group_lasso_by_hand():
    # Rows of four nodes: columns (1, 0, 0, 2) and (1, 2, 1, 1).
    expected = (5 / 4) ** 0.5 + (7 / 4) ** 0.5
    assert float(Expand(strength=2.0).penalty(step([(0, 0)]))) == pytest.approx(2 * expected)


def widths(strategy, **fit):
    settings = replace(FIT, budget="equal", steps=60, lr=0.05, **fit)
    own = Game(game().stream, lambda: Learner(LightGCN(8, 2), Joint(width=8), settings, FIT, measure=MEASURE))
    learner = own.play(strategy).learner
    return (
        learner.encoder.width,
        learner.encoder.user.width,
        learner.embed().user.shape[1],
        len(learner.objective.taste),
    )


def test_tables_grow_by_columns_and_a_lasso_drops_them_again():
    assert widths(Expand(columns=3, strength=0.0, cut=0.0)) == (17,) * 4
    dropped = widths(Expand(columns=3, strength=0.03, cut=0.5, least=2))
    assert len(set(dropped)) == 1
    assert 2 <= dropped[0] < 17
    assert widths(Expand(columns=3, strength=0.0, cut=1.0, least=4)) == (4,) * 4


def test_what_is_dropped_changes_no_other_column():
    learner = game().play(FineTune(), until=1).learner
    tables = {n: getattr(learner.encoder, n).weight.detach().clone() for n in ("user", "item")}
    before, taste = learner.snapshot(), learner.objective.taste.detach().clone()
    kept = torch.tensor([0, 3, 4])
    become(learner, {n: rows[:, kept] for n, rows in tables.items()}, kept, 0)
    assert torch.allclose(learner.embed().user, before.user[:, kept])
    assert torch.equal(learner.objective.taste, taste[kept])


def test_objectives_follow_the_columns():
    levels = RatingLevels(levels=[1, 2], width=3)
    base = levels.base.detach().clone()
    kept = torch.tensor([2, 0])
    levels.keep(kept, 1)
    assert torch.equal(levels.base[:, :2, :2], base[:, kept][:, :, kept])
    assert float(levels.base[:, 2].abs().sum() + levels.base[:, :, 2].abs().sum()) == 0
    turned = Joint(width=3)
    turned.taste.data = torch.tensor([1.0, 2.0, 3.0])
    turned.turn(torch.eye(3)[[1, 0, 2]])
    turned.keep(kept, 1)
    assert turned.basis.shape == (3, 3)
    assert torch.equal(turned.taste, torch.tensor([1.0, 2.0, 3.0]))


def test_an_encoder_with_weights_of_its_own_is_refused():
    own = Game(game().stream, lambda: Learner(NGCF(8, 2), Joint(width=8), FIT, measure=MEASURE))
    with pytest.raises(GnnrecError, match="NGCF has weights that depend on it"):
        own.play(Expand())


def test_settings_that_mean_nothing_are_refused():
    with pytest.raises(GnnrecError, match=r"strategy\.cut between 0 and 1"):
        Expand(cut=2.0)


def test_chains_and_select_refuse_what_changes_the_width():
    with pytest.raises(GnnrecError, match=r"strategy\.parts\.b \(Expand\)"):
        Chain({"a": Pull(0.1), "b": Expand()})
    with pytest.raises(GnnrecError, match=r"strategy\.candidates\.b reads out or widens"):
        Selector({"a": FineTune(), "b": Expand()})
