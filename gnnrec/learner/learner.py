"""The learner: an encoder and an objective with the graph they live on and the counts they have absorbed."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from torch import Tensor, nn

from gnnrec.core.errors import GnnrecError
from gnnrec.counters.counters import Companion, Counters
from gnnrec.data.types import Interactions, Observed
from gnnrec.encoders.base import Encoder
from gnnrec.encoders.initial import Initial, TwoHopMean
from gnnrec.encoders.tables import Embeddings
from gnnrec.evaluation.evaluate import MetricRow, Slice, evaluate_all
from gnnrec.evaluation.settings import Settings
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.graph.views import Accumulated, View
from gnnrec.learner import state
from gnnrec.learner.blend import BlendHead
from gnnrec.learner.growth import Growth
from gnnrec.learner.history import History
from gnnrec.learner.read_out import ReadOutCache
from gnnrec.learner.waiting import Waiting
from gnnrec.objectives.base import Objective
from gnnrec.scorers.blend import BlendScorer, Grid
from gnnrec.scorers.model import ModelScorer, Scorer
from gnnrec.training.checkpoint import FitCheckpoint
from gnnrec.training.cost import Cost
from gnnrec.training.fit import Fits, Model
from gnnrec.training.fitter import FitLog, OnEpoch, device_of
from gnnrec.training.ranks import check_spreads
from gnnrec.training.settings import FitSettings
from gnnrec.training.step import Nodes, Penalty, Step, Terms, no_nodes, no_penalty


class Learner:
    """A model that grows.

    Args:
        encoder, objective: without rows; copies are kept for cold restarts.
        fit: how to fit an increment.
        base_fit: how to fit the base, and every cold start; as an increment where None.
        view: which edges carry messages.
        initial: where tables start, and rows of new nodes.
        grid: settings the blend chooses from.
        companion: what the blend sets beside the model, without events; ItemKNN where None.
        measure: how valid is scored.
        trainer: arguments of Lightning's Trainer.
        seed: of initial rows, order and negatives.

    Attributes:
        history: graphs and counts of what has been absorbed.
        growth, waiting, fits, blend: nodes and their rows, events that the biases lack, how fits go, the chosen blend.
        server: what serves in the model's place: the `scorer` of a strategy that has one of its own.
        adapter: makes what is fitted and read out in the encoder's place: the `reader` of a strategy that has one of its own.
        cost, log, valid_rows: what was done since the cost was cleared, the last fit, how its model does on valid.
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
        companion: Companion | None = None,
        measure: Settings | None = None,
        trainer: dict[str, Any] | None = None,
        seed: int = 0,
    ) -> None:
        objective.fit_to(encoder.out)
        check_spreads(trainer or {}, encoder)
        self._pristine = copy.deepcopy((encoder, objective))
        self.encoder, self.objective = encoder, objective
        self.measure, self.seed = measure or Settings(), seed
        trainer, update = trainer or {"accelerator": "cpu"}, fit or FitSettings()
        self.fits = Fits(update, base_fit or update, trainer, self.measure, seed)
        self.growth, self.waiting = Growth(initial or TwoHopMean(), seed), Waiting()
        self.blend = BlendHead(grid or Grid())
        half_lives = (*self.blend.grid.half_lives, objective.half_life or math.inf)
        self.history = History(view or Accumulated(), half_lives, companion)
        self.cost, self.log = Cost(), FitLog()
        self.valid_rows: dict[str, list[MetricRow]] = {}
        self.server: Callable[[Learner], Scorer] | None = None
        self.adapter: Callable[[Learner], Encoder] | None = None
        self._judged = -1  # the increment by which what has served has been judged
        self.on_epoch: OnEpoch | None = None
        self.checkpoint: FitCheckpoint | None = None
        self._valid = Interactions.empty()
        self._read_out = ReadOutCache(device_of(trainer))

    @property
    def graph(self) -> BipartiteGraph:
        """The graph whose edges carry messages."""
        return self.history.graph

    @property
    def seen(self) -> BipartiteGraph:
        """All absorbed pairs, for masks and negatives."""
        return self.history.seen

    @property
    def reader(self) -> Encoder:
        """What is fitted and read out: the encoder, or what a strategy has made of it."""
        return self.encoder if self.adapter is None else self.adapter(self)

    @property
    def counters(self) -> Counters:
        """Counts of what has been absorbed."""
        return self.history.counters

    @property
    def index(self) -> int:
        """The newest increment, −1 before the base."""
        return self.history.index

    # Growing ------------------------------------------------------------------------------------------------------

    def extend(self, new: Observed) -> None:
        """Let the increment's training edges into the graph and give its nodes rows; `new.valid` stays outside.

        All it is asked for is which counter ranks it best: that one ranks for users without history, and is the item term's.

        Raises:
            GnnrecError: an increment was left out.
        """
        if new.first > self.index + 1:
            raise GnnrecError(
                f"increment {new.first} cannot follow increment {self.index}: what lies between would be in no graph, mask or "
                "count, until a resumed run lets it in; extend and absorb every increment in turn, fitted or not"
            )
        self.judge(new)
        self._open(new, self.objective)
        # Before anything is fitted, as the item term counts by it too.
        self.blend.choose_counter(self.counters, new.valid, self.history.world(), self.measure)
        self._grow(new.arrived)
        self.waiting.add(new, new.arrived)
        self.waiting.solved = False

    def judge(self, new: Observed) -> None:
        """Judge what has served, and lengths of its fit, by what has arrived; `extend` does it where nobody has before.

        By the graph, masks and counts of its time: before anything of `new` is let in.
        """
        if self._judged == new.index:
            return
        self._judged = new.index
        self.blend.judge(self.serving, self.counters, new.arrived, self.history.world, self.measure, self.cost)
        self.fits.open(new.index)
        self.fits.judge(self._model(), new.arrived)

    def absorb(self, new: Observed) -> None:
        """Select the blend on valid, then let the held-back events into graph, tables and counters.

        The order is the protocol: whatever is chosen on valid is chosen before its events can be seen.
        """
        if self.objective.calibrates:
            self.objective.calibrate(self.embed(), new.valid)
        if not len(new.folded):
            self.embed()  # what will serve as it is: the model's own cost, neither the choice's nor reporting
        self.blend.choose(self.serving, self.counters, new.valid, self.history.world(), self.measure, self.cost)
        self._score_valid(new.valid)
        self.history.let_in(new.folded, new.num_users, new.num_items)
        self._grow(new.folded)
        # Where weights are kept, as in a frozen model, so are the biases of known nodes: they wait for the next fit.
        if self.waiting.solved:
            self.objective.absorb(new.folded)
        else:
            self.waiting.add(new, new.folded)

    def follow(self, past: Iterable[Observed], meta: Mapping[str, Any] | None = None) -> None:
        """Take in past increments' edges and counts without rows or fits, before `load_state_dict`."""
        since = (meta or {}).get("pending_from", math.inf)
        for new in past:
            self._open(new, None)
            self.history.let_in(new.folded, new.num_users, new.num_items)
            if new.index >= since:
                self.waiting.add(new, new.arrived)
                self.waiting.add(new, new.folded)
        self.growth.taken = self.seen.num_users, self.seen.num_items
        self._count()

    def _open(self, new: Observed, objective: Objective | None) -> None:
        self._valid = new.valid
        self.growth.open(new)
        if len(gone := self.history.open(new)):
            self.waiting.take_back(gone, objective)
            self.blend.forget()

    def _grow(self, events: Interactions) -> None:
        self.growth.grow(self.encoder, self.seen, self.graph)
        self.objective.grow(events, self.seen.num_users, self.seen.num_items)
        self._count()

    def _count(self) -> None:
        self.objective.count(self.counters.popularity.total, self.counters.popularity.at(self._half_life()))

    def _half_life(self) -> float:
        return self.objective.half_life or self.blend.half_life

    def reset(self, history: Interactions) -> None:
        """Forget every weight: rows as at the start for all nodes, biases from `history`, all that has been absorbed."""
        self.encoder, self.objective = copy.deepcopy(self._pristine)
        self.growth.taken, self.fits.moments = (0, 0), {}
        self._grow(history)
        self.waiting.restart(self.index, history)

    # Fitting ------------------------------------------------------------------------------------------------------

    def fit(
        self,
        events: Interactions,
        penalty: Penalty = no_penalty,
        epochs: int | None = None,
        schedule: str = "update",
        nodes: Nodes = no_nodes,
        modules: nn.Module | None = None,
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
        settings, terms = self.fits.settings(schedule, epochs), Terms(penalty, nodes, modules)
        told = self.cost, self.on_epoch, self.checkpoint
        self.log = self.fits.fit(self._model(events), events, self._valid, settings, terms, *told)
        return self.log

    def loop(self, events: Interactions, schedule: str = "update") -> Iterator[Step]:
        """Yield the steps of one epoch of `events`, for procedures that are not one fit; the caller trains, or measures.

        Gradients reach `step.trained`; what the caller does to those parameters is what serves afterwards.
        """
        yield from self.fits.loop(self._model(events), events, self.fits.settings(schedule, None), Terms(), self.cost)

    def solve(self) -> None:
        """Let every event that has waited into the biases, in closed form; a fit and `write` begin with it."""
        self.waiting.solve(self.objective)

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

    def use_graph(self, graph: BipartiteGraph) -> None:
        """Pass messages over `graph` from now on; later increments extend it, and it is saved with the model."""
        self.history.use(graph)

    def _model(self, events: Interactions | None = None) -> Model:
        rank, past = None if self.server is None else self._rank, None
        # Counts without age know no time: today's hold for every event.
        if events is not None and self.objective.term.strength and math.isfinite(self._half_life()):
            past = self.counters.past(self._half_life(), events.time)
        return Model(self.reader, self.objective, self.graph, self.seen, rank, past)

    def _rank(self, z: Embeddings, user: Tensor) -> Tensor:
        """Return the scores that would be served with these embeddings, so that a fit selects what serves."""
        with self._read_out.pinned(z):
            scorer = self.serving()
        assert scorer.scores is not None, "what serves ranks"
        return scorer.scores(user.cpu().numpy(), self.seen.num_items)

    def _score_valid(self, valid: Interactions) -> None:
        """Keep the selected model's metrics on valid, and the blend's where there is one; tuning compares settings by them."""
        with self.cost.charged("reporting"):
            model = self.serving()
            scorers: dict[str, Scorer] = {"model": model}
            if self.blend.chooses:
                scorers["blend"] = self.blend_scorer(model)
            found = evaluate_all(scorers, [Slice(valid, self.history.world(), segments=False)], self.measure)[0]
            self.valid_rows |= {name: f.rows for name, f in found.items()}

    # Serving ------------------------------------------------------------------------------------------------------

    def embed(self) -> Embeddings:
        """Return embeddings of the present graph, propagated once and kept until something changes.

        They share memory with the model and move with it: `snapshot` gives what a teacher is.
        """
        return self._read_out.embed(self.reader, self.graph)

    def snapshot(self) -> Embeddings:
        """Return a detached copy of the present embeddings: it stays as it is, whatever becomes of the model."""
        return Embeddings(*(x.detach().clone() for x in self.embed()))

    def ready(self) -> None:
        """Have at hand what serves: the embeddings, a strategy's own scorer, and co-occurrence where a blend reads it."""
        self.embed(), self.serving()
        if self.blend.chooses:
            with self.cost.charged("blend"):
                self.counters.companion.settle()

    def scorer(self) -> ModelScorer:
        """Return the model alone as a row of the table."""
        objective, device = self.objective, self._read_out.device
        if device.type != "cpu":
            objective = copy.deepcopy(objective).to(device)
        has_edge = self.seen.degree_user.numpy() > 0
        return ModelScorer(self.embed(), objective, self.counters, has_edge, self.blend.half_life)

    def serving(self) -> Scorer:
        """Return what serves: the strategy's scorer where it has one of its own, else the model."""
        return self.server(self) if self.server is not None else self.scorer()

    def blend_scorer(self, model: Scorer | None = None) -> BlendScorer:
        """Return what serves under the blend head as a row of the table; rows of the same `model` are scored in one go."""
        return BlendScorer(model or self.serving(), self.counters, self.blend.weights)

    # State --------------------------------------------------------------------------------------------------------

    def fork(self) -> Learner:
        """Return a learner with copied weights that shares this one's graph, and whose work counts as this one's."""
        twin = copy.copy(self)
        twin.encoder, twin.objective = copy.deepcopy((self.encoder, self.objective))
        twin.growth, twin.blend, twin.history = copy.copy(self.growth), copy.copy(self.blend), self.history.fork()
        twin.fits, twin.waiting = self.fits.fork(), self.waiting.fork()
        # What a strategy reads out in the encoder's place is another one's for each learner.
        own = self._read_out.carried(self.encoder, self.graph, twin.encoder) if self.adapter is None else None
        twin._read_out = own or self._read_out.fork()
        twin.valid_rows = dict(self.valid_rows)
        return twin

    def fresh(self) -> Learner:
        """Return a learner of the same make that has absorbed nothing, and whose work counts as this one's."""
        twin = copy.copy(self)
        twin.encoder, twin.objective = copy.deepcopy(self._pristine)
        twin.growth, twin.waiting = Growth(self.growth.initial, self.seed), Waiting()
        twin.blend, twin.history = BlendHead(self.blend.grid), self.history.fresh()
        twin.fits, twin._read_out = self.fits.fresh(), self._read_out.fork()
        twin.log, twin.valid_rows, twin._valid = FitLog(), {}, Interactions.empty()
        twin._judged = -1
        twin.checkpoint = None  # what a fit that was cut off left behind is of this one's fits
        return twin

    def adopt(self, twin: Learner) -> None:
        """Become `twin`, one of `fork` or `fresh` that has gone on. One that is not adopted leaves no trace but its cost."""
        self.__dict__.update(twin.__dict__)

    def state_dict(self) -> dict[str, Tensor]:
        """Return every tensor that the next update needs beside the graph, and that too where it is not the view's."""
        return state.tensors(self)

    def meta(self) -> dict[str, Any]:
        """Return what the next update needs beside tensors, as JSON."""
        return state.meta(self)

    def load_state_dict(self, tensors: Mapping[str, Tensor], meta: Mapping[str, Any] | None = None) -> None:
        """Become the learner whose `state_dict` and `meta` these are; tables take the sizes they had."""
        state.load(self, tensors, meta)
        self._count()  # by the half-life that was chosen

    @property
    def bytes_kept(self) -> int:
        """Bytes that must be stored for the next update: weights, moments, edges, popularity."""
        return state.nbytes(self)

    @property
    def blend_bytes(self) -> int:
        """Bytes that a blend needs beside these, those of its companion; 0 where there is no blend."""
        return self.counters.companion.nbytes if self.blend.chooses else 0
