"""GraphPrompt: the rows stay, gates before them are trained, and what is recent weighs more.

Letters: n nodes, u users, i items, d width.
"""

from __future__ import annotations

from operator import is_

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from gnnrec.core.errors import GnnrecError
from gnnrec.data.types import Interactions, Observed
from gnnrec.encoders.base import Encoder
from gnnrec.encoders.tables import TABLES, Embeddings
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.graph.columns import Decay
from gnnrec.graph.views import Accumulated
from gnnrec.learner import Learner
from gnnrec.strategies.adapted.adapted import Adapted
from gnnrec.strategies.base import Strategy, StrategyState, needs_rows


class Gate(nn.Module):
    """x ⊙ 2σ(xW + b): nothing changes where W and b are 0, which is where it starts.

    Args:
        width: d.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.turn, self.shift = nn.Parameter(torch.zeros(width, width)), nn.Parameter(torch.zeros(width))

    def forward(self, rows: Tensor) -> Tensor:
        """Return the gated rows, [n, d]."""
        return rows * (2 * torch.sigmoid(rows @ self.turn + self.shift))


class Prompted(Adapted):
    """The read-out of `inner` with gated rows, of which nothing but the gates is trained.

    Args:
        inner: whose weights stay.
        gates: by table.
        edges: that messages pass over.
    """

    def __init__(self, inner: Encoder, gates: nn.ModuleDict, edges: BipartiteGraph) -> None:
        super().__init__(inner)
        self.gates, self.edges = gates, edges

    def forward(self, graph: BipartiteGraph) -> Embeddings:
        """Return the embeddings of every node of `graph`, of which nothing is read but where it lies."""
        self.edges = self.edges.to(graph.device)
        still = {name: p.detach() for name, p in self.inner.named_parameters()}
        z: Embeddings = functional_call(self.inner, {**still, **self.gated()}, (self.edges,))
        return z

    def gated(self) -> dict[str, Tensor]:
        """Return the gated rows by the names of the tables' weights."""
        return {f"{n}.weight": self.gates[n](getattr(self.inner, n).weight.detach()) for n in TABLES}

    def tables(self) -> dict[str, nn.Parameter]:
        """Return no rows: none is trained."""
        return {}


class GraphPrompt(Strategy):
    """Keep every row, train x ⊙ 2σ(xW + b) before the encoder, over edges that weigh 2^(−age / half-life).

    After Yang et al., "GraphPro: graph pre-training and prompt learning for recommendation", WWW 2024. Every `period` updates
    the rows become ½ rows + ½ mean of the gated rows of these updates, and the gates start again: its interpolative update.

    Departs from the published code in that an epoch is kept for its metric on valid (there, on the test snapshot), in that
    gates start as the identity, in that ages decay edges before they are normalised (there ½ of the weights is a softmax over a
    node's neighbours), in that the mean of updates is plain, and in that there is no structural prompt: embeddings are neither
    started from a frozen model's features over a sample of the history, nor fitted beside the gates. Parameters of the
    objective go on being trained. Without events to fit on and without `recency` it is `frozen`.

    Args:
        period: updates from one interpolation to the next; 0: none.
        recency: half-life of edges, as a share of all absorbed events; None: edges weigh as `graph` says. Where that is another
            graph than the accumulated one, it stands.
        seed: of nothing; it makes no random choice.

    Raises:
        GnnrecError: a setting is out of its range; in `begin`: the encoder keeps no rows, or reads no edges with weights.
    """

    def __init__(self, period: int = 4, recency: float | None = 0.5, seed: int = 0) -> None:
        super().__init__(seed)
        if period < 0 or (recency is not None and not recency > 0):
            raise GnnrecError(
                f"strategy.period must be 0 or more, strategy.recency above 0 or null; got {period} and {recency}"
            )
        self.period, self.recency = period, recency
        self.gates: nn.ModuleDict | None = None
        self.total: dict[str, Tensor] = {}
        self.count: dict[str, Tensor] = {}
        self.updates = self._width = 0
        self._reader: Prompted | None = None
        self._weighed: tuple[BipartiteGraph, tuple[Interactions, ...], BipartiteGraph] | None = None

    def begin(self, learner: Learner, base: Observed) -> None:
        """Make the gates."""
        needs_rows(learner, "graph_prompt gates rows")
        self._open(learner.encoder.width)
        try:
            learner.embed()
        except GnnrecError as error:
            told = f"{type(learner.encoder).__name__} reads no weights of edges; set strategy.recency=null"
            raise GnnrecError(f"strategy graph_prompt weighs edges by age, and {told}") from error

    def _open(self, width: int) -> None:
        self.gates, self._reader = nn.ModuleDict({name: Gate(width) for name in TABLES}), None
        self._width = width

    def modules(self) -> nn.Module | None:
        """Return the gates."""
        return self.gates

    def reader(self, learner: Learner) -> Encoder:
        """Return the encoder with gates before it."""
        if self.gates is None:
            return learner.encoder
        before, edges = None if self._weighed is None else self._weighed[2], self.edges(learner)
        if self._reader is None or self._reader.inner is not learner.encoder or edges is not before:
            self._reader = Prompted(learner.encoder, self.gates, edges)
        return self._reader

    def edges(self, learner: Learner) -> BipartiteGraph:
        """Return the edges that messages pass over, made anew where the graph or what is absorbed has changed."""
        graph, log, held = learner.graph, tuple(learner.counters.log), self._weighed
        # Repeats of known pairs make no other graph, and yet an edge is as old as its newest event.
        if held is None or held[0] is not graph or len(held[1]) != len(log) or not all(map(is_, held[1], log)):
            self._weighed = held = graph, log, self._aged(learner, Interactions.concat(log))
        return held[2]

    def _aged(self, learner: Learner, events: Interactions) -> BipartiteGraph:
        history = learner.history
        every = isinstance(history.view, Accumulated) and not history.own_graph
        if self.recency is None or not every or not len(events):
            return history.graph
        empty = BipartiteGraph.empty().tracked().decayed(Decay(self.recency * len(events), "events"))
        return empty.extend(events, history.graph.num_users, history.graph.num_items)

    def finish(self, learner: Learner, new: Observed) -> None:
        """Add the gated rows to their mean; at the end of a period, go half the way to it."""
        if self._reader is None or not self.period:
            return
        with torch.no_grad():
            gated = {n: self._reader.gated()[f"{n}.weight"] for n in TABLES}
        for name, rows in gated.items():
            more = len(rows) - len(self.count.get(name, rows[:0]))
            self.total[name] = F.pad(self.total.get(name, rows[:0]), (0, 0, 0, more)) + rows
            self.count[name] = F.pad(self.count.get(name, rows[:0, 0]), (0, more)) + 1
        self.updates += 1
        if self.updates % self.period == 0:
            means = {n: self.total[n] / self.count[n].unsqueeze(1) for n in TABLES}
            learner.write(**{n: (getattr(learner.encoder, n).weight.detach() + means[n]) / 2 for n in TABLES})
            self._open(learner.encoder.width)
            self.total, self.count = {}, {}

    def state(self) -> StrategyState:
        """Return the sums of gated rows, and how many each has."""
        held = {f"{what}.{n}": x for what in ("total", "count") for n, x in getattr(self, what).items()}
        return {"updates": self.updates, "width": self._width, **held}

    def restore(self, state: StrategyState) -> None:
        """Take up the sums, and make room for the gates."""
        self.updates = int(state["updates"])
        self._open(int(state["width"]))
        self.total, self.count = (
            {n: state[f"{what}.{n}"] for n in TABLES if f"{what}.{n}" in state} for what in ("total", "count")
        )
