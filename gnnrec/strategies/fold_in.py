"""No training: rows of users with new events are solved for, items stay.

Letters: u users, d width.
"""

from __future__ import annotations

import numpy as np
import torch

from gnnrec.core.errors import GnnrecError
from gnnrec.data.types import Observed
from gnnrec.encoders.policies import FoldIn as Solver
from gnnrec.learner import Learner
from gnnrec.strategies.base import Strategy, needs_rows


class FoldInUsers(Strategy):
    """A user with events in the increment gets x_u = c · (Y_Nᵀ Y_N + w · YᵀY + λI)⁻¹ Y_Nᵀ 1.

    Y are the items' embeddings as they are, Y_N those of all the user has taken; c brings solutions to the size of rows
    (`gnnrec.encoders.policies.FoldIn`, which starts new nodes alike). Users of whom events are taken back are solved for too;
    who is left without any keeps its row. After folding-in of matrix factorisation (Rendle & Schmidt-Thieme, RecSys 2008). New
    items start by the policy `init`. Needs no state.

    Args:
        ridge: λ, in mean square lengths of Y's rows.
        unobserved: w.
        seed: of nothing; it makes no random choice.

    Raises:
        GnnrecError: the encoder keeps no rows, in `update`.
    """

    def __init__(self, ridge: float = 25.0, unobserved: float = 0.0, seed: int = 0) -> None:
        super().__init__(seed)
        self.ridge, self.unobserved = ridge, unobserved
        self.solver = Solver(0, ridge, unobserved)

    def update(self, learner: Learner, new: Observed) -> None:
        """Extend, solve, choose the blend, absorb valid."""
        needs_rows(learner, "fold_in solves for rows")
        if learner.encoder.out != learner.encoder.width:
            raise GnnrecError(
                f"strategy fold_in solves for rows of width {learner.encoder.width} by embeddings of as many columns, and "
                f"{type(learner.encoder).__name__} reads out {learner.encoder.out}; take an encoder such as lightgcn or mf"
            )
        items, rows = learner.snapshot().item.cpu(), learner.encoder.user.weight.detach()
        learner.extend(new)
        user = np.unique(np.concatenate([new.train.user, new.removed.user[new.removed.user < len(rows)]]))
        if len(user) and len(items):
            table = learner.encoder.user.weight.detach().clone()
            at = torch.from_numpy(user)
            table[at] = self.solver.folded(user, table[at], rows, items, learner.seen, of_users=True)
            learner.write(user=table)
        learner.absorb(new)
