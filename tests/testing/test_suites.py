"""The suites that plug-ins inherit: built-in parts pass them, and parts with one fault each do not."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from gnnrec.data.simulate.world import SimulatedWorld
from gnnrec.data.types import Interactions
from gnnrec.encoders.base import Encoder
from gnnrec.encoders.lightgcn import LightGCN
from gnnrec.encoders.tables import Embeddings
from gnnrec.objectives.bpr import BPR
from gnnrec.objectives.contrastive import Contrastive
from gnnrec.objectives.cross_entropy import CrossEntropy
from gnnrec.objectives.directau import DirectAU
from gnnrec.objectives.joint import Joint
from gnnrec.objectives.rating import Rating
from gnnrec.objectives.softmax import Softmax
from gnnrec.strategies.base import Strategy
from gnnrec.testing.datasets import DatasetContract
from gnnrec.testing.encoders import EncoderContract
from gnnrec.testing.objectives import ObjectiveContract
from gnnrec.testing.strategies import StrategyContract


class TestBPR(ObjectiveContract):
    make = staticmethod(BPR)


class TestWeightedSoftmax(ObjectiveContract):
    make = staticmethod(lambda: Softmax(samples=3, weighted=True))


class TestBPRWithItemTerm(ObjectiveContract):
    make = staticmethod(lambda: BPR(popularity=0.5))


class TestContrastive(ObjectiveContract):
    make = staticmethod(lambda: Contrastive(samples=10, margin=0.1))


class TestDirectAU(ObjectiveContract):
    make = staticmethod(DirectAU)


class TestCrossEntropy(ObjectiveContract):
    make = staticmethod(CrossEntropy)


class TestRating(ObjectiveContract):
    make = staticmethod(Rating)


class TestJoint(ObjectiveContract):
    make = staticmethod(Joint)


class TestSimulated(DatasetContract):
    make = staticmethod(lambda: SimulatedWorld(users=60, items=40, events=800))


class Concatenated(Encoder):
    """Reads out the layers side by side: wider than its tables."""

    def __init__(self, width: int = 8) -> None:
        super().__init__(width, layers=1)
        self.out = 2 * width

    def forward(self, graph):
        user, item = graph.polynomial(self.user.weight, self.item.weight, torch.tensor([0.0, 1.0]))
        own = self.user.weight, self.item.weight
        return Embeddings(torch.cat([own[0], user], 1), torch.cat([own[1], item], 1), *own)


class Anchored(Encoder):
    """Has no rows: a user is the mean of what stands for a few items it took, an item the mean of its users."""

    keeps_rows = False

    def __init__(self, width: int = 8, anchors: int = 14) -> None:
        super().__init__(width, layers=2)
        self.anchors = nn.Parameter(torch.randn(anchors, width, generator=torch.Generator().manual_seed(0)) * 0.1)

    def forward(self, graph):
        item = torch.zeros(graph.num_items, self.width).to(self.anchors)
        count = min(len(self.anchors), graph.num_items)
        item = torch.cat([self.anchors[:count], item[count:]])
        nobody = torch.zeros(graph.num_users, self.width).to(item)
        user, _ = graph.polynomial(nobody, item, torch.tensor([0.0, 1.0]))
        _, again = graph.polynomial(user, torch.zeros_like(item), torch.tensor([0.0, 1.0]))
        return Embeddings(user, again, user, again)


class TestAnEncoderThatReadsOutWiderThanItsTables(EncoderContract):
    make = staticmethod(Concatenated)


class TestAnEncoderWithoutRows(EncoderContract):
    make = staticmethod(Anchored)


class Detached(LightGCN):
    """Its last layer passes no gradient."""

    def rows(self, graph, users, items):
        return self(graph)

    def touched(self, graph, users, items):
        return None

    def forward(self, graph):
        z = super().forward(graph)
        return z._replace(user=0.5 * z.user + 0.5 * z.user.detach())


class Hoarding(Strategy):
    """Stores what it was told to forget, and learns it again."""

    history = Interactions.empty()

    def data(self, events, new):
        return Interactions.concat([self.history, events])

    def consolidate(self, learner, new):
        self.history = Interactions.concat([self.history, new.train])


class Leaky(BPR):
    """Reads an item that it does not name."""

    def forward(self, z, batch):
        return super().forward(z, batch) + 0.0 * z.items(torch.arange(20)).sum()


class TestFaultsAreFound:
    def test_a_gradient_that_is_cut(self):
        suite = EncoderContract()
        suite.make = lambda: Detached(8, 2)
        with pytest.raises(AssertionError):
            suite.test_gradient_is_the_slope_of_the_read_out()

    def test_a_node_that_is_not_named(self):
        suite = ObjectiveContract()
        suite.make = Leaky
        with pytest.raises(AssertionError, match="not among"):
            suite.test_loss_reads_the_nodes_it_names_and_no_others()

    def test_an_event_that_is_learnt_after_it_was_taken_back(self):
        suite = StrategyContract()
        suite.make = lambda: Hoarding()
        with pytest.raises(AssertionError):
            suite.test_events_that_are_taken_back_are_gone_and_never_fitted_again()
