"""Expand: the tables grow by columns for what is new, and lose those that have come to mean little. Experimental.

Letters: t trained rows, n rows, d width, c columns.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gnnrec.core.errors import GnnrecError
from gnnrec.core.seeds import generator
from gnnrec.data.types import Observed
from gnnrec.encoders.tables import TABLES
from gnnrec.learner import Learner
from gnnrec.strategies.base import Strategy, needs_rows
from gnnrec.training.step import Step


class Expand(Strategy):
    """Add `columns`, fit with λ · Σ_c r_c, and drop the columns whose r_c is below `cut` of the largest.

    r_c is the root mean square of column c over the rows of both tables: the group lasso. After He et al., "Dynamically
    expandable graph convolution for streaming recommendation" (DEGC), WWW 2023, whose filters are here columns of the rows: an
    encoder without weight matrices passes each column along by itself.

    Departs from the paper in this, in that one fit prunes, refines and expands where there are three, in that single weights
    have no L1 term of their own, in that users' rows are no mean of their history, and in that what is pruned is gone: in the
    published code the operator that prunes is never run. The width so follows the data, from `least` up. Experimental. With 0
    columns, strength and cut it is fine-tuning. It needs no state: the width is that of the tables. Under ``fit.budget=ahead``
    an update that drops columns is not judged.

    Args:
        columns: added with every increment; they start at a tenth of the rows' size.
        strength: λ.
        cut: share of the largest r_c below which a column goes, from 0 to 1.
        least: columns that stay in any case, the largest.
        seed: of the new columns.

    Raises:
        GnnrecError: a setting is out of its range; in `prepare`: the encoder has weights beside its rows.
    """

    combines = False

    def __init__(
        self, columns: int = 16, strength: float = 1e-3, cut: float = 0.25, least: int = 8, seed: int = 0
    ) -> None:
        super().__init__(seed)
        if columns < 0 or strength < 0 or not 0 <= cut <= 1 or least < 1:
            raise GnnrecError(
                "strategy.columns and strategy.strength must be 0 or more, strategy.cut between 0 and 1, strategy.least 1 or "
                f"more; got {columns}, {strength}, {cut} and {least}"
            )
        self.columns, self.strength, self.cut, self.least = columns, strength, cut, least

    def prepare(self, learner: Learner, new: Observed) -> None:
        """Add the columns."""
        needs_rows(learner, "expand widens rows")
        if len(list(learner.encoder.parameters())) > len(TABLES):
            raise GnnrecError(
                f"strategy expand changes the width of rows, and {type(learner.encoder).__name__} has weights that depend on "
                "it; take an encoder such as lightgcn or mf"
            )
        if self.columns:
            rng, scale = generator(self.seed, new.index, "columns"), 0.1 * learner.encoder.scale
            width = learner.encoder.width
            more = {}
            for name in TABLES:
                rows = getattr(learner.encoder, name).weight
                drawn = rng.normal(0, scale, (len(rows), self.columns))
                more[name] = torch.cat([rows.detach(), torch.from_numpy(drawn).to(rows)], dim=1)
            become(learner, more, torch.arange(width), self.columns)

    def penalty(self, step: Step) -> Tensor | float:
        """Return λ · Σ_c r_c over the trained rows."""
        if not self.strength:
            return 0.0
        rows = [step.trained[name].parameter for name in TABLES]
        square = torch.cat(rows).square().mean(0)
        # The slope of a root is not finite at 0.
        return self.strength * (square + torch.finfo(square.dtype).tiny).sqrt().sum()

    def finish(self, learner: Learner, new: Observed) -> None:
        """Drop columns."""
        tables = {name: getattr(learner.encoder, name).weight.detach() for name in TABLES}
        size = torch.cat(list(tables.values())).square().mean(0).sqrt()
        if not len(size) or not self.cut:
            return
        most = size.argsort(descending=True, stable=True)[: self.least]
        stays = size >= self.cut * size.max()
        stays[most] = True
        if not bool(stays.all()):
            kept = torch.nonzero(stays).squeeze(1)
            become(learner, {name: rows[:, kept] for name, rows in tables.items()}, kept, 0)


def become(learner: Learner, tables: dict[str, Tensor], columns: Tensor, more: int) -> None:
    """Give a learner tables of another width: these columns of the old ones, and `more`."""
    for name, rows in tables.items():
        getattr(learner.encoder, name).replace(rows)
    learner.encoder.width = learner.encoder.out = len(columns) + more
    learner.objective.keep(columns, more)
    # Moments and kept fits are of the old width.
    learner.fits.moments, learner.fits.ahead.held = {}, {}
