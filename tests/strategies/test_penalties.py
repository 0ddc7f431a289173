"""What holds for every penalty: nothing to add is fine-tuning, any rows, any encoder, settings that mean nothing."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal

from gnnrec.core.errors import GnnrecError
from gnnrec.encoders.inmo import INMO
from gnnrec.encoders.lightgcn import LightGCN
from gnnrec.encoders.ngcf import NGCF
from gnnrec.learner import Learner
from gnnrec.objectives.joint import Joint
from gnnrec.strategies.chain import Chain
from gnnrec.strategies.distil.contrastive import RELATIONS, ContrastiveDistill
from gnnrec.strategies.distil.ewc import EWC
from gnnrec.strategies.distil.graph_sail import GraphSAIL
from gnnrec.strategies.distil.pisa import PISA
from gnnrec.strategies.distil.piw import UserWeights
from gnnrec.strategies.distil.pull import Pull
from gnnrec.strategies.distil.scores import Distill, LightDistill
from gnnrec.strategies.fine_tune import FineTune
from gnnrec.strategies.parts import EMA
from gnnrec.testing.strategies import game
from gnnrec.testing.worlds import FIT, MEASURE, Game, differing, one_thread


@pytest.fixture(scope="module")
def tuned():
    with one_thread():
        return game().play(FineTune())


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    "make",
    [
        lambda: Pull(0.0),
        lambda: EWC(0.0),
        lambda: Distill(0.0),
        lambda: LightDistill(0.0),
        lambda: GraphSAIL(0.0, 0.0, 0.0),
        lambda: ContrastiveDistill(0.0),
        lambda: ContrastiveDistill(0.0, relations=RELATIONS),
        lambda: ContrastiveDistill(layers=0.0),
        lambda: ContrastiveDistill(layers=0.0, relations=RELATIONS, weights=UserWeights(3, 4)),
        lambda: Distill(0.0, weights=UserWeights(3, 4)),
        lambda: LightDistill(0.0, weights=UserWeights(3, 4)),
        lambda: GraphSAIL(0.0, 0.0, 0.0, weights=UserWeights(3, 4)),
        lambda: PISA(0.0),
        lambda: EMA(0.0),
        lambda: Chain({"pull": Pull(0.0), "fine": FineTune()}),
    ],
    ids=[
        *("pull", "ewc", "distill", "light_distill", "graph_sail", "sgct", "mgct", "lwc_kd", "lwc_kd_piw"),
        *("distill_piw", "light_distill_piw", "graph_sail_piw", "pisa", "ema", "chain"),
    ],
)
def test_with_nothing_to_add_it_is_fine_tuning(make, tuned):
    a, b = game().play(make()), tuned
    for t in a.prints:
        assert not differing(*({n: x for n, x in p.prints[t].items() if not n.startswith("strategy.")} for p in (a, b)))
    assert_frame_equal(*(p.results().filter(pl.col("split") != "cost") for p in (a, b)), check_exact=True)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    "make",
    [
        Pull,
        lambda: EWC(10.0, samples=20),
        LightDistill,
        lambda: Distill(best=5, others=5),
        GraphSAIL,
        ContrastiveDistill,
        PISA,
        EMA,
    ],
)
def test_with_something_to_add_it_is_not(make, tuned):
    assert "encoder.item.weight" in differing(game().play(make()).prints[3], tuned.prints[3])


TERMS = {
    "pull": Pull,
    "ewc": lambda: EWC(10.0, samples=20),
    "distill": lambda: Distill(best=5, others=5),
    "light_distill": LightDistill,
    "graph_sail": lambda: GraphSAIL(clusters=3),
    "lwc_kd": lambda: ContrastiveDistill(relations=RELATIONS, layers=0.1, weights=UserWeights(3, 4)),
    "pisa": lambda: PISA(clusters=3),
}


@pytest.mark.parametrize("name", TERMS)
def test_terms_reach_the_rows_that_are_trained_where_only_some_are(name):
    fit = replace(FIT, rows="touched")
    own = Game(game().stream, lambda: Learner(LightGCN(8, 2), Joint(width=8), fit, FIT, measure=MEASURE))
    ends = [own.play(s, until=2).learner.encoder.item.weight for s in (TERMS[name](), FineTune())]
    assert torch.isfinite(ends[0]).all()
    assert not torch.equal(*ends)


@pytest.mark.parametrize("name", TERMS)
def test_terms_are_those_of_an_encoder_that_reads_out_more_than_it_keeps(name):
    own = Game(game().stream, lambda: Learner(NGCF(8, 2), Joint(width=8), FIT, measure=MEASURE))
    assert torch.isfinite(own.play(TERMS[name](), until=2).learner.embed().user).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Pull(-1.0), r"strategy\.strength=-1\.0 must be 0 or more"),
        (lambda: EWC(decay=2.0), r"strategy\.decay between 0 and 1, got"),
        (lambda: Distill(temperature=0.0), r"strategy\.temperature=0\.0 must be above 0"),
        (lambda: LightDistill(-1.0), r"strategy\.strength=-1\.0"),
        (lambda: GraphSAIL(own=-1.0), r"strategy\.own, local and globe must be 0 or more"),
        (lambda: ContrastiveDistill(denominator="batches"), r"'batches' is not known; did you mean 'batch'"),
        (lambda: ContrastiveDistill(relations=("xx",)), r"strategy\.relations: 'xx' is not known"),
        (lambda: PISA(share=0.0), r"strategy\.share above 0 and 1 at most; got 0\.5, 0\.5 and 0\.0"),
        (lambda: EMA(-0.1), r"strategy\.weight=-0\.1 must be 0 or more"),
    ],
)
def test_settings_that_mean_nothing_are_refused(make, message):
    with pytest.raises(GnnrecError, match=message):
        make()


@pytest.mark.parametrize("make", [Pull, EWC])
def test_rows_cannot_be_held_where_there_are_none(make):
    own = Game(game().stream, lambda: Learner(INMO(8, 2), Joint(width=8), FIT, measure=MEASURE))
    with pytest.raises(GnnrecError, match="INMO keeps none"):
        own.play(make())
