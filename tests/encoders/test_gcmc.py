"""GC-MC against its formula written out, with levels of ratings and without."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import gnnrec.testing.encoders as contract
from gnnrec.core.errors import GnnrecError
from gnnrec.encoders.base import NewNodes
from gnnrec.encoders.gcmc import GCMC
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.graph.views import Accumulated
from gnnrec.learner import Learner
from gnnrec.objectives.bpr import BPR
from gnnrec.strategies.fine_tune import FineTune
from gnnrec.testing.encoders import ITEMS, USERS, EncoderContract, graph, grown
from gnnrec.testing.worlds import FIT, MEASURE, Game, differing, random_events, simulated


def rated(extra=0):
    """Return the graph of the contract with the values of its edges."""
    events = random_events(90, USERS, ITEMS)
    return BipartiteGraph.empty().tracked().extend(events, USERS + extra, ITEMS + extra)


def levelled(**options):
    return GCMC(8, 8, levels=[1, 2, 3, 4, 5], **options)


class TestGCMCWithoutLevels(EncoderContract):
    make = staticmethod(lambda: GCMC(8, 8, levels=[]))


class Rated(EncoderContract):
    """The contract on graphs whose edges carry values."""

    @pytest.fixture(autouse=True)
    def _with_values(self, monkeypatch):
        empty = staticmethod(lambda *size: BipartiteGraph(*(size or (0, 0))).tracked())
        monkeypatch.setattr(contract, "graph", rated)
        monkeypatch.setattr(contract.BipartiteGraph, "empty", empty)

    def _learner(self, epochs):
        fit = replace(FIT, epochs_without_valid=epochs, lr=0.02)
        view = Accumulated(values=True)
        return Learner(self.make(), BPR(), fit, view=view, measure=replace(MEASURE, explicit=False))


class TestGCMC(Rated):
    make = staticmethod(levelled)


class TestGCMCStackedAndSymmetric(Rated):
    make = staticmethod(lambda: levelled(accumulate="stack", normalise="symmetric"))


class TestGCMCWithLevelsFound(Rated):
    make = staticmethod(lambda: opened(GCMC(8, 8)))


def opened(encoder):
    """Return the encoder after growth by edges alone, from which it knows the levels."""
    none, keys = torch.empty(0, 8), np.empty(0, np.uint64)
    encoder.grow(NewNodes(none, none, keys, keys, None, rated()))
    return encoder


@torch.no_grad()
@pytest.mark.parametrize("accumulate", ["sum", "stack"])
@pytest.mark.parametrize("normalise", ["left", "symmetric"])
def test_it_is_the_papers_sum_over_edges_of_each_level(accumulate, normalise):
    encoder, g = grown(lambda: levelled(accumulate=accumulate, normalise=normalise)), rated()
    (user, item), value, degree = g.edges(), g.values(), g.degrees
    rows = encoder.user.weight, encoder.item.weight
    found = encoder(g)
    for side, count in ((0, USERS), (1, ITEMS)):
        for node in range(count):
            levels = [torch.zeros(8) for _ in range(5)]
            for u, i, r in zip(user, item, value, strict=True):
                if (u, i)[side] == node:
                    c = degree[side][node] if normalise == "left" else (degree[0][u] * degree[1][i]) ** 0.5
                    levels[int(r) - 1] += rows[1 - side][(i, u)[side]] @ encoder.by_level[int(r) - 1] / c
            h = sum(levels) if accumulate == "sum" else torch.cat(levels)
            assert torch.allclose(found[side][node], h.relu() @ encoder.dense, atol=1e-5)


def test_levels_are_those_of_the_first_edges_and_later_values_belong_to_the_nearest():
    encoder = opened(GCMC(8, 8))
    assert encoder.values.tolist() == [1, 2, 3, 4, 5]
    later = random_events(90, USERS, ITEMS)
    later = replace(later, value=later.value + 0.4)
    g = BipartiteGraph.empty().tracked().extend(later, USERS, ITEMS)
    rows = torch.randn(USERS, 8), torch.randn(ITEMS, 8)
    encoder.grow(NewNodes.of(*rows))
    assert encoder.values.tolist() == [1, 2, 3, 4, 5]
    assert torch.equal(encoder(g).user, encoder(rated()).user)


def test_a_graph_without_values_is_refused_where_levels_need_them():
    none, keys = torch.empty(0, 8), np.empty(0, np.uint64)
    with pytest.raises(GnnrecError, match=r"set graph\.values=true"):
        GCMC(8).grow(NewNodes(none, none, keys, keys, None, graph()))
    encoder = grown(levelled)
    with pytest.raises(GnnrecError, match=r"set graph\.values=true"):
        encoder(graph())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"normalise": "right"}, "must be one of left, symmetric"),
        ({"accumulate": "mean"}, "must be one of sum, stack"),
        ({"levels": [2, 1]}, "must ascend"),
        ({"dropout": 1}, "the share that is dropped"),
    ],
)
def test_what_cannot_be_is_refused(options, said):
    with pytest.raises(GnnrecError, match=said):
        GCMC(**options)


def test_too_many_values_are_no_levels():
    events = random_events(90, USERS, ITEMS)
    g = BipartiteGraph.empty().tracked().extend(replace(events, value=events.time), USERS, ITEMS)
    none, keys = torch.empty(0, 8), np.empty(0, np.uint64)
    with pytest.raises(GnnrecError, match=r"values have 90 levels, and at most 32.*encoder\.levels"):
        GCMC(8).grow(NewNodes(none, none, keys, keys, None, g))


def test_dropout_drops_all_messages_of_a_node_in_training_alone():
    encoder = grown(lambda: GCMC(8, 8, levels=[], dropout=0.5))
    first, second, serving = encoder(graph()), encoder(graph()), encoder.eval()(graph())
    assert not torch.equal(first.user, second.user)
    assert torch.equal(serving.user, encoder(graph()).user)


@pytest.mark.usefixtures("one_thread")
def test_a_run_that_was_cut_off_goes_on_to_the_same_bytes(tmp_path):
    make = lambda: Learner(GCMC(8, 8, dropout=0.2), BPR(), FIT, view=Accumulated(values=True), measure=MEASURE)  # noqa: E731
    game = Game(simulated(), make)
    whole = game.play(FineTune(), tmp_path / "whole")
    game.play(FineTune(), tmp_path / "torn", until=2)
    assert not differing(whole.prints[3], game.play(FineTune(), tmp_path / "torn").prints[3])
