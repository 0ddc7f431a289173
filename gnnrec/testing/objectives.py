"""The contract of an objective, as tests. A new one passes it by two lines.

class TestBPR(ObjectiveContract):
    make = staticmethod(BPR)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from gnnrec.data.types import Interactions
from gnnrec.encoders.mf import MF
from gnnrec.encoders.tables import Embeddings, SomeEmbeddings
from gnnrec.learner import Learner
from gnnrec.objectives.base import Batch, Objective
from gnnrec.testing.worlds import FIT, MEASURE, communities, observed, one_thread, random_events

USERS, ITEMS, N, WIDTH = 9, 20, 9, 4


def embeddings(seed: int = 0, users: int = USERS, items: int = ITEMS) -> Embeddings:
    """Return random embeddings of every node, in double precision, that ask for gradients."""
    chance = torch.Generator().manual_seed(seed)
    parts = [torch.randn(n, WIDTH, generator=chance, dtype=torch.float64) for n in (users, items, users, items)]
    return Embeddings(*(x.requires_grad_() for x in parts))


def batch(positive: bool = True) -> Batch:
    """Return a step's events, with one that is not relevant, or (`positive` false) none that is."""
    rng = np.random.default_rng(1)
    user, item, negative = (torch.from_numpy(rng.integers(0, n, N)) for n in (USERS, ITEMS, ITEMS))
    value, relevant = torch.from_numpy(rng.integers(1, 6, N) * 1.0), torch.arange(N) != 4
    shared = torch.from_numpy(np.sort(rng.permutation(ITEMS)[:5]))
    return Batch(user, item, value, relevant & positive, negative, shared)


class ObjectiveContract:
    """What every objective keeps.

    Attributes:
        make: returns a fresh objective, of any width: it is fitted to that of the embeddings.
    """

    make: Callable[[], Objective]

    @pytest.fixture(autouse=True)
    def _on_one_thread(self) -> Iterator[None]:
        with one_thread():
            yield

    def _grown(self) -> Objective:
        objective = self.make()
        objective.fit_to(WIDTH)
        events = random_events(25, USERS, ITEMS)
        objective.grow(events, USERS, ITEMS)
        objective.count(np.bincount(events.item, minlength=ITEMS).astype(np.float64))
        return objective.double()

    def test_loss_is_one_finite_number_at_every_batch(self) -> None:
        for events in (batch(), batch(positive=False)):
            loss = self._grown()(embeddings(), events)
            assert loss.dim() == 0
            assert torch.isfinite(loss)

    def test_gradient_reaches_users_and_items_and_every_parameter(self) -> None:
        objective, z = self._grown(), embeddings()
        objective(z, batch()).backward()
        for name, x in z._asdict().items():
            assert name.startswith("input") or (x.grad is not None and x.grad.any()), name
        for name, parameter in objective.named_parameters():
            assert not parameter.requires_grad or parameter.grad is not None, name

    def test_gradient_is_the_slope_of_the_loss(self) -> None:
        objective, z, chance = self._grown(), embeddings(), torch.Generator().manual_seed(2)
        draw = [torch.randn(x.shape, generator=chance, dtype=torch.float64) for x in z]
        gradients = torch.autograd.grad(objective(z, batch()), list(z), allow_unused=True)
        along = sum(float((g * d).sum()) for g, d in zip(gradients, draw, strict=True) if g is not None)
        tiny = 1e-6
        ends = [Embeddings(*(x.detach() + s * d for x, d in zip(z, draw, strict=True))) for s in (tiny, -tiny)]
        slope = (objective(ends[0], batch()) - objective(ends[1], batch())).item() / (2 * tiny)
        assert along == pytest.approx(slope, rel=1e-5, abs=1e-8)

    def test_loss_reads_the_nodes_it_names_and_no_others(self) -> None:
        objective, z = self._grown(), embeddings()
        users, items = objective.nodes(batch())

        def nobody() -> Embeddings:
            raise AssertionError("the loss reads a node that is not among `nodes`")

        rows = Embeddings(z.user[users], z.item[items], z.input_user[users], z.input_item[items])
        some = objective(SomeEmbeddings(users, items, rows, nobody), batch())
        assert torch.allclose(some, objective(z, batch()))

    def test_scores_every_item_finitely(self) -> None:
        z, user = embeddings(), torch.tensor([2, 0])
        scores = self._grown().scores(z, user)
        assert scores.shape == (2, ITEMS)
        assert torch.isfinite(scores).all()

    def test_predicts_values_exactly_where_it_says_so(self) -> None:
        objective, z, events = self._grown(), embeddings(), batch()
        expected = objective.predict(z, events.user, events.item)
        # Numbers beyond the last row are nodes that nothing is known of.
        prior = objective.prior(np.array([0, USERS + 5]), np.array([ITEMS + 5, 1]))
        assert (expected is None) == (prior is None) == (not objective.predicts_values)
        if expected is not None and prior is not None:
            assert expected.shape == (N,)
            assert torch.isfinite(expected).all()
            assert torch.isfinite(prior).all()

    def test_growing_keeps_what_it_knows_of_old_nodes(self) -> None:
        objective = self._grown()
        before = {n: x.clone() for n, x in objective.state_dict().items()}
        objective.grow(Interactions.empty(), USERS + 2, ITEMS + 1)
        for name, x in objective.state_dict().items():
            kept = x[: len(before[name])] if x.dim() else x
            assert torch.equal(kept, before[name]), name
        assert torch.isfinite(objective(embeddings(users=USERS + 2, items=ITEMS + 1), batch()))

    def test_two_objectives_are_equal_to_the_byte(self) -> None:
        assert torch.equal(*(self._grown()(embeddings(), batch()) for _ in range(2)))

    def test_trained_state_makes_a_round_trip(self) -> None:
        learner = self._fitted(2)
        twin = self._learner(2)
        twin.follow([observed(communities()[0], Interactions.empty(), 30, 24)])
        twin.load_state_dict(learner.state_dict())
        z = learner.embed()
        assert torch.equal(learner.objective.scores(z, torch.arange(30)), twin.objective.scores(z, torch.arange(30)))

    def test_loss_falls(self) -> None:
        losses = [loss for loss, _ in self._fitted(15).log.epochs]
        assert losses[-1] < 0.9 * losses[0]

    def _learner(self, epochs: int) -> Learner:
        fit = replace(FIT, epochs_without_valid=epochs, lr=0.05)
        return Learner(MF(8), self.make(), fit, measure=replace(MEASURE, explicit=False))

    def _fitted(self, epochs: int) -> Learner:
        """Return a learner fitted on communities whose values differ, without valid events: nothing stops it early."""
        events = communities()[0]
        events = replace(events, value=(1 + (events.user // 2 + events.item // 2) % 2 * 4).astype(np.float64))
        learner, base = self._learner(epochs), observed(events, Interactions.empty(), 30, 24)
        learner.extend(base)
        learner.fit(base.train)
        learner.absorb(base)
        return learner
