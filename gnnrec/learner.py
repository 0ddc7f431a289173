"""The learner: an encoder and an objective with the graph they live on, how to fit them, and what it has cost."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gnnrec.core.seeds import derive
from gnnrec.counters.counters import Statistics
from gnnrec.data.types import Interactions, Keys, Observed
from gnnrec.encoders.base import Encoder
from gnnrec.encoders.initial import Initial, TwoHopMean
from gnnrec.encoders.partial import Touched
from gnnrec.encoders.tables import Embedded, Embeddings, Table, random_rows
from gnnrec.evaluation.blend_choice import choose_weights
from gnnrec.evaluation.evaluate import Row, Settings, evaluate
from gnnrec.evaluation.world import World
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.graph.views import Accumulated, View
from gnnrec.objectives.base import Batch, Objective
from gnnrec.scorers.blend import BlendScorer, Grid, Weights
from gnnrec.scorers.model import ModelScorer, Scorer
from gnnrec.training.checkpoint import FitCheckpoint
from gnnrec.training.early_stopping import selector
from gnnrec.training.fitter import FitLog, OnEpoch, run_fit
from gnnrec.training.module import Moments, Penalty, RecommendationModule
from gnnrec.training.sampling import EpochBatches
from gnnrec.training.settings import FitSettings


@dataclass(slots=True)
class Cost:
    """What the learner has done since the counter was last cleared.

    Attributes:
        steps: optimiser steps.
        triplets: events seen in training, repeats counted.
        edges: directed edges × layers × (forward + backward); what is left out of an outermost pass is counted.
        reporting: seconds spent on valid metrics that no choice rests on; no update needs them.
    """

    steps: int = 0
    triplets: int = 0
    edges: int = 0
    reporting: float = 0.0


def no_penalty(z: Embedded, batch: Batch) -> float:
    """Add nothing to the loss."""
    return 0.0


class Learner:
    """A model that grows.

    Args:
        encoder, objective: without rows; copies are kept for cold restarts.
        fit: how to fit an increment.
        base_fit: how to fit the base; as an increment where None.
        view: which edges carry messages.
        initial: where tables start, and rows of new nodes.
        grid: settings the blend chooses from.
        measure: how valid is scored.
        trainer: arguments of Lightning's Trainer.
        seed: of initial rows, order and negatives.
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
        self._pristine = copy.deepcopy((encoder, objective))
        self.encoder, self.objective = encoder, objective
        self.fit_settings, self.base_fit = fit or FitSettings(), base_fit or fit or FitSettings()
        self.view, self.initial = view or Accumulated(), initial or TwoHopMean()
        self.grid, self.measure = grid or Grid(), measure or Settings()
        self.trainer, self.seed = trainer or {"accelerator": "cpu"}, seed
        self.graph = self.seen = BipartiteGraph.empty()
        self.statistics = Statistics(self.grid.half_life)
        self.user_key: Keys = np.empty(0, np.uint64)
        self.item_key: Keys = np.empty(0, np.uint64)
        self.weights, self.moments = Weights(), Moments()
        self.index, self.cost, self.log = -1, Cost(), FitLog()
        self.valid_rows: dict[str, list[Row]] = {}
        self.on_epoch: OnEpoch | None = None
        self.checkpoint: FitCheckpoint | None = None
        self._valid = self._unsolved = Interactions.empty()
        self._fitted = False
        self._z: Embeddings | None = None
        self._written: tuple[int, ...] = ()

    # Growing ------------------------------------------------------------------------------------------------------

    def extend(self, new: Observed) -> None:
        """Let the increment's training edges into the graph and give its nodes rows; `new.valid` stays outside."""
        self._open(new)
        self._grow(new.arrived)
        self._unsolved, self._fitted = new.arrived, False

    def absorb(self, new: Observed) -> None:
        """Select the blend on valid, then let the held-back events into graph, tables and counters."""
        if self.objective.calibrates:
            self.objective.calibrate(self.embed(), new.valid)
        self._choose_blend(new.valid)
        if not len(new.folded):
            self.embed()  # the graph stays as it is, so what valid is scored by will serve: no reporting, a cost
        self._score_valid(new.valid)
        self._let_in(new.folded, new.num_users, new.num_items)
        self._grow(new.folded)
        # Where weights are kept, as in a frozen model, so are the biases of known nodes.
        if self._fitted:
            self.objective.absorb(new.folded)

    def follow(self, past: Sequence[Observed]) -> None:
        """Take in past increments' edges and counts without rows or fits, before `load_state_dict`."""
        for new in past:
            self._open(new)
            self._let_in(new.folded, new.num_users, new.num_items)

    def _open(self, new: Observed) -> None:
        self.index, self._valid = new.index, new.valid
        self.user_key, self.item_key = new.user_key, new.item_key
        self.graph, self._z = self.view.begin(self.graph), None
        users = max(self.seen.num_users, int(new.arrived.user.max(initial=-1)) + 1)
        items = max(self.seen.num_items, int(new.arrived.item.max(initial=-1)) + 1)
        self._let_in(new.arrived, users, items)

    def _let_in(self, events: Interactions, num_users: int, num_items: int) -> None:
        same, before = self.graph is self.seen, self.graph
        self.seen = self.seen.extend(events, num_users, num_items)
        self.graph = self.seen if same else self.graph.extend(events, num_users, num_items)
        self.statistics.absorb(events, num_users, num_items)
        if self.graph is not before:
            self._z = None

    def _grow(self, events: Interactions) -> None:
        """Append rows of nodes that have none: the policy's where neighbours allow it, else seeded random ones."""
        old = self.encoder.user.weight.detach(), self.encoder.item.weight.detach()
        random = self._random_rows(len(old[0]), len(old[1]))
        if len(old[0]) or len(old[1]):
            self.encoder.grow(*self.initial.rows(random, old, self.seen))
        else:
            self.encoder.grow(*self.initial.start(random, self.seen))
        self.objective.grow(events, self.seen.num_users, self.seen.num_items)

    def _random_rows(self, users: int, items: int) -> tuple[Tensor, Tensor]:
        """Return rows of users and items numbered from these on."""
        width, scale = self.encoder.width, self.encoder.scale
        user = self.user_key[users : self.seen.num_users], derive(self.seed, "user")
        item = self.item_key[items : self.seen.num_items], derive(self.seed, "item")
        return random_rows(*user[:1], width, user[1], scale), random_rows(*item[:1], width, item[1], scale)

    def reset(self, history: Interactions) -> None:
        """Forget every weight: rows as at the start for all nodes, biases from `history`, all that has been absorbed."""
        self.encoder, self.objective = copy.deepcopy(self._pristine)
        self.encoder.grow(*self.initial.start(self._random_rows(0, 0), self.seen))
        self.objective.grow(history, self.seen.num_users, self.seen.num_items)
        self._unsolved, self.moments, self._z = history, {}, None

    # Fitting ------------------------------------------------------------------------------------------------------

    def fit(self, events: Interactions, penalty: Penalty = no_penalty, epochs: int | None = None) -> FitLog:
        """Fit on `events`, stopping early on the increment's valid events; no events, no step.

        Args:
            events: what to fit on.
            penalty: added to the loss.
            epochs: most passes; as set in the fit settings where None.
        """
        settings = self.base_fit if self.index == 0 else self.fit_settings
        if epochs is not None:
            blind = min(epochs, settings.epochs_without_valid)
            settings = replace(settings, max_epochs=epochs, epochs_without_valid=blind)
        self.objective.refit(self._unsolved)
        self._unsolved, self._fitted = Interactions.empty(), True
        select = selector(self.objective, self._valid, self.seen, self.measure)
        carried = self.moments if settings.optimiser_state == "carry" else {}
        touched = self._touched(events) if settings.rows == "touched" else None
        trained = touched or self.encoder
        module = RecommendationModule(trained, self.objective, self.graph, settings.lr, penalty, select, carried)
        seed = derive(self.seed, self.index, "fit")
        batches = EpochBatches(events, self.seen, settings.batch_size, self.measure.positive_from, seed)
        self.log = run_fit(module, batches, settings, self.trainer, seed, self.on_epoch, self.checkpoint)
        self.moments = module.moments if settings.optimiser_state == "carry" else {}
        if touched is not None:
            touched.write_to(self.encoder.user, self.encoder.item)
            self.cost.edges += 2 * self.graph.num_edges * self.encoder.layers  # the propagation it starts from
        self._count(self.log, select is not None, (touched.within if touched is not None else self.graph).num_edges)
        self._z = None
        return self.log

    def _touched(self, events: Interactions) -> Touched | None:
        """Return what trains the rows of the events' nodes only; None where the encoder cannot."""
        user, item = (torch.from_numpy(np.unique(column)) for column in (events.user, events.item))
        return self.encoder.touched(self.graph, user, item)

    def _count(self, log: FitLog, selects: bool, edges: int) -> None:
        hop = 2 * edges * self.encoder.layers
        self.cost.steps += log.steps
        self.cost.triplets += log.triplets
        self.cost.edges += hop * (2 * log.steps + (len(log.epochs) if selects else 0))

    def _choose_blend(self, valid: Interactions) -> None:
        if not self._blends:
            self.weights = next(iter(self.grid.settings()), self.weights)
            return
        chosen = choose_weights(self.scorer(), self.statistics, valid, self._world(), self.measure, self.grid)
        # Without a valid event there is nothing to choose by; the last choice stands.
        self.weights = chosen or self.weights

    def _score_valid(self, valid: Interactions) -> None:
        """Keep the selected model's metrics on valid, and the blend's where there is one; tuning compares settings by them."""
        begin, scorers = time.perf_counter(), dict[str, Scorer](model=self.scorer())
        if self._blends:
            scorers["blend"] = self.blend_scorer()
        for name, scorer in scorers.items():
            self.valid_rows[name] = evaluate(scorer, valid, self._world(), self.measure, segments=False).rows
        self.cost.reporting += time.perf_counter() - begin

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
        """Return embeddings of the present graph, propagated once and kept until something changes."""
        # A strategy may write to the tables between absorbing and serving; torch counts what is written in place.
        written = tuple(p._version for p in self.encoder.parameters())
        if self._z is None or written != self._written:
            self._written = written
            self.encoder.eval()
            self._z = self.encoder(self.graph)
            self.encoder.train()
            self.cost.edges += 2 * self.graph.num_edges * self.encoder.layers
        return self._z

    def ready(self) -> None:
        """Have at hand what serves: the embeddings, and co-occurrence up to date where a blend reads it."""
        self.embed()
        if self._blends:
            self.statistics.itemknn.settle()

    def scorer(self) -> ModelScorer:
        """Return the model alone as a row of the table."""
        return ModelScorer(self.embed(), self.objective, self.statistics, self.seen.degree_user.numpy() > 0)

    def blend_scorer(self) -> BlendScorer:
        """Return the model under the blend head as a row of the table."""
        return BlendScorer(self.scorer(), self.statistics, self.weights)

    # State --------------------------------------------------------------------------------------------------------

    def fork(self) -> Learner:
        """Return a learner with copied weights that shares this one's graph."""
        twin = copy.copy(self)
        twin.encoder, twin.objective = copy.deepcopy((self.encoder, self.objective))
        twin.statistics, twin.cost = copy.deepcopy(self.statistics), Cost()
        twin.valid_rows = dict(self.valid_rows)
        return twin

    def state_dict(self) -> dict[str, Tensor]:
        """Return every tensor that the next update needs beside the graph."""
        parts = {"encoder": self.encoder, "objective": self.objective}
        state = {f"{part}.{name}": x for part, module in parts.items() for name, x in module.state_dict().items()}
        moments = {f"moments.{n}.{k}": v for n, m in self.moments.items() for k, v in m.items()}
        return {name: x.detach().clone().contiguous() for name, x in {**state, **moments}.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Become the learner whose `state_dict` this is; tables take the sizes they had."""
        for part, module in (("encoder", self.encoder), ("objective", self.objective)):
            own = {n.removeprefix(f"{part}."): x for n, x in state.items() if n.startswith(f"{part}.")}
            for name, table in module.named_modules():
                if isinstance(table, Table):
                    table.replace(own[f"{name}.weight"])
            module.load_state_dict(own)
        self.moments = {}
        for name, x in state.items():
            if name.startswith("moments."):
                parameter, key = name.removeprefix("moments.").rsplit(".", 1)
                self.moments.setdefault(parameter, {})[key] = x.clone()
        self._unsolved, self._fitted = Interactions.empty(), True
        self._z = None

    @property
    def bytes_kept(self) -> int:
        """Bytes that must be stored for the next update: weights, moments, edges, counters; a blend's where there is one."""
        tensors = sum(x.nbytes for x in self.state_dict().values())
        views = {id(g): g.nbytes for g in (self.graph, self.seen)}
        counters = self.statistics if self._blends else self.statistics.popularity
        return tensors + sum(views.values()) + counters.nbytes
