"""The learner: an encoder and an objective with the graph they live on and the counts they have absorbed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gnnrec.core.errors import GnnrecError
from gnnrec.core.seeds import derive
from gnnrec.counters.counters import Counters
from gnnrec.data.types import Features, Interactions, Keys, Observed
from gnnrec.encoders.base import Encoder, NewNodes
from gnnrec.encoders.initial import Initial, TwoHopMean
from gnnrec.encoders.tables import Embeddings, checksum, load_resized, random_rows
from gnnrec.evaluation.blend_choice import choose_weights
from gnnrec.evaluation.evaluate import Row, Settings, Slice, evaluate_all
from gnnrec.evaluation.world import World
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.graph.views import Accumulated, View
from gnnrec.objectives.base import Objective
from gnnrec.scorers.blend import BlendScorer, Grid, Weights
from gnnrec.scorers.model import ModelScorer, Scorer
from gnnrec.training.ahead import Ahead
from gnnrec.training.checkpoint import FitCheckpoint
from gnnrec.training.cost import Cost
from gnnrec.training.fit import Fits, Model
from gnnrec.training.fitter import FitLog, OnEpoch, device_of
from gnnrec.training.settings import FitSettings
from gnnrec.training.step import Nodes, Penalty, Step, Terms, no_nodes, no_penalty

Mark = tuple[Tensor, int, float]
"""A parameter, torch's count of what was written to it, and a checksum for what was written past that count."""


