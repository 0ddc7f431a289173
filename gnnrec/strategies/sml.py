"""SML: a small network learns how old rows and rows fitted to what is new become the rows that serve.

Letters: n rows, d width, c channels, h hidden.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gnnrec.core.errors import GnnrecError, above_zero
from gnnrec.core.seeds import derive
from gnnrec.data.types import Interactions, Observed
from gnnrec.encoders.tables import TABLES
from gnnrec.learner import Learner
from gnnrec.strategies.base import Strategy, StrategyState, needs_rows
from gnnrec.training.step import TrainedRows


class Transfer(nn.Module):
    """f(w_{t−1}, ŵ_t) of each row: ŵ_t + what a network makes of [w_{t−1}, ŵ_t, w_{t−1} ⊙ ŵ_t / ‖w_{t−1}‖].

    The three are columns of an image [3, d]; two layers of convolutions over columns, then two of all that. The last layer
    starts at 0, so that the transfer starts as fine-tuning.

    Args:
        width: d.
        hidden: h.
        seed: of the start.
    """

    def __init__(self, width: int, hidden: int, seed: int) -> None:
        super().__init__()
        self.wide, self.narrow = nn.Conv1d(3, 10, 1), nn.Conv1d(10, 5, 1)
        self.first, self.last = nn.Linear(5 * width, hidden), nn.Linear(hidden, width)
        chance = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for layer in (self.wide, self.narrow, self.first):
                fan = layer.weight[0].numel()
                layer.weight.copy_(torch.randn(layer.weight.shape, generator=chance) * fan**-0.5)
            for parameter in (*self.last.parameters(), self.wide.bias, self.narrow.bias, self.first.bias):
                assert parameter is not None
                parameter.zero_()

    def forward(self, old: Tensor, fitted: Tensor) -> Tensor:
        """Return rows, [n, d]."""
        both = old * fitted / old.norm(dim=1, keepdim=True).clamp(min=1e-12)
        image = torch.stack([old, fitted, both], dim=1)
        seen = self.narrow(F.gelu(self.wide(image))).flatten(1)
        change: Tensor = self.last(F.gelu(self.first(seen)))
        return fitted + change


class SML(Strategy):
    """Fit ŵ_t to the increment, serve w_t = f(w_{t−1}, ŵ_t), and learn f from how well w_t ranks the next increment.

    Zhang et al., "How to retrain recommender system? A sequential meta-learning method", SIGIR 2020. When D_{t+1} comes, and
    before its edges are let in, f is trained for `passes` epochs so that f(w_{t−1}, ŵ_t) has a small loss on its events of
    users and items that are known; then ŵ_{t+1} is fitted from w_t, and f makes w_{t+1} of both. Users and items have a network
    each.

    Departs from the paper in that rows go through the encoder after the transfer (the paper's model is matrix factorisation),
    in that the loss is the learner's objective (the paper's is BCE), in that the transfer is a change of ŵ that starts at 0, in
    that one pass of fit and transfer is made per increment where its code alternates seven to ten times, in h (512 in its code)
    and in that rows of nodes that were not known before keep ŵ. With 0 passes it is fine-tuning. Under ``fit.budget=equal`` the
    passes come on top of the steps of the fit.

    Args:
        passes: epochs over the new increment that train f.
        lr: of f.
        l2: weight decay of f.
        hidden: h.
        seed: of f's start.

    Raises:
        GnnrecError: a setting is out of its range; in `begin`: the encoder keeps no rows.
    """

    def __init__(self, passes: int = 1, lr: float = 1e-3, l2: float = 1e-4, hidden: int = 128, seed: int = 0) -> None:
        super().__init__(seed)
        above_zero("strategy", lr=lr, hidden=hidden)
        if passes < 0 or l2 < 0:
            raise GnnrecError(f"strategy.passes and strategy.l2 must be 0 or more, got {passes} and {l2}")
        self.passes, self.lr, self.l2, self.hidden = passes, lr, l2, hidden
        self.nets: nn.ModuleDict | None = None
        self.old: dict[str, Tensor] = {}
        self.fitted: dict[str, Tensor] = {}

    def begin(self, learner: Learner, base: Observed) -> None:
        """Make the networks."""
        needs_rows(learner, "sml transfers rows")
        self._open(learner.encoder.width)

    def _open(self, width: int) -> None:
        self._width = width
        self.nets = nn.ModuleDict({n: Transfer(width, self.hidden, derive(self.seed, "transfer", n)) for n in TABLES})

    def modules(self) -> nn.Module | None:
        """Return the networks, to be saved; fits do not train them."""
        return self.nets

    def update(self, learner: Learner, new: Observed) -> None:
        """Learn the transfer from what has come, fit, transfer, choose the blend, absorb valid."""
        old = self._tables(learner)
        if self.passes and self.old:
            learner.judge(new)  # what has served, before anything else is done with what has come
            self._learn(learner, new.train)
        learner.extend(new)
        learner.fit(new.train)
        fitted = self._tables(learner)
        if self.passes and len(new.train):
            self.old, self.fitted = old, {n: fitted[n][: len(old[n])] for n in TABLES}
            learner.write(**self._transferred(fitted))
        learner.absorb(new)

    def consolidate(self, learner: Learner, new: Observed) -> None:
        """Forget the last update's rows: another strategy's have served since (`Selector` asks this of who was not chosen)."""
        self.old, self.fitted = {}, {}

    @staticmethod
    def _tables(learner: Learner) -> dict[str, Tensor]:
        return {name: rows.detach().clone() for name, rows in learner.encoder.tables().items()}

    def _transferred(self, tables: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the tables with f's rows in the places of those that it was given."""
        assert self.nets is not None
        with torch.no_grad():
            made = {n: self.nets[n](self.old[n], self.fitted[n]) for n in TABLES}
        return {n: torch.cat([made[n], tables[n][len(made[n]) :]]) for n in TABLES}

    def _learn(self, learner: Learner, events: Interactions) -> None:
        """Train f so that what it makes of the last update's rows ranks `events` to come; the learner's own rows stay."""
        assert self.nets is not None
        known = (events.user < learner.seen.num_users) & (events.item < learner.seen.num_items)
        events = events.take(np.flatnonzero(known))
        optimiser = torch.optim.Adam(self.nets.parameters(), self.lr, weight_decay=self.l2)
        twin = learner.fork()
        for _ in range(self.passes):
            self._place(twin)
            for step in twin.loop(events):
                rows = [step.trained[n].parameter for n in TABLES]
                slopes = torch.autograd.grad(step.loss(), rows)
                optimiser.zero_grad()
                # The chain rule by hand: the loop gives the slope at the rows, f's own is taken where they come from.
                for name, slope in zip(TABLES, slopes, strict=True):
                    made = self._made(name, step.trained[name])
                    torch.autograd.backward(made, slope[: len(made)].to(made))
                optimiser.step()
                learner.cost.steps += 1
                self._move(step.trained)

    def _place(self, learner: Learner) -> None:
        """Give a learner the rows that f makes now."""
        learner.write(**self._transferred(self._tables(learner)))

    def _made(self, name: str, trained: TrainedRows) -> Tensor:
        """Return what f makes of the trained rows that it was given, the first of them."""
        assert self.nets is not None
        _, node = trained.below(len(self.old[name]))
        made: Tensor = self.nets[name](self.old[name][node.cpu()], self.fitted[name][node.cpu()])
        return made

    @torch.no_grad()
    def _move(self, trained: Mapping[str, TrainedRows]) -> None:
        """Bring the rows of a loop to what f makes now, for its next step."""
        for name in TABLES:
            made = self._made(name, trained[name])
            trained[name].parameter[: len(made)] = made.to(trained[name].parameter)

    def state(self) -> StrategyState:
        """Return the rows of the last update, before and after its fit, and their width."""
        width = {} if self.nets is None else {"width": self._width}
        held = {"old": self.old, "fitted": self.fitted}
        return {**width, **{f"{what}.{n}": x for what, rows in held.items() for n, x in rows.items()}}

    def restore(self, state: StrategyState) -> None:
        """Take up the rows, and make room for the networks' weights."""
        if "width" in state:
            self._open(int(state["width"]))
        self.old, self.fitted = (
            {n: state[f"{what}.{n}"] for n in TABLES if f"{what}.{n}" in state} for what in ("old", "fitted")
        )
