"""The same list for everybody: popularity, and chance."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnrec.core.errors import GnnrecError
from gnnrec.core.seeds import generator
from gnnrec.counters.popularity import Popularity
from gnnrec.data.types import Interactions, Ints
from gnnrec.scorers.model import to_width
from gnnrec.untrained.base import Untrained


class PopularItems(Untrained):
    """score(i) = Σ_{events e on i} 2^(−age(e) / h), age in absorbed events; with no half-life, the number of events.

    An update costs the items and what is new; a deletion costs the history where ages change (a half-life is given).

    Args:
        half_life: h; None, or infinite: all events count alike.
    """

    def __init__(self, half_life: float | None = None) -> None:
        super().__init__()
        if half_life is not None and not half_life > 0:
            raise GnnrecError(f"popularity: half_life={half_life} must be above 0, in absorbed events, or null")
        self.half_life = math.inf if half_life is None else half_life
        self._counts = Popularity((self.half_life,))

    def take_in(self, events: Interactions) -> None:
        """Count."""
        self._counts.absorb(events, self.num_items)

    def take_out(self, events: Interactions) -> None:
        """Count what is left."""
        self._counts.retract(events, self._log)

    def scores(self, user: Ints, num_items: int) -> Tensor:
        """Return [n, num_items], the same for users without an absorbed event too."""
        return to_width(torch.from_numpy(self.rank(user)), num_items)

    def rank(self, user: Ints) -> NDArray[np.float32]:
        """Return the counts, a row for each user."""
        counts = self._counts.at(self.half_life)
        return np.broadcast_to(counts.astype(np.float32), (len(user), self.num_items)).copy()

    @property
    def nbytes(self) -> int:
        """Bytes of the counts."""
        return self._counts.nbytes


class RandomItems(Untrained):
    """A score drawn for each user and item: the floor of every table.

    Args:
        seed: of the draws; a user's scores are the same whenever and beside whomever they are asked for.
    """

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.seed = seed

    def take_in(self, events: Interactions) -> None:
        """Learn nothing."""

    def take_out(self, events: Interactions) -> None:
        """Forget nothing."""

    def scores(self, user: Ints, num_items: int) -> Tensor:
        """Return [n, num_items]; chance for users without an absorbed event too."""
        return to_width(torch.from_numpy(self.rank(user)), num_items)

    def rank(self, user: Ints) -> NDArray[np.float32]:
        """Return [n, i]; the first items of a longer row are those of a shorter one."""
        drawn = [generator(self.seed, f"random items of {u}").random(self.num_items, np.float32) for u in user.tolist()]
        return np.stack(drawn) if drawn else np.zeros((0, self.num_items), np.float32)

    @property
    def nbytes(self) -> int:
        """Nothing is kept."""
        return 0
