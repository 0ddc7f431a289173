"""Reference rows: scorers that train nothing, so that a table shows what training adds.

Letters: n users or pairs, i items.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gnnrec.counters.counters import Counters
from gnnrec.data.types import Floats, Interactions, Ints, Stream
from gnnrec.objectives.bias import Biases, BiasTerms, ridge
from gnnrec.scorers.block import Ingredient, own
from gnnrec.scorers.model import silent, to_width


class PopularityScorer:
    """The same counts for everybody.

    Args:
        counts: [i] all-time or decayed popularity.
    """

    def __init__(self, counts: Floats) -> None:
        self.counts = torch.from_numpy(counts).float()

    def scores(self, user: Ints, num_items: int) -> Tensor:
        """Return [n, num_items]."""
        return to_width(self.counts[None], num_items).repeat(len(user), 1)

    def predict(self, user: Ints, item: Ints) -> None:
        """Predict nothing."""


class ItemKNNScorer:
    """Co-occurrence; users without an absorbed event, or none that says anything, get a counter.

    Args:
        counters: counts of what has been absorbed.
        fallback: that counter, [i]; None: all-time popularity.
    """

    def __init__(self, counters: Counters, fallback: Floats | None = None) -> None:
        self.counters = counters
        self.fallback = PopularityScorer(counters.popularity.total if fallback is None else fallback)

    def scores(self, user: Ints, num_items: int) -> Tensor:
        """Return [n, num_items]."""
        return self.mixed(Ingredient.alone(user, num_items))

    def mixed(self, part: Ingredient) -> Tensor:
        """Return the scores of a part of a block, [m, i]."""
        result = own(part.beside(self.counters.companion))
        unknown = silent(result[:, : self.counters.num_items])  # candidates beyond lie just below
        result[unknown] = self.fallback.scores(part.user[unknown.numpy()], part.num_items)
        return result

    def predict(self, user: Ints, item: Ints) -> None:
        """Predict nothing."""


class BiasPredictor:
    """μ + b_u + b_i by ridge regression on all absorbed events; ranks nothing.

    Args:
        absorbed: the events.
        num_users, num_items: known nodes.
        shrinkage: of the ridge.
    """

    scores = None

    def __init__(self, absorbed: Interactions, num_users: int, num_items: int, shrinkage: float = 3.0) -> None:
        nothing = Biases(0.0, np.zeros(num_users), np.zeros(num_items))
        self.biases = ridge(absorbed, nothing, shrinkage)

    def predict(self, user: Ints, item: Ints) -> Floats:
        """Return [n]; every user and item must be known."""
        return np.asarray(self.biases.mean + self.biases.user[user] + self.biases.item[item])


class RecentBiasPredictor:
    """μ + b_u + b_i with the memory that a model's biases have; ranks nothing.

    Args:
        biases: that absorbed what the row absorbed, in the order in which a model does.
    """

    scores = None

    def __init__(self, biases: BiasTerms) -> None:
        self.biases = biases

    def predict(self, user: Ints, item: Ints) -> Floats:
        """Return [n]; every user and item must be known."""
        result: Floats = self.biases.partial(user, item).double().numpy()
        return result


class MeanPredictor:
    """The mean of all absorbed values; ranks nothing.

    Args:
        absorbed: the events.
    """

    scores = None

    def __init__(self, absorbed: Interactions) -> None:
        self.mean = float(absorbed.value.mean()) if len(absorbed) else 0.0

    def predict(self, user: Ints, item: Ints) -> Floats:
        """Return [n]."""
        return np.full(len(user), self.mean)


class OracleScorer:
    """The truth of a simulated world at one moment: the ceiling of every row.

    Args:
        stream: with an oracle.
        time: when to ask it.
    """

    def __init__(self, stream: Stream, time: float) -> None:
        assert stream.oracle is not None
        self.stream, self.oracle, self.time = stream, stream.oracle, time

    def scores(self, user: Ints, num_items: int) -> Tensor:
        """Return [n, num_items]."""
        found = self.oracle.scores(self.stream.users[user], self.time, self.stream.items[:num_items])
        return torch.from_numpy(np.ascontiguousarray(found, dtype=np.float32))

    def predict(self, user: Ints, item: Ints) -> Floats:
        """Return [n]."""
        return self.oracle.value(self.stream.users[user], self.stream.items[item], self.time)
