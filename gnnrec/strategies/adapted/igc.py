"""IGC: convolve what is new, continue the layers of before, and let who was quiet learn from who was not.

Letters: u users, i items, n events of a batch, m of them with a quiet item, d width, L layers, k nearest.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from gnnrec.core.errors import GnnrecError, above_zero
from gnnrec.data.types import Interactions, Observed
from gnnrec.encoders.base import Encoder
from gnnrec.encoders.initial import RowPair
from gnnrec.encoders.lightgcn import LightGCN
from gnnrec.encoders.tables import TABLES, Embeddings
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.learner import Learner
from gnnrec.objectives.base import Batch, Objective
from gnnrec.strategies.adapted.continued import Continued, Mix, PastGraph, degrees, resized
from gnnrec.strategies.base import Strategy, StrategyState
from gnnrec.strategies.distil.nearest import nearest_of
from gnnrec.training.step import Step, no_nodes


class IGC(Strategy):
    """Fine-tune with messages over the increment's new edges alone; layers of before stand for all older ones.

    Ding et al., "Causal incremental graph convolution for recommender system retraining", TNNLS 2022 (CI-LightGCN). `Continued`
    is the operator; its weights are trained with the rows, held to the plain sum by `l2`. Two terms reach who is quiet, without
    a new edge ("colliding effect"): the loss is (1 − ρ) L(batch) + ρ L(batch with a quiet item in each positive's place, one of
    the `alike` nearest), and quiet users are read out as (1 − A) of themselves and A of the mean of the `nearest` users with
    new edges. Nearest are those of the highest cosine of the embeddings before the increment; every old user is compared with
    all that have new edges, every old item with all that have none, which costs up to (u² + i²) d per update.

    Departs from the published code in that nearest are looked up once per update, in that each positive has one quiet item, by
    the pair's numbers, and in that an increment that takes back events computes the older layers anew. Edges weigh alike,
    whatever `graph` says.

    Args:
        quiet: ρ.
        alike: k of items.
        share: A.
        nearest: k of users.
        l2: weight of Σ (a_l − 1)² + (b_l − 1)².
        seed: of nothing; it makes no random choice.

    Raises:
        GnnrecError: a setting is out of its range; in `begin`: the encoder is no LightGCN.
    """

    def __init__(
        self,
        quiet: float = 0.02,
        alike: int = 60,
        share: float = 0.5,
        nearest: int = 11,
        l2: float = 0.01,
        seed: int = 0,
    ) -> None:
        super().__init__(seed)
        above_zero("strategy", alike=alike, nearest=nearest)
        if not (0 <= quiet <= 1 and 0 <= share <= 1) or l2 < 0:
            raise GnnrecError(
                "strategy.quiet and strategy.share must lie between 0 and 1, strategy.l2 be 0 or more; "
                f"got {quiet}, {share} and {l2}"
            )
        self.quiet, self.alike, self.share, self.nearest, self.l2 = quiet, alike, share, nearest, l2
        self.mix: Mix | None = None
        self.past: PastGraph | None = None
        self._reader: Continued | None = None
        self._layers: list[RowPair] = []
        self._then: BipartiteGraph | None = None
        self._old: Embeddings | None = None
        self._near_items: Tensor | None = None
        self._objective: Objective | None = None

    def begin(self, learner: Learner, base: Observed) -> None:
        """Keep the base's layers."""
        encoder = self._of(learner)
        self.mix = Mix(encoder.layers)
        every = degrees(learner.seen)
        none = BipartiteGraph.empty(learner.seen.num_users, learner.seen.num_items)
        self._become(PastGraph(whole(encoder, learner.seen), every, every, none))

    @staticmethod
    def _of(learner: Learner) -> LightGCN:
        if not isinstance(learner.encoder, LightGCN):
            raise GnnrecError(
                f"strategy igc continues the layers of LightGCN, and the encoder is {type(learner.encoder).__name__}; take "
                "encoder=lightgcn, or a strategy on embeddings such as graph_sail"
            )
        return learner.encoder

    def _become(self, past: PastGraph) -> None:
        self.past, self._reader = past, None

    def modules(self) -> nn.Module | None:
        """Return the weights of old and new."""
        return self.mix

    def reader(self, learner: Learner) -> Encoder:
        """Return what continues the layers."""
        if self.past is None or self.mix is None:
            return learner.encoder
        if self._reader is None or self._reader.inner is not learner.encoder:
            self._reader = Continued(self._of(learner), self.mix, self.past, self.share)
        return self._reader

    def remember(self, learner: Learner, new: Observed) -> None:
        """Keep the layers as they have served, and which edges there were."""
        reader = self.reader(learner)
        assert isinstance(reader, Continued), "begin() comes first"
        with torch.no_grad():
            outputs = reader.outputs(learner.seen)[1:]
        self._layers, self._then, self._old = outputs, learner.seen, learner.snapshot()

    def prepare(self, learner: Learner, new: Observed) -> None:
        """Take the increment's new edges, and look up who is nearest."""
        assert self._then is not None, "remember() comes first"
        assert self._old is not None
        sizes = learner.seen.num_users, learner.seen.num_items
        if len(new.removed):
            gone = new.removed.take(~learner.seen.has(new.removed.user, new.removed.item))
            self._then = resized(self._then.without(gone), *sizes)
            self._layers = whole(self._of(learner), self._then)
        block = BipartiteGraph.empty(*sizes).extend(self._unknown(new.arrived), *sizes)
        self._objective, self._near_items = learner.objective, None
        if not block.num_edges and not len(new.removed):
            return  # nothing to continue by: what served serves on
        near = self._nearest(self._old.user, block.degree_user, self.share, self.nearest, among_active=True)
        self._become(
            PastGraph(
                self._layers, degrees(self._then), degrees(learner.seen), block, None if near is None else near.cpu()
            )
        )
        self._near_items = self._nearest(self._old.item, block.degree_item, self.quiet, self.alike, among_active=False)

    def _unknown(self, events: Interactions) -> Interactions:
        """Return the events whose pairs were no edges before the increment."""
        assert self._then is not None
        return events.take(~self._then.has(events.user, events.item))

    @staticmethod
    def _nearest(old: Tensor, degree: Tensor, asked: float, most: int, among_active: bool) -> Tensor | None:
        """Return of every old node the nearest among those with a new edge, or without, [n, k]; None: there is none."""
        active = degree[: len(old)] > 0
        some = torch.nonzero(active if among_active else ~active).squeeze(1).to(old.device)
        return some[nearest_of(old, old[some], most)] if asked and len(some) and bool(active.any()) else None

    def consolidate(self, learner: Learner, new: Observed) -> None:
        """Let the events held back until now be edges."""
        if self._then is None or self.past is None:
            return
        sizes, late = (learner.seen.num_users, learner.seen.num_items), self._unknown(new.folded)
        if self.past.layers is self._layers:
            block = self.past.block.extend(late, *sizes)
            self._become(replace(self.past, now=degrees(learner.seen), block=block))
        elif len(late):  # the first new edges of the increment
            block = BipartiteGraph.empty(*sizes).extend(late, *sizes)
            self._become(PastGraph(self._layers, degrees(self._then), degrees(learner.seen), block))
        self._then, self._old, self._layers = None, None, []

    def _replaced(self, batch: Batch) -> Batch | None:
        """Return the events with an old positive, a quiet item in its place; None: there are none."""
        if (near := self._near_items) is None:
            return None
        at = torch.nonzero(batch.item < len(near)).squeeze(1)
        if not len(at):
            return None
        item = near[batch.item[at], (batch.user[at] + batch.item[at]) % near.shape[1]]
        own = {"user": batch.user[at], "value": batch.value[at], "positive": batch.positive[at]}
        # Counts of today hold for a pair that never came.
        return batch._replace(item=item, negative=batch.negative[at], within=batch.within[:0], **own)

    def nodes(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the quiet items."""
        other = self._replaced(batch)
        return no_nodes(batch) if other is None else (batch.user[:0], torch.unique(other.item))

    def penalty(self, step: Step) -> Tensor | float:
        """Return ρ · (L(with quiet items) − L(batch)) and what holds the operator's weights."""
        assert self.mix is not None, "begin() comes first"
        total = self.l2 * (self.mix.weight - 1).square().sum()
        if (other := self._replaced(step.batch)) is None or self._objective is None:
            return total
        changed: Tensor = self._objective(step.z, other) - step.loss()
        return total + self.quiet * changed

    def state(self) -> StrategyState:
        """Return the layers, degrees, new edges and nearest users."""
        if (past := self.past) is None:
            return {}
        found: StrategyState = {"layers": len(past.layers)}
        for kind, name in enumerate(TABLES):
            found |= {f"layer.{n}.{name}": layer[kind] for n, layer in enumerate(past.layers)}
            found |= {f"then.{name}": past.then[kind], f"now.{name}": past.now[kind]}
            found[f"block.{name}"] = torch.from_numpy(past.block.edges()[kind])
        return found if past.near is None else {**found, "near": past.near}

    def restore(self, state: StrategyState) -> None:
        """Take up what `state` returned, and make room for the weights."""
        if "layers" not in state:
            return
        layers, (then, now) = (
            int(state["layers"]),
            (tuple(state[f"{what}.{name}"] for name in TABLES) for what in ("then", "now")),
        )
        user, item = (state[f"block.{name}"].numpy() for name in TABLES)
        block = BipartiteGraph.empty().extend(Interactions.pairs(user, item), len(now[0]), len(now[1]))
        pairs = [(state[f"layer.{n}.user"], state[f"layer.{n}.item"]) for n in range(layers)]
        self.mix = Mix(layers)
        self._become(PastGraph(pairs, (then[0], then[1]), (now[0], now[1]), block, state.get("near")))


@torch.no_grad()
def whole(encoder: LightGCN, graph: BipartiteGraph) -> list[RowPair]:
    """Return outputs 1 to L of passes over a whole graph, with the rows as they are now."""
    return [(z.user, z.item) for z in encoder.by_layer(graph)[1:]]
