"""Models of the library `implicit` (Ben Frederickson): ALS, BPR, logistic factors, nearest neighbours."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from gnnrec.core.errors import GnnrecError, one_line
from gnnrec.core.seeds import derive
from gnnrec.data.types import Ints
from gnnrec.outside.base import Released
from gnnrec.outside.pairs import library, matrix, named

INSTALL = "pip install 'gnnrec[baselines]'"


class ImplicitModel:
    """Any class of `implicit` that has `fit(user_items)` and `recommend`, fitted anew at each increment on distinct pairs.

    Args:
        model: dotted path behind `implicit.`, such as cpu.als.AlternatingLeastSquares, cpu.bpr.BayesianPersonalizedRanking
            or nearest_neighbours.BM25Recommender.
        options: keyword arguments of the class.
        seed: of its first factors, where it has such a choice.
    """

    def __init__(
        self,
        model: str = "cpu.als.AlternatingLeastSquares",
        options: Mapping[str, Any] | None = None,
        seed: int = 0,
    ) -> None:
        self._class = named(f"implicit.{model}", INSTALL)
        self._limits = library("threadpoolctl", INSTALL).threadpool_limits
        self._options = {"num_threads": 1, **(options or {})}
        if not model.startswith("nearest_neighbours"):
            self._options = {"random_state": derive(seed, "implicit") % 2**32, **self._options}
        self._model: Any = self._made()
        self._pairs: Any = None

    def _made(self) -> Any:
        try:
            with self._limits(1, "blas"):  # its constructor warns of threads that are held back later
                return self._class(**self._options)
        except TypeError as error:
            raise GnnrecError(f"{self._class.__name__} does not take these options: {one_line(str(error))}") from error

    def fit(self, observed: Released) -> None:
        """Fit a new model on all pairs."""
        self._model, self._pairs = self._made(), matrix(observed)
        with self._limits(1, "blas"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its own matrices, which it converts
            self._model.fit(self._pairs, show_progress=False)

    def recommend(self, users: Ints, k: int) -> Ints:
        """Return its lists [n, k], what users have taken among them."""
        rows = self._pairs[users]
        with self._limits(1, "blas"):
            items, _ = self._model.recommend(users, rows, N=k, filter_already_liked_items=False)
        found: Ints = items.astype("int64")
        return found

    @property
    def nbytes(self) -> int:
        """Bytes of the factors; 0 where the model has none."""
        held = (getattr(self._model, name, None) for name in ("user_factors", "item_factors"))
        return sum(int(x.nbytes) for x in held if x is not None)
