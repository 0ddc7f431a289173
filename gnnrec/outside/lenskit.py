"""Scorers of the library LensKit (Ekstrand, CIKM 2020) in its top-n pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gnnrec.core.errors import GnnrecError, one_line
from gnnrec.data.types import Ints
from gnnrec.outside.base import Released
from gnnrec.outside.pairs import library, named

INSTALL = "pip install lenskit (it needs pandas below 3)"


class LensKitModel:
    """Any scorer of LensKit 2025, fitted anew at each increment on distinct pairs.

    Its pipeline leaves out what a user has taken: under `evaluation.mask=none` its lists lack repeats.

    Args:
        model: dotted path behind `lenskit.`, such as als.ImplicitMFScorer, knn.ItemKNNScorer or knn.ease.EASEScorer.
        options: settings of the scorer.
        seed: of training.
    """

    def __init__(
        self, model: str = "als.ImplicitMFScorer", options: Mapping[str, Any] | None = None, seed: int = 0
    ) -> None:
        self._class, self._options, self._seed = named(f"lenskit.{model}", INSTALL), dict(options or {}), seed
        self._data, self._batch = library("lenskit.data", INSTALL), library("lenskit.batch", INSTALL)
        self._pipelines, self._training = (library(f"lenskit.{name}", INSTALL) for name in ("pipeline", "training"))
        self._pandas, self._pipeline = library("pandas", INSTALL), self._made()

    def _made(self) -> Any:
        try:
            return self._pipelines.topn_pipeline(self._class(**self._options))
        except (TypeError, ValueError) as error:
            raise GnnrecError(f"{self._class.__name__} does not take these options: {one_line(str(error))}") from error

    def fit(self, observed: Released) -> None:
        """Fit a new pipeline on all pairs."""
        pairs = np.unique(np.stack([observed.events.user, observed.events.item], 1), axis=0)
        frame = self._pandas.DataFrame({"user_id": pairs[:, 0], "item_id": pairs[:, 1]})
        self._pipeline = self._made()
        log = self._data.from_interactions_df(frame)
        self._pipeline.train(log, self._training.TrainingOptions(rng=self._seed))

    def recommend(self, users: Ints, k: int) -> Ints:
        """Return its lists [n, k]; what users have taken is not in them."""
        made = self._batch.recommend(self._pipeline, users.tolist(), n=k, n_jobs=1)
        found = np.full((len(users), k), -1, np.int64)
        place = {int(user): n for n, user in enumerate(users)}
        for key, items in made:
            ids = items.ids()
            found[place[int(key.user_id)], : len(ids)] = ids
        return found
