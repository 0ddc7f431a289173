"""GraphPrompt: the contract, rows that stay, gates that learn, edges that age, and going half the way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from gnnrec.core.errors import GnnrecError
from gnnrec.encoders.inmo import INMO
from gnnrec.encoders.lightgcn import LightGCN
from gnnrec.encoders.ngcf import NGCF
from gnnrec.encoders.pyg import PyG
from gnnrec.encoders.xsimgcl import XSimGCL
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.graph.views import Accumulated
from gnnrec.learner import Learner
from gnnrec.objectives.bpr import BPR
from gnnrec.objectives.joint import Joint
from gnnrec.strategies.adapted.prompt import Gate, GraphPrompt
from gnnrec.strategies.frozen import Frozen
from gnnrec.testing.strategies import StrategyContract, game
from gnnrec.testing.worlds import FIT, MEASURE, Game, interactions, observed

LONG = replace(FIT, budget="equal", steps=60)


class TestGraphPrompt(StrategyContract):
    make = staticmethod(lambda: GraphPrompt(period=2))


def own(encoder=lambda: LightGCN(8, 2), fit=LONG):
    return Game(game().stream, lambda: Learner(encoder(), Joint(width=8), fit, FIT, measure=MEASURE))


def test_a_gate_by_hand():
    gate = Gate(2)
    rows = torch.tensor([[1.0, 2.0], [0.0, -1.0]])
    assert torch.equal(gate(rows), rows)
    gate.turn.data = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    gate.shift.data = torch.tensor([0.0, 1.0])
    s = lambda x: 2 / (1 + np.exp(-x))  # noqa: E731
    assert np.allclose(gate(rows).detach().numpy(), [[s(1.0), 2 * s(1.0)], [0.0, -s(1.0)]])


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("encoder", [lambda: LightGCN(8, 2), lambda: NGCF(8, 2)], ids=["lightgcn", "ngcf"])
def test_no_row_or_weight_of_the_encoder_moves_and_the_gates_do(encoder):
    played = own(encoder)
    end = played.play(GraphPrompt(period=0), until=2)
    for name, x in played.base.weights.items():
        if name.startswith("encoder.") and x.dim():  # numbers count what was drawn
            assert torch.equal(end.learner.state_dict()[name][: len(x)], x), name
    assert float(end.strategy.gates["item"].turn.abs().max()) > 0


def test_with_gates_that_are_open_it_is_frozen():
    still = own(fit=replace(LONG, lr=1e-30))
    a, b = (still.play(s, until=2).learner for s in (GraphPrompt(period=0, recency=None), Frozen()))
    assert torch.allclose(a.embed().user, b.embed().user)


def test_what_serves_is_gated_and_the_loss_of_what_is_new_falls():
    end = own(fit=replace(LONG, steps=200, lr=0.05)).play(GraphPrompt(period=0, recency=None), until=1)
    learner, gates = end.learner, end.strategy.gates
    with torch.no_grad():
        rows = gates["user"](learner.encoder.user.weight), gates["item"](learner.encoder.item.weight)
        expected = learner.graph.polynomial(*rows, learner.encoder.weights)
    assert torch.allclose(learner.embed().user, expected[0])
    losses = [loss for loss, _ in learner.log.epochs]
    assert sum(losses[-4:]) < sum(losses[:4])


def test_edges_weigh_half_after_the_share_of_events():
    events = interactions([(0, 0), (0, 1), (1, 0), (1, 1)])
    learner = Learner(LightGCN(2, 1), BPR(), FIT, measure=MEASURE)
    learner.history.seen = learner.history.graph = BipartiteGraph.empty().extend(events, 2, 2)
    learner.counters.absorb(events, 2, 2)
    found = GraphPrompt(recency=0.5).edges(learner)
    # Ages 3, 2, 1, 0 of 4 events, half-life 2.
    assert found.weights().tolist() == pytest.approx([2**-1.5, 0.5, 2**-0.5, 1.0])
    assert GraphPrompt(recency=None).edges(learner) is learner.graph


def test_at_the_end_of_a_period_rows_go_half_the_way_to_the_mean_of_gated_ones():
    first = own().play(GraphPrompt(period=0), until=1)
    half = own().play(GraphPrompt(period=1), until=1)
    before = first.learner.encoder.item.weight.detach()
    with torch.no_grad():
        gated = first.strategy.gates["item"](before)
    count = len(own().base.weights["encoder.item.weight"])
    expected = ((before + gated) / 2)[:count]
    assert torch.allclose(half.learner.encoder.item.weight.detach()[:count], expected, atol=1e-6)
    assert float(half.strategy.gates["item"].turn.abs().max()) == 0


def test_an_encoder_without_rows_is_refused():
    with pytest.raises(GnnrecError, match="graph_prompt gates rows, and INMO keeps none"):
        own(lambda: INMO(8, 2)).play(GraphPrompt())


def test_settings_that_mean_nothing_are_refused():
    with pytest.raises(GnnrecError, match=r"strategy\.recency above 0 or null; got 4 and 0\.0"):
        GraphPrompt(recency=0.0)


def test_repeats_make_edges_young_again():
    strategy, learner = GraphPrompt(recency=0.5), Learner(LightGCN(2, 1), BPR(), FIT, measure=MEASURE)
    first, again = interactions([(0, 0), (0, 1)]), interactions([(0, 0)])
    learner.extend(observed(first, interactions([]), 1, 2))
    strategy.serve(learner)
    strategy.begin(learner, observed(first, interactions([]), 1, 2))
    before = learner.reader
    assert learner.reader is before
    learner.counters.absorb(again, 1, 2)
    assert learner.reader is not before
    assert strategy.edges(learner).weights().tolist() == pytest.approx([1.0, 2 ** (-1 / 1.5)])


def test_ages_count_too_where_edges_carry_values():
    plain, valued = (
        Game(
            game().stream,
            lambda v=v: Learner(LightGCN(8, 2), Joint(width=8), FIT, FIT, measure=MEASURE, view=Accumulated(values=v)),
        )
        for v in (False, True)
    )
    a, b = (g.play(GraphPrompt(), until=2).learner.embed().user for g in (plain, valued))
    assert torch.equal(a, b)


def test_the_encoder_s_own_loss_stays():
    learner = own(lambda: XSimGCL(8, 2)).play(GraphPrompt(), until=1).learner
    assert learner.encoder._views is None


def test_an_encoder_that_reads_no_weights_is_told_what_to_set():
    with pytest.raises(GnnrecError, match=r"set strategy\.recency=null"):
        own(lambda: PyG("SAGEConv", 8, 1)).play(GraphPrompt())