class Learner:
    """A model that grows.

    Args:
        encoder, objective: without rows; copies are kept for cold restarts.
        fit: how to fit an increment.
        base_fit: how to fit the base, and every cold start; as an increment where None.
        view: which edges carry messages.
        initial: where tables start, and rows of new nodes.
        grid: settings the blend chooses from.
        measure: how valid is scored.
        trainer: arguments of Lightning's Trainer.
        seed: of initial rows, order and negatives.

    Attributes:
        graph: whose edges carry messages; `use_graph` puts another in its place.
        seen: all absorbed pairs, for masks and negatives.
        features: of all numbered nodes; None where the data have none.
        server: what serves in the model's place: a strategy's `scorer`.
        weights: the blend's, chosen on the last valid events.
    """

    def __init__(
        self,
        encoder: Encoder,
        objective: Objective,
        fit: FitSettings | None = None,
        base_fit: FitSettings | None = None,
        view: View | None = None,
        initial: Initial | None = None,
        grid: Grid | None = None,
        measure: Settings | None = None,
        trainer: dict[str, Any] | None = None,
        seed: int = 0,
    ) -> None:
        objective.fit_to(encoder.out)
        self._pristine = copy.deepcopy((encoder, objective))
        self.encoder, self.objective = encoder, objective
        self.view, self.initial = view or Accumulated(), initial or TwoHopMean()
        self.grid, self.measure, self.seed = grid or Grid(), measure or Settings(), seed
        trainer = trainer or {"accelerator": "cpu"}
        self.device, self.trainer = device_of(trainer), trainer
        update = fit or FitSettings()
        self.fits = Fits(update, base_fit or update, trainer, self.measure, seed)
        self.graph = self.seen = BipartiteGraph.empty()
        self.statistics = Counters(self.grid.half_life)
        self.user_key: Keys = np.empty(0, np.uint64)
        self.item_key: Keys = np.empty(0, np.uint64)
        self.features: Features | None = None
        self.weights = Weights()
        self.index, self.cost, self.log = -1, Cost(), FitLog()
        self.valid_rows: dict[str, list[Row]] = {}
        self.server: Callable[[Learner], Scorer] | None = None
        self.on_epoch: OnEpoch | None = None
        self.checkpoint: FitCheckpoint | None = None
        self._valid = Interactions.empty()
        self._grown = (0, 0)
        # What the biases, which are counters, have not taken in: the events of every increment since the last fit.
        self._pending: list[Interactions] = []
        self._pending_from = 0
        self._fitted = self._own_graph = False
        self._z: Embeddings | None = None
        self._mark: list[Mark] = []

    # Growing ------------------------------------------------------------------------------------------------------

    def extend(self, new: Observed) -> None:
        """Let the increment's training edges into the graph and give its nodes rows; `new.valid` stays outside."""
        # Lengths of the last fit are judged by the graph and masks of their time: before anything of `new` is let in.
        self.fits.open(new.index)
        self.fits.judge(self._model(), new.arrived)
        self._open(new)
        self._grow(new.arrived)
        self._wait(new, new.arrived)
        self._fitted = False

    def absorb(self, new: Observed) -> None:
        """Select the blend on valid, then let the held-back events into graph, tables and counters.

        The order is the protocol: whatever is chosen on valid is chosen before its events can be seen.
        """
        if self.objective.calibrates:
            self.objective.calibrate(self.embed(), new.valid)
        self._choose_blend(new.valid)
        if not len(new.folded):
            self.embed()  # the graph stays as it is, so what valid is scored by will serve: no reporting, a cost
        self._score_valid(new.valid)
        self._let_in(new.folded, new.num_users, new.num_items)
        self._grow(new.folded)
        # Where weights are kept, as in a frozen model, so are the biases of known nodes: they wait for the next fit.
        if self._fitted:
            self.objective.absorb(new.folded)
        else:
            self._wait(new, new.folded)

    def follow(self, past: Sequence[Observed], meta: Mapping[str, Any] | None = None) -> None:
        """Take in past increments' edges and counts without rows or fits, before `load_state_dict`."""
        since = len(past) if meta is None else int(meta.get("pending_from", len(past)))
        for new in past:
            self._open(new)
            self._let_in(new.folded, new.num_users, new.num_items)
            if new.index >= since:
                self._wait(new, new.arrived)
                self._wait(new, new.folded)
        self._grown = self.seen.num_users, self.seen.num_items

    def _open(self, new: Observed) -> None:
        self.index, self._valid = new.index, new.valid
        self.user_key, self.item_key = new.user_key, new.item_key
        self.features = Features.concat(self.features, new.features)
        self._take_back(new.removed)
        self.graph, self._z = self.view.begin(self.graph), None
        users = max(self.seen.num_users, int(new.arrived.user.max(initial=-1)) + 1)
        items = max(self.seen.num_items, int(new.arrived.item.max(initial=-1)) + 1)
        self._let_in(new.arrived, users, items)

    def _take_back(self, removed: Interactions) -> None:
        """Let events that were absorbed earlier out of graphs, counters and biases; rows of nodes stay."""
        if not len(removed):
            return
        same = self.graph is self.seen
        self.statistics.retract(removed)
        # A pair that came several times stays an edge until the last of its events goes.
        pairs = self.statistics.orphaned(removed)
        self.seen = self.seen.without(pairs)
        self.graph = self.seen if same else self.graph.without(pairs)
        if self._grown[0]:  # else a state is about to be loaded, whose biases are without them
            self.objective.retract(removed.without(Interactions.concat(self._pending)))  # what waits has never been in
        self._pending = [events.without(removed) for events in self._pending]

    def _wait(self, new: Observed, events: Interactions) -> None:
        """Keep events for the biases until somebody fits."""
        if not self._pending:
            self._pending_from = new.index
        self._pending.append(events)

    def _let_in(self, events: Interactions, num_users: int, num_items: int) -> None:
        same, before = self.graph is self.seen, self.graph
        self.seen = self.seen.extend(events, num_users, num_items)
        self.graph = self.seen if same else self.view.extend(self.graph, events, num_users, num_items)
        self.statistics.absorb(events, num_users, num_items)
        if self.graph is not before:
            self._z = None

    def _grow(self, events: Interactions) -> None:
        """Give nodes that have none their rows: the policy's where neighbours allow it, else seeded random ones."""
        users, items = self._grown
        random = self._random_rows(users, items)
        if self.encoder.keeps_rows and (users or items):
            old = self.encoder.user.weight.detach(), self.encoder.item.weight.detach()
            rows = self.initial.rows(random, old, self.seen)
        elif self.encoder.keeps_rows:
            rows = self.initial.start(random, self.seen)
        else:
            rows = random[0][:0], random[1][:0]
        self._hand_over(rows, users, items)
        self.objective.grow(events, self.seen.num_users, self.seen.num_items)

    def _hand_over(self, rows: tuple[Tensor, Tensor], users: int, items: int) -> None:
        """Let the encoder grow by the nodes numbered from these on."""
        keys = self.user_key[users : self.seen.num_users], self.item_key[items : self.seen.num_items]
        features = None if self.features is None else self.features.first(self.seen.num_users, self.seen.num_items)
        self.encoder.grow(NewNodes(*rows, *keys, features, self.graph))
        self._grown = self.seen.num_users, self.seen.num_items

    def _random_rows(self, users: int, items: int) -> tuple[Tensor, Tensor]:
        """Return rows of users and items numbered from these on."""
        width, scale = self.encoder.width, self.encoder.scale
        user = self.user_key[users : self.seen.num_users], derive(self.seed, "user")
        item = self.item_key[items : self.seen.num_items], derive(self.seed, "item")
        return random_rows(*user[:1], width, user[1], scale), random_rows(*item[:1], width, item[1], scale)

    def reset(self, history: Interactions) -> None:
        """Forget every weight: rows as at the start for all nodes, biases from `history`, all that has been absorbed."""
        self.encoder, self.objective = copy.deepcopy(self._pristine)
        random = self._random_rows(0, 0)
        keeps = self.encoder.keeps_rows
        rows = self.initial.start(random, self.seen) if keeps else (random[0][:0], random[1][:0])
        self._hand_over(rows, 0, 0)
        self.objective.grow(history, self.seen.num_users, self.seen.num_items)
        self._pending, self._pending_from = [history], self.index
        self.fits.moments, self._z = {}, None

    # Fitting ------------------------------------------------------------------------------------------------------

    def fit(
        self,
        events: Interactions,
        penalty: Penalty = no_penalty,
        epochs: int | None = None,
        schedule: str = "update",
        nodes: Nodes = no_nodes,
        modules: torch.nn.Module | None = None,
    ) -> FitLog:
        """Fit on `events`, selecting as the budget says; no events, no step.

        Args:
            events: what to fit on.
            penalty: added to the loss of each step.
            epochs: most passes; as set in the fit settings where None.
            schedule: "update", or "base" for a cold start, which is fitted as the base is.
            nodes: further nodes that the penalty reads.
            modules: further parameters to train.
        """
        self.solve()
        settings = self.fits.settings(schedule, epochs)
        terms = Terms(penalty, nodes, modules)
        self.log = self.fits.fit(
            self._model(), events, self._valid, settings, terms, self.cost, self.on_epoch, self.checkpoint
        )
        self._z = None
        return self.log

    def loop(self, events: Interactions, schedule: str = "update") -> Iterator[Step]:
        """Yield the steps of one epoch of `events`, for procedures that are not one fit; the caller trains, or measures.

        Gradients reach `step.trained`; what the caller does to those parameters is what serves afterwards.
        """
        settings = self.fits.settings(schedule, None)
        try:
            yield from self.fits.loop(self._model(), events, settings, Terms(), self.cost)
        finally:
            self._z = None

    def solve(self) -> None:
        """Let every event that has waited into the biases, in closed form; a fit and `write` begin with it."""
        if self._pending:
            self.objective.refit(Interactions.concat(self._pending))
        self._pending, self._fitted = [], True

    def write(self, user: Tensor | None = None, item: Tensor | None = None) -> None:
        """Set the tables from outside, [u, d] and [i, d]: closed forms, transfers, merges. Everything cached follows.

        Raises:
            GnnrecError: another number of rows or columns than the table has.
        """
        for name, table, rows in (("user", self.encoder.user, user), ("item", self.encoder.item, item)):
            if rows is None:
                continue
            if rows.shape != table.weight.shape:
                has, got = list(table.weight.shape), list(rows.shape)
                raise GnnrecError(f"learner.write({name}=…) needs one row per {name}, shape {has}, got {got}")
            table.replace(rows.to(table.weight))
        self.solve()
        self._z = None

    def use_graph(self, graph: BipartiteGraph) -> None:
        """Pass messages over `graph` from now on; later increments extend it, and it is saved with the model."""
        if (graph.num_users, graph.num_items) != (self.seen.num_users, self.seen.num_items):
            raise GnnrecError(
                f"use_graph needs {self.seen.num_users} users and {self.seen.num_items} items, "
                f"got {graph.num_users} and {graph.num_items}"
            )
        self.graph, self._own_graph, self._z = graph, True, None

    def _model(self) -> Model:
        return Model(self.encoder, self.objective, self.graph, self.seen)

    def _choose_blend(self, valid: Interactions) -> None:
        if not self._blends:
            self.weights = next(iter(self.grid.settings()), self.weights)
            return
        model = self.serving()  # its propagation is the model's own cost
        with self.cost.charged("blend"):
            chosen = choose_weights(model, self.statistics, valid, self._world(), self.measure, self.grid)
        # Without a valid event there is nothing to choose by; the last choice stands.
        self.weights = chosen or self.weights

    def _score_valid(self, valid: Interactions) -> None:
        """Keep the selected model's metrics on valid, and the blend's where there is one; tuning compares settings by them."""
        with self.cost.charged("reporting"):
            model = self.serving()
            scorers: dict[str, Scorer] = {"model": model}
            if self._blends:
                scorers["blend"] = self.blend_scorer(model)
            found = evaluate_all(scorers, [Slice(valid, self._world(), segments=False)], self.measure)[0]
            self.valid_rows |= {name: f.rows for name, f in found.items()}

    @property
    def _blends(self) -> bool:
        """Whether a blend is chosen, and so may serve."""
        return len(self.grid.settings()) > 1

    def _world(self) -> World:
        users, items = self.seen.num_users, self.seen.num_items
        return World(self.index, users, items, self.seen, self.statistics.popularity.total, np.zeros(users, bool))

    # Serving ------------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def embed(self) -> Embeddings:
        """Return embeddings of the present graph, propagated once and kept until something changes.

        They share memory with the model and move with it: `snapshot` gives what a teacher is.
        """
        # Rows may be put in a table's place, written to, or written to behind torch's back (`.data`): all three are seen.
        if self._z is None or not _alike(self._marks(), self._mark):
            self.encoder.eval()
            z: Embeddings = self.encoder.to(self.device)(self.graph.to(self.device))
            self._z = Embeddings(*(x.detach() for x in z))
            self.encoder.cpu().train()
            self._mark = self._marks()
        return self._z

    def _marks(self) -> list[Mark]:
        return [(p, p._version, checksum(p)) for p in self.encoder.parameters()]

    def snapshot(self) -> Embeddings:
        """Return a detached copy of the present embeddings: it stays as it is, whatever becomes of the model."""
        return Embeddings(*(x.detach().clone() for x in self.embed()))

    def ready(self) -> None:
        """Have at hand what serves: the embeddings, and co-occurrence up to date where a blend reads it."""
        self.embed()
        if self._blends:
            with self.cost.charged("blend"):
                self.statistics.itemknn.settle()

    def scorer(self) -> ModelScorer:
        """Return the model alone as a row of the table."""
        objective = self.objective
        if self.device.type != "cpu":
            objective = copy.deepcopy(objective).to(self.device)
        return ModelScorer(self.embed(), objective, self.statistics, self.seen.degree_user.numpy() > 0)

    def serving(self) -> Scorer:
        """Return what serves: the strategy's scorer where it has one of its own, else the model."""
        return self.server(self) if self.server is not None else self.scorer()

    def blend_scorer(self, model: Scorer | None = None) -> BlendScorer:
        """Return what serves under the blend head as a row of the table; rows of the same `model` are scored in one go."""
        return BlendScorer(model or self.serving(), self.statistics, self.weights)

    # State --------------------------------------------------------------------------------------------------------

    def fork(self) -> Learner:
        """Return a learner with copied weights that shares this one's graph, and whose work counts as this one's."""
        twin = copy.copy(self)
        twin.encoder, twin.objective = copy.deepcopy((self.encoder, self.objective))
        twin.statistics, twin.fits = copy.deepcopy(self.statistics), self.fits.fork()
        twin.valid_rows, twin._pending = dict(self.valid_rows), list(self._pending)
        twin._z = None
        return twin

    def adopt(self, twin: Learner) -> None:
        """Become `twin`, a fork that has gone on. One that is not adopted leaves no trace but its cost."""
        self.__dict__.update(twin.__dict__)

    def state_dict(self) -> dict[str, Tensor]:
        """Return every tensor that the next update needs beside the graph, and that too where it is not the view's."""
        parts = {"encoder": self.encoder, "objective": self.objective}
        state = {f"{part}.{name}": x for part, module in parts.items() for name, x in module.state_dict().items()}
        state |= {f"moments.{n}.{k}": v for n, m in self.fits.moments.items() for k, v in m.items()}
        state |= {f"ahead.{name}": x for name, x in self.fits.ahead.tensors().items()}
        if self._own_graph:
            user, item = self.graph.edges()
            state |= {"graph.user": torch.from_numpy(user), "graph.item": torch.from_numpy(item)}
        return {name: x.detach().clone().contiguous() for name, x in state.items()}

    def meta(self) -> dict[str, Any]:
        """Return what the next update needs beside tensors, as JSON."""
        since = self._pending_from if self._pending else self.index + 1
        ahead = self.fits.ahead.meta()
        return {"absorbed": self.index, "blend": self.weights.as_dict(), "pending_from": since, "ahead": ahead}

    def load_state_dict(self, state: Mapping[str, Tensor], meta: Mapping[str, Any] | None = None) -> None:
        """Become the learner whose `state_dict` and `meta` these are; tables take the sizes they had."""
        parts = split(state)
        for name, module in (("encoder", self.encoder), ("objective", self.objective)):
            load_resized(module, parts.get(name, {}))
        self.fits.moments = {}
        for name, x in parts.get("moments", {}).items():
            parameter, key = name.rsplit(".", 1)
            self.fits.moments.setdefault(parameter, {})[key] = x.clone()
        self.fits.ahead = Ahead.of((meta or {}).get("ahead", []), parts.get("ahead", {}))
        if own := parts.get("graph"):
            nothing = np.zeros(len(own["user"]))
            edges = Interactions(own["user"].numpy(), own["item"].numpy(), nothing, nothing)
            self.use_graph(BipartiteGraph.empty().extend(edges, self.seen.num_users, self.seen.num_items))
        if meta is not None:
            self.weights = Weights(**meta["blend"])
        else:
            self._pending = []  # the biases of this state are as they should be
        self._fitted, self._z = not self._pending, None

    @property
    def bytes_kept(self) -> int:
        """Bytes that must be stored for the next update: weights, moments, edges, popularity."""
        tensors = sum(x.nbytes for x in self.state_dict().values())
        views = {id(g): g.nbytes for g in (self.graph, self.seen)}
        return tensors + sum(views.values()) + self.statistics.popularity.nbytes

    @property
    def blend_bytes(self) -> int:
        """Bytes that a blend needs beside these: the Gram matrix; 0 where there is no blend."""
        return self.statistics.itemknn.nbytes if self._blends else 0


def _alike(now: list[Mark], then: list[Mark]) -> bool:
    return len(now) == len(then) and all(a[0] is b[0] and a[1:] == b[1:] for a, b in zip(now, then, strict=True))


def split(state: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Return the tensors of a saved state by the part of their names before the first dot."""
    parts: dict[str, dict[str, Tensor]] = {}
    for name, x in state.items():
        part, _, rest = name.partition(".")
        parts.setdefault(part, {})[rest] = x
    return parts
