"""The features encoder: LightGCN without features, a projection with them, and titles of a file that help new items."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from gnnrec.core.errors import GnnrecError
from gnnrec.data.types import Features as Known
from gnnrec.data.types import Interactions
from gnnrec.encoders.base import NewNodes
from gnnrec.encoders.features import Featured
from gnnrec.encoders.initial import Zero
from gnnrec.encoders.lightgcn import LightGCN
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.learner import Learner
from gnnrec.objectives.bpr import BPR
from gnnrec.strategies.fine_tune import FineTune
from gnnrec.testing.encoders import ITEMS, USERS, EncoderContract, graph, grown
from gnnrec.testing.worlds import FIT, MEASURE, Game, differing, interactions, observed, simulated


def featured(stream, width=5):
    """Return the stream with random features of its items."""
    rows = np.random.default_rng(0).normal(size=(len(stream.items), width)).astype(np.float32)
    increments, first = [], 0
    for increment in stream.increments:
        new = Known(item=rows[first : increment.observed.num_items])
        increments.append(replace(increment, observed=replace(increment.observed, features=new)))
        first = increment.observed.num_items
    return replace(stream, increments=tuple(increments), features=Known(item=rows))


def known(users=USERS, items=ITEMS, user_width=3, item_width=5):
    rng = np.random.default_rng(0)
    user, item = (rng.normal(size=s).astype(np.float32) for s in ((users, user_width), (items, item_width)))
    item[2] = np.nan
    item[3, 1] = np.nan
    return Known(user, item)


def told(features=None, **options):
    """Return an encoder that knows features of the nodes of `graph()`, without rows."""
    encoder, none, keys = Featured(8, 2, **options), torch.empty(0, 8), np.empty(0, np.uint64)
    encoder.grow(NewNodes(none, none, keys, keys, features or known(), BipartiteGraph.empty()))
    return encoder


class TestFeaturesWithoutAny(EncoderContract):
    make = staticmethod(lambda: Featured(8, 2))


class TestFeatures(EncoderContract):
    make = staticmethod(told)


class TestFeaturesBesideRows(EncoderContract):
    make = staticmethod(lambda: told(combine="concat"))


def test_without_features_it_is_lightgcn():
    plain, g = grown(lambda: LightGCN(8, 2))(graph()), graph()
    for encoder in (grown(lambda: Featured(8, 2)), grown(lambda: told(Known(np.empty((USERS, 0), np.float32))))):
        assert all(torch.equal(a, b) for a, b in zip(encoder(g), plain, strict=True))
    beside = grown(lambda: Featured(8, 2, combine="concat"))(g)
    assert torch.allclose(beside.item[:, :8], plain.item, atol=1e-6)
    assert not beside.item[:, 8:].any()
    assert torch.allclose(beside.user @ beside.item.T, plain.user @ plain.item.T, atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("combine", ["add", "concat"])
@pytest.mark.parametrize("normalise", [True, False])
def test_rows_are_own_ones_and_the_projection_of_what_is_known(combine, normalise):
    make = lambda: told(combine=combine, normalise=normalise)  # noqa: E731
    encoder, plain, g = grown(make), LightGCN(8 if combine == "add" else 16, 2), graph()
    parts = []
    for own, f, w in (
        (encoder.user.weight, known().user, encoder.user_map),
        (encoder.item.weight, known().item, encoder.item_map),
    ):
        f = torch.from_numpy(np.nan_to_num(f))
        f = f / f.norm(dim=1, keepdim=True).clamp(min=1e-12) if normalise else f
        parts.append(own + f @ w if combine == "add" else torch.cat([own, f @ w], dim=1))
    plain.grow(NewNodes.of(*parts))
    found, expected = encoder(g), plain(g)
    assert torch.allclose(found.user, expected.user, atol=1e-6)
    assert torch.allclose(found.item, expected.item, atol=1e-6)


def test_one_side_alone_may_have_features():
    encoder = grown(lambda: told(Known(item=known().item)))
    assert encoder.user_map.numel() == 0
    assert torch.isfinite(encoder(graph()).user).all()


def test_a_new_item_without_an_event_is_where_those_of_its_kind_are():
    """Items of two kinds, users of two tastes; a kind is all that is known of the new item."""
    rng, users, items = np.random.default_rng(0), 40, 30
    kind = np.arange(items + 1) % 2
    pairs = [(u, i) for u in range(users) for i in range(items) if u % 2 == kind[i] and rng.random() < 0.5]
    features = np.eye(2, dtype=np.float32)[kind]

    base = replace(
        observed(interactions(pairs), Interactions.empty(), users, items), features=Known(item=features[:items])
    )
    learner = Learner(
        Featured(8, 1),
        BPR(),
        replace(FIT, epochs_without_valid=20),
        initial=Zero(),
        measure=replace(MEASURE, explicit=False),
    )
    learner.extend(base)
    learner.fit(base.train)
    learner.absorb(base)
    none, keys = torch.empty(0, 8), np.empty(0, np.uint64)
    alone = learner.graph.extend(Interactions.empty(), users, items + 1)
    learner.encoder.grow(NewNodes(none, torch.zeros(1, 8), keys, keys, Known(item=features), alone))
    z = learner.encoder.eval()(alone)
    score = z.user @ z.item[items]
    assert score[kind[items] :: 2].min() > score[1 - kind[items] :: 2].max()


@pytest.mark.usefixtures("one_thread")
def test_a_run_that_was_cut_off_goes_on_to_the_same_bytes(tmp_path):
    game = Game(featured(simulated()), lambda: Learner(Featured(8, 2), BPR(), FIT, measure=MEASURE))
    whole = game.play(FineTune(), tmp_path / "whole")
    game.play(FineTune(), tmp_path / "torn", until=2)
    assert not differing(whole.prints[3], game.play(FineTune(), tmp_path / "torn").prints[3])
    assert len(whole.learner.encoder.item_known) == whole.learner.seen.num_items


def test_other_columns_than_before_and_unknown_ways_are_refused():
    encoder, none, keys = told(), torch.empty(0, 8), np.empty(0, np.uint64)
    new = NewNodes(none, none, keys, keys, known(item_width=4), BipartiteGraph.empty())
    with pytest.raises(GnnrecError, match="items came with 5 features each and now come with 4"):
        encoder.grow(new)
    with pytest.raises(GnnrecError, match=r"encoder\.combine='sum' must be one of add, concat"):
        Featured(combine="sum")
