"""IGC: the contract, the operator against passes over the whole graph, and its terms by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from support.penalties import step

from gnnrec.core.errors import GnnrecError
from gnnrec.encoders.base import NewNodes
from gnnrec.encoders.lightgcn import LightGCN
from gnnrec.encoders.mf import MF
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.learner import Learner
from gnnrec.objectives.bpr import BPR
from gnnrec.objectives.joint import Joint
from gnnrec.strategies.adapted.continued import Continued, Mix, PastGraph, degrees
from gnnrec.strategies.adapted.igc import IGC, whole
from gnnrec.strategies.distil.nearest import nearest_of
from gnnrec.testing.strategies import StrategyContract, forgetting_game, game
from gnnrec.testing.worlds import FIT, MEASURE, Game, interactions

OLD = [(0, 0), (1, 1), (1, 2)]


class TestIGC(StrategyContract):
    make = staticmethod(lambda: IGC(alike=3, nearest=2))


def encoder(layers, users=4, items=4):
    made = LightGCN(3, layers)
    rows = torch.randn(users + items, 3, generator=torch.Generator().manual_seed(0))
    made.grow(NewNodes.of(rows[:users], rows[users:]))
    return made


def continued(layers, old, new, users=4, items=4, **more):
    """Return an encoder, what continues it from the graph of `old` by `new`, and the graph of both."""
    made = encoder(layers, users, items)
    then = BipartiteGraph.empty().extend(interactions(old), users, items)
    both = then.extend(interactions(new), users, items)
    block = BipartiteGraph.empty().extend(interactions(new), users, items)
    past = PastGraph(whole(made, then), degrees(then), degrees(both), block, more.pop("near", None))
    return made, Continued(made, Mix(layers), past, **more), both


def test_one_layer_is_that_of_the_whole_graph_where_no_old_neighbour_has_a_new_edge():
    # User 0's old neighbour 0 stays; new edges are of users 0 and 2 with items 3: nobody's old neighbour.
    made, found, both = continued(1, OLD, [(0, 3), (2, 3)])
    z, expected = found(both), made(both)
    assert torch.allclose(z.user[[0, 2, 3]], expected.user[[0, 2, 3]])
    assert torch.allclose(z.item[[1, 2, 3]], expected.item[[1, 2, 3]])
    # Item 0's neighbour, user 0, has a new edge: its message is that of before.
    assert not torch.allclose(z.item[0], expected.item[0])


def test_two_layers_by_hand():
    made, found, both = continued(2, OLD, [(0, 3), (2, 3)])
    found.mix.weight.data = torch.tensor([[0.5, 2.0], [1.5, -1.0]])
    then, now, past = found.past.then, found.past.now, found.past.layers
    adjacency = torch.zeros(4, 4)
    adjacency[[0, 2], [3, 3]] = 1
    safe = [d.clamp(min=1) for d in now]
    operator = adjacency / (safe[0].unsqueeze(1) * safe[1].unsqueeze(0)).sqrt()
    user, item = made.user.weight, made.item.weight
    layers = [(user, item)]
    for (a, b), (u, i) in zip(found.mix.weight.tolist(), past, strict=True):
        shrink = [(t / n).sqrt().unsqueeze(1) for t, n in zip(then, safe, strict=True)]
        up, ip = layers[-1]
        layers.append((a * shrink[0] * u + b * operator @ ip, a * shrink[1] * i + b * operator.T @ up))
    z = found(both)
    assert torch.allclose(z.user, torch.stack([u for u, _ in layers]).mean(0), atol=1e-6)
    assert torch.allclose(z.item, torch.stack([i for _, i in layers]).mean(0), atol=1e-6)


def test_without_a_new_edge_it_is_the_model_of_before():
    learner = game().play(IGC(), until=1).learner
    other = Learner(LightGCN(8, 2), Joint(width=8), FIT, measure=MEASURE)
    other.follow([game().stream.increments[0].observed])
    other.load_state_dict(game().base.weights)
    strategy = IGC()
    before = other.snapshot()
    strategy.serve(other)
    strategy.begin(other, game().stream.increments[0].observed)
    assert torch.allclose(other.embed().user, before.user, atol=1e-6)
    assert isinstance(learner.reader, Continued)


def test_quiet_users_are_read_out_beside_the_nearest_and_not_in_training():
    near = torch.tensor([[0, 2], [0, 2], [0, 2], [2, 0]])
    _, found, both = continued(1, OLD, [(0, 3), (2, 3)], near=near, share=0.25)
    plain = continued(1, OLD, [(0, 3), (2, 3)])[1](both)
    assert torch.equal(found.train()(both).user, plain.user)
    z = found.eval()(both)
    assert torch.equal(z.user[[0, 2]], plain.user[[0, 2]])
    assert torch.allclose(z.user[1], 0.75 * plain.user[1] + 0.25 * plain.user[[0, 2]].mean(0))
    assert torch.equal(z.item, plain.item)


def test_the_loss_with_quiet_items_by_hand():
    strategy = IGC(quiet=0.3, l2=0.5)
    strategy.mix, strategy._objective, strategy._near_items = Mix(1), BPR(l2=0.0), torch.tensor([[1], [1]])
    strategy.mix.weight.data = torch.tensor([[1.0, 3.0]])
    here = step([(0, 0), (1, 0)])
    object.__setattr__(here, "loss", lambda: torch.tensor(2.0))
    # Both positives become item 1, their negative stays item 0: users (1, 1), (0, 2), items (0, 1), (2, 1).
    quiet = np.mean([np.log1p(np.exp(-(3 - 1))), np.log1p(np.exp(-(2 - 2)))])
    assert strategy.penalty(here).item() == pytest.approx(0.3 * (quiet - 2.0) + 0.5 * 4.0)
    assert strategy.nodes(here.batch)[1].tolist() == [1]


def test_nearest_of_others_by_cosine():
    rows, others = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[0.0, 1.0], [3.0, 1.0], [1.0, 0.0]])
    assert nearest_of(rows, others, 2).tolist() == [[2, 1], [0, 1]]


def test_layers_of_before_are_computed_anew_where_events_are_taken_back():
    played, new = forgetting_game().play(IGC(), until=1), forgetting_game().stream.increments[2].observed
    strategy, learner, before = played.strategy, played.learner, played.learner.seen
    strategy.remember(learner, new)
    learner.extend(new)
    strategy.prepare(learner, new)
    gone = new.removed.take(~learner.seen.has(new.removed.user, new.removed.item))
    assert len(gone)
    then = before.without(gone).extend(interactions([]), learner.seen.num_users, learner.seen.num_items)
    for found, expected in zip(strategy.past.layers, whole(learner.encoder, then), strict=True):
        assert torch.equal(found[0], expected[0])
        assert torch.equal(found[1], expected[1])
    assert torch.equal(strategy.past.then[0], degrees(then)[0])


def test_learning_moves_the_weights_of_old_and_new():
    fit = replace(FIT, budget="equal", steps=40)
    own = Game(game().stream, lambda: Learner(LightGCN(8, 2), Joint(width=8), fit, FIT, measure=MEASURE))
    played = own.play(IGC(alike=3, nearest=2), until=2)
    assert float((played.strategy.mix.weight - 1).abs().max()) > 1e-3


def test_another_encoder_is_refused():
    own = Game(game().stream, lambda: Learner(MF(8), Joint(width=8), FIT, measure=MEASURE))
    with pytest.raises(GnnrecError, match="continues the layers of LightGCN, and the encoder is MF"):
        own.play(IGC())


def test_settings_that_mean_nothing_are_refused():
    with pytest.raises(GnnrecError, match=r"strategy\.quiet and strategy\.share must lie between 0 and 1"):
        IGC(quiet=2.0)


def test_an_increment_without_a_new_edge_leaves_what_serves():
    play = game().play(IGC(alike=3, nearest=2), until=1)
    play.strategy.mix.weight.data.fill_(0.9)
    before, new = play.learner.snapshot(), game().stream.increments[2].observed
    nothing = new.train.take(slice(0, 0))
    users, items = play.learner.seen.num_users, play.learner.seen.num_items
    empty = replace(
        new, train=nothing, valid=nothing, arrived=nothing, folded=nothing, num_users=users, num_items=items
    )
    play.strategy.update(play.learner, empty)
    assert torch.allclose(play.learner.embed().user, before.user)
