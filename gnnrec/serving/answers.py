"""What one bundle answers, in memory: nothing in it changes, so any number of threads may ask.

Letters: i items, k length of a list.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from gnnrec.core.errors import GnnrecError
from gnnrec.data.types import Floats, Ints
from gnnrec.evaluation.ranking import tie_order
from gnnrec.serving.bundle import Bundle
from gnnrec.serving.manifest import LISTS
from gnnrec.serving.rank import best
from gnnrec.serving.tables import fold

PROBED = 3
"""Users whose lists a new bundle must give."""


@dataclass(frozen=True, slots=True)
class RankedItem:
    """An item in a list.

    Attributes:
        item: external id.
        title: "" where there is none.
        score: by which lists are in order; comparable within a list alone.
    """

    item: str
    title: str
    score: float


class NotThereError(GnnrecError):
    """The model does not know what was asked about."""


class Answers:
    """What one bundle answers.

    Args:
        bundle: in memory.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle, self.tables = bundle, bundle.tables()
        self._user = {name: row for row, name in enumerate(bundle.users)}
        self._item = {name: row for row, name in enumerate(bundle.items)}
        self._order = tie_order(bundle.manifest.seed, len(bundle.items))
        self._scorer = self.tables.scorer()
        self._direction = F.normalize(self.tables.factors.item, dim=1)

    def recommend(self, user: str, k: int) -> tuple[list[RankedItem], bool]:
        """Return a user's list, and whether the model knows the user; else it is the list of somebody nobody knows."""
        row = self._user.get(user, len(self._user))
        known = row < len(self._user)
        if self.bundle.manifest.form == LISTS:
            items, scores = (self.bundle.tensors[n][row, :k].numpy() for n in ("list_items", "list_scores"))
            return self._named(items, scores.astype(np.float64)), known
        at = np.array([row])
        nothing = np.empty(0, np.int64), np.empty(0, np.int64)
        masked = self.tables.taken.masked(at) if self.bundle.manifest.mask == "absorbed" else nothing
        items, scores = best(self._scorer, at, k, self._order, masked)
        return self._named(items[0], scores[0]), known

    def similar(self, item: str, k: int) -> list[RankedItem]:
        """Return the items whose vectors point where an item's does, by cosine.

        Raises:
            NotThereError: the model does not know the item.
        """
        if (row := self._item.get(item)) is None:
            raise NotThereError("the model does not know this item: no event of it has been learnt")
        near = self._direction @ self._direction[row]
        near[row] = -torch.inf
        found = near.topk(min(k, len(near) - 1))
        return self._named(found.indices.numpy(), found.values.double().numpy())

    def fold_in(self, items: Sequence[str], k: int) -> tuple[list[RankedItem], list[str]]:
        """Return the list of somebody who has taken these items and is in no table, and which of them the model does not know.

        Raises:
            NotThereError: it knows none of them.
            GnnrecError: the bundle holds lists that were computed beforehand.
        """
        if self.bundle.manifest.form == LISTS:
            raise GnnrecError(f"this model folds nobody in: {self.bundle.manifest.why}")
        names = list(dict.fromkeys(items))
        strange = [n for n in names if n not in self._item]
        if len(strange) == len(names):
            raise NotThereError("the model knows none of these items: no event of them has been learnt")
        taken = np.array([self._item[n] for n in names if n in self._item])
        said = self.bundle.manifest
        vector = fold(self.tables.factors, taken, said.ridge, said.scale)
        masked = np.zeros(len(taken), np.int64), taken
        if said.mask != "absorbed":
            masked = np.empty(0, np.int64), np.empty(0, np.int64)
        found, scores = best(self.tables.scorer_of(vector, taken), np.array([0]), k, self._order, masked)
        return self._named(found[0], scores[0]), strange

    def probe(self) -> None:
        """Ask for a few lists.

        Raises:
            GnnrecError: scores are not finite, or a stranger's list is empty.
        """
        for row in np.unique(np.linspace(0, max(len(self._user) - 1, 0), PROBED).astype(np.int64)):
            found = self.recommend(self.bundle.users[row], 10)[0] if self._user else []
            if not all(np.isfinite(r.score) for r in found):
                raise GnnrecError("scores are not finite")
        if self._item and not self.recommend("", 10)[0]:
            raise GnnrecError("a stranger's list is empty")

    def _named(self, items: Ints, scores: Floats) -> list[RankedItem]:
        ids, titles = self.bundle.items, self.bundle.titles
        pairs = zip(items.tolist(), scores.tolist(), strict=True)
        return [RankedItem(ids[i], titles[i], s) for i, s in pairs if i >= 0]
