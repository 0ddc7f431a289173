"""The contract of an encoder, as tests. A new one passes it by two lines.

class TestLightGCN(EncoderContract):
    make = staticmethod(lambda: LightGCN(width=8))
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from gnnrec.data.types import Interactions, Observed
from gnnrec.encoders.base import Encoder, NewNodes
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.learner import Learner
from gnnrec.objectives.bpr import BPR
from gnnrec.testing.worlds import (
    FIT,
    MEASURE,
    communities,
    differing,
    fingerprint,
    observed,
    one_thread,
    random_events,
)

USERS, ITEMS, EXTRA = 20, 14, 3


def graph(extra: int = 0) -> BipartiteGraph:
    """Return a random graph in which every node has an edge, and `extra` isolated users and items."""
    events = random_events(90, USERS, ITEMS)
    return BipartiteGraph.empty().extend(events, USERS + extra, ITEMS + extra)


def grown(make: Callable[[], Encoder], extra: int = 0) -> Encoder:
    """Return an encoder with rows for `graph(extra)`; the same rows at every call."""
    encoder, chance = make(), torch.Generator().manual_seed(0)
    rows = [torch.randn(n, encoder.width, generator=chance) for n in (USERS + EXTRA, ITEMS + EXTRA)]
    sizes = (USERS + extra, ITEMS + extra) if encoder.keeps_rows else (0, 0)
    encoder.grow(NewNodes.of(rows[0][: sizes[0]], rows[1][: sizes[1]]))
    return encoder


class EncoderContract:
    """What every encoder keeps.

    Attributes:
        make: returns an encoder without rows; the same weights at every call.
    """

    make: Callable[[], Encoder]

    @pytest.fixture(autouse=True)
    def _on_one_thread(self) -> Iterator[None]:
        with one_thread():
            yield

    def test_growing_keeps_old_rows(self) -> None:
        encoder = grown(self.make)
        if not encoder.keeps_rows:  # then growing must not make any
            assert len(encoder.user) == len(encoder.item) == 0
            return
        old = encoder.user.weight.detach().clone(), encoder.item.weight.detach().clone()
        encoder.grow(NewNodes.of(torch.ones(2, encoder.width), torch.ones(0, encoder.width)))
        assert torch.equal(encoder.user.weight[:USERS], old[0])
        assert torch.equal(encoder.item.weight, old[1])
        assert torch.equal(encoder.user.weight[USERS:], torch.ones(2, encoder.width))

    def test_embeds_every_node_in_its_width(self) -> None:
        encoder = grown(self.make, EXTRA)
        z = encoder(graph(EXTRA))
        assert z.user.shape == (USERS + EXTRA, encoder.out)
        assert z.item.shape == (ITEMS + EXTRA, encoder.out)
        assert (len(z.input_user), len(z.input_item)) == (USERS + EXTRA, ITEMS + EXTRA)
        if encoder.keeps_rows:
            assert torch.equal(z.input_user, encoder.user.weight)
            assert torch.equal(z.input_item, encoder.item.weight)

    def test_works_without_any_edge_or_node(self) -> None:
        encoder = self.make()
        assert encoder(BipartiteGraph.empty()).user.shape == (0, encoder.out)
        assert torch.isfinite(grown(self.make)(BipartiteGraph.empty(USERS, ITEMS)).user).all()

    def test_isolated_nodes_are_finite_and_change_nobody(self) -> None:
        encoder = grown(self.make, EXTRA)
        small, large = grown(self.make)(graph()), encoder(graph(EXTRA))
        assert all(torch.isfinite(x).all() for x in large)
        assert torch.allclose(large.user[:USERS], small.user, atol=1e-6)
        assert torch.allclose(large.item[:ITEMS], small.item, atol=1e-6)

    def test_gradient_reaches_every_row_and_parameter(self) -> None:
        encoder, chance = grown(self.make), torch.Generator().manual_seed(1)
        z = encoder(graph())
        weights = [torch.randn(x.shape, generator=chance) for x in (z.user, z.item)]
        ((z.user * weights[0]).sum() + (z.item * weights[1]).sum()).backward()
        for name, parameter in encoder.named_parameters():
            if parameter.numel():
                assert parameter.grad is not None, name
                assert parameter.grad.any(), name
        for rows in encoder.tables().values() if encoder.keeps_rows else ():
            assert rows.grad is not None
            assert rows.grad.any(dim=1).all()

    def test_gradient_is_the_slope_of_the_read_out(self) -> None:
        """A layer whose gradient is cut still reaches every row by other ways; its slope is wrong."""
        encoder, chance = grown(self.make).double(), torch.Generator().manual_seed(2)
        parameters = [p for p in encoder.parameters() if p.numel()]
        draw = [torch.randn(p.shape, generator=chance, dtype=torch.float64) for p in parameters]
        weights = [torch.randn(n, encoder.out, generator=chance, dtype=torch.float64) for n in (USERS, ITEMS)]

        def value(step: float) -> torch.Tensor:
            with torch.no_grad():
                for parameter, direction in zip(parameters, draw, strict=True):
                    parameter.add_(direction, alpha=step)
            z = encoder(graph())
            total: torch.Tensor = (z.user * weights[0]).sum() + (z.item * weights[1]).sum()
            return total

        gradients = torch.autograd.grad(value(0.0), parameters)
        along = sum(float((g * d).sum()) for g, d in zip(gradients, draw, strict=True))
        tiny = 1e-6
        slope = (value(tiny) - value(-2 * tiny)).item() / (2 * tiny)
        assert along == pytest.approx(slope, rel=1e-5)

    def test_rows_are_those_of_the_whole(self) -> None:
        encoder, users, items = grown(self.make), torch.tensor([0, 7, 19]), torch.tensor([2, 3])
        some, whole = encoder.rows(graph(), users, items), encoder(graph())
        assert torch.allclose(some.users(users), whole.users(users), atol=1e-6)
        assert torch.allclose(some.items(items), whole.items(items), atol=1e-6)
        assert torch.equal(some.input_users(users), whole.input_users(users))
        assert torch.equal(some.input_items(items), whole.input_items(items))
        assert torch.allclose(some.user, whole.user, atol=1e-6)
        assert torch.allclose(some.item, whole.item, atol=1e-6)
        assert some.input_user.shape == whole.input_user.shape
        assert some.input_item.shape == whole.input_item.shape

    def test_two_encoders_are_equal_to_the_byte(self) -> None:
        first, second = (grown(self.make)(graph()) for _ in range(2))
        assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))

    def test_follows_its_graph_when_that_grows(self) -> None:
        encoder, small = grown(self.make), graph()
        encoder(small)
        large = small.extend(random_events(160, USERS, ITEMS, seed=5), USERS, ITEMS)
        again = grown(self.make)(large)
        assert all(torch.equal(a, b) for a, b in zip(encoder(large), again, strict=True))

    def test_trained_state_makes_a_round_trip(self) -> None:
        learner, base = self._fitted(epochs=2)
        twin = self._learner(2)
        twin.follow([base])
        twin.load_state_dict(learner.state_dict())
        twin.blend.choice = learner.blend.choice
        assert not differing(fingerprint(learner), fingerprint(twin))
        assert all(torch.equal(a, b) for a, b in zip(learner.embed(), twin.embed(), strict=True))

    def test_loss_falls(self) -> None:
        losses = [loss for loss, _ in self._fitted(epochs=15)[0].log.epochs]
        assert losses[-1] < 0.8 * losses[0]

    def test_finds_two_communities(self) -> None:
        learner, base = self._fitted(epochs=40)
        score = learner.scorer().scores(np.arange(base.num_users), base.num_items).numpy()
        held = communities()[1]
        mine = score[held.user, held.item]
        other = np.concatenate([row[(u + 1) % 2 :: 2] for u, row in enumerate(score)])
        assert (mine[:, None] > other[None, :]).mean() > 0.9

    def _learner(self, epochs: int) -> Learner:
        fit = replace(FIT, epochs_without_valid=epochs, lr=0.02)
        return Learner(self.make(), BPR(), fit, measure=replace(MEASURE, explicit=False))

    def _fitted(self, epochs: int) -> tuple[Learner, Observed]:
        """Return a learner fitted on the communities, without valid events: nothing stops it early."""
        learner, base = self._learner(epochs), observed(communities()[0], Interactions.empty(), 30, 24)
        learner.extend(base)
        learner.fit(base.train)
        learner.absorb(base)
        return learner, base
