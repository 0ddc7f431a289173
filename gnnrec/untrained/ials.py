"""iALS: implicit feedback matrix factorisation by alternating least squares, from the library `implicit`.

Letters: n users asked for, u users, i items, d factors.
"""

from __future__ import annotations

import copy
import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from gnnrec.core.errors import GnnrecError
from gnnrec.core.seeds import derive
from gnnrec.data.types import Interactions, Ints
from gnnrec.untrained.base import Untrained


class IALS(Untrained):
    """s_u = Y x_u, of min Σ c_ui (p_ui − x_uᵀy_i)² + λ(Σ‖x_u‖² + Σ‖y_i‖²), c = alpha where p = 1, 1 elsewhere.

    Hu, Koren & Volinsky, ICDM 2008, as `implicit` solves it (conjugate gradients, Takács et al., RecSys 2011). Between full
    fits, the items and then the users of new events are folded in: one exact least-squares step each against the other
    side as it stands, which costs their events. A full fit follows once events of `refit` times those of the last fit have
    come, and after every deletion, which no fold-in undoes.

    Departure: λ is one number for all, not scaled by the number of events.

    Args:
        factors: d.
        l2: λ.
        alpha: confidence in a pair that was absorbed.
        iterations: sweeps of a full fit.
        refit: share of the fitted events that may arrive before the next full fit; 0: always fit.
        seed: of the first factors.
    """

    def __init__(
        self,
        factors: int = 64,
        l2: float = 0.01,
        alpha: float = 10.0,
        iterations: int = 15,
        refit: float = 0.1,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if factors < 1 or iterations < 1:
            raise GnnrecError(f"ials: factors={factors} and iterations={iterations} must be 1 or more")
        if l2 <= 0 or refit < 0:
            raise GnnrecError(f"ials: l2={l2} must be above 0, refit={refit} 0 or more")
        self.factors, self.l2, self.alpha, self.iterations = factors, l2, alpha, iterations
        self.refit, self.seed = refit, seed
        self._als, self._blas = _library()
        self._model: Any = None
        self._fitted = 0
        self._new: list[Interactions] = []

    def take_in(self, events: Interactions) -> None:
        """Note what is to be fitted or folded in."""
        self._new.append(events)

    def take_out(self, events: Interactions) -> None:
        """Let the next ranking fit anew."""
        self._model = None

    def cold(self) -> IALS:
        """Return a copy that folds nothing in: every change is a full fit."""
        twin = copy.deepcopy(self)
        twin.refit = 0.0
        return twin

    def settle(self) -> None:
        """Fit, or fold in, what has come since the last time."""
        arrived, (new, self._new) = bool(self._new), (Interactions.concat(self._new), [])
        if not (total := int(self.popularity.sum())):
            return
        # BLAS with threads of its own would fight with the solver's, and add in another order.
        with self._blas(1, "blas"):
            if self._model is None or (arrived and total - self._fitted >= self.refit * self._fitted):
                self._model, self._fitted = self._fit(), total
            elif len(new):
                self._fold(new)

    def _fit(self) -> Any:
        settings = {"factors": self.factors, "regularization": self.l2, "alpha": self.alpha}
        chance = derive(self.seed, "ials") % 2**32
        model = self._als(**settings, iterations=self.iterations, num_threads=1, random_state=chance)
        model.fit(self._pairs(), show_progress=False)
        return model

    def _fold(self, new: Interactions) -> None:
        x = self._pairs()
        model, users, items = self._model, np.unique(new.user), np.unique(new.item)
        grown = np.zeros((self.num_users, self.factors), np.float32)
        grown[: len(model.user_factors)] = model.user_factors
        model.user_factors = grown
        model.partial_fit_items(items, x.T.tocsr()[items])
        model.partial_fit_users(users, x[users])

    def _pairs(self) -> sparse.csr_matrix:
        """Return the distinct pairs absorbed, [u, i], ones."""
        events = Interactions.concat(list(self._log))
        ones = np.ones(len(events), np.float32)
        x = sparse.csr_matrix((ones, (events.user, events.item)), shape=(self.num_users, self.num_items))
        x.data[:] = 1
        return x

    def rank(self, user: Ints) -> NDArray[np.float32]:
        """Return [n, i]; an item without a factor yet scores 0."""
        self.settle()
        found = np.zeros((len(user), self.num_items), np.float32)
        item = self._model.item_factors
        found[:, : len(item)] = self._model.user_factors[user] @ item.T
        return found

    @property
    def nbytes(self) -> int:
        """Bytes of the factors."""
        return 4 * self.factors * (self.num_users + self.num_items)


def _library() -> tuple[Any, Any]:
    """Return the solver of `implicit`, and what holds BLAS to a number of threads."""
    try:
        solver = importlib.import_module("implicit.cpu.als").AlternatingLeastSquares
        limits = importlib.import_module("threadpoolctl").threadpool_limits
    except ImportError as error:
        raise GnnrecError(
            "ials needs the library implicit, which is not here: pip install 'gnnrec[baselines]'"
        ) from error

    def quiet(**settings: Any) -> Any:
        with limits(1, "blas"):  # its constructor warns of threads that are held back later
            return solver(**settings)

    return quiet, limits
