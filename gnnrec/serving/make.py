"""A learner made into a bundle: on demand from tables where these give its scores, else with lists computed beforehand.

Letters: n users, u users, i items, K items of a list at most.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import torch
from torch import Tensor

from gnnrec import __version__
from gnnrec.data.types import Floats, Ints
from gnnrec.encoders.policies import FoldIn
from gnnrec.evaluation.ranking import tie_order
from gnnrec.learner import Learner
from gnnrec.objectives.base import Factors
from gnnrec.scorers.model import Scorer
from gnnrec.serving.bundle import Bundle
from gnnrec.serving.manifest import LISTS, LONGEST, PRODUCTS, Manifest, Origin
from gnnrec.serving.rank import best
from gnnrec.serving.tables import Tables, Taken

SAMPLE = 24
"""Users by whom tables are compared with the scorer that they stand for."""
SAME = 1e-4
"""Scores agree where they differ by less than this share of the range of a user's scores."""
RIDGE = 25.0
"""λ of the vector of somebody who is in no table, in mean square lengths of items' vectors: that of strategy=fold_in."""
SCALED_BY = 256
"""Users whose vectors say how long a folded-in one is."""


@dataclass(frozen=True, slots=True)
class Served:
    """A model that serves, with the names of what it ranks.

    Attributes:
        learner: the model.
        users, items: external ids in order of number, of all that the model knows at least.
        titles: item id -> title.
        scorer: "blend" or "model".
        origin: what it was made from.
    """

    learner: Learner
    users: Sequence[str]
    items: Sequence[str]
    titles: Mapping[str, str]
    scorer: str
    origin: Origin

    def ranked(self) -> Scorer:
        """Return what serves."""
        return self.learner.blend_scorer() if self.scorer == "blend" else self.learner.serving()


@torch.no_grad()
def made_of(served: Served) -> Bundle:
    """Return a model as a bundle."""
    learner = served.learner
    tables, ranked = _tables(served), served.ranked()
    why = _differs(tables, ranked)
    seen = learner.seen
    items = list(served.items[: seen.num_items])
    found: dict[str, Tensor] = _tensors(tables)
    if why:
        found |= _lists(learner, ranked)
    factors, ridge = tables.factors, FoldIn(0, RIDGE)
    manifest = Manifest(
        origin=served.origin,
        made=datetime.now(UTC).isoformat(timespec="milliseconds"),
        form=LISTS if why else PRODUCTS,
        why=why,
        scorer=served.scorer,
        weights=None if tables.weights is None or why else tables.weights.as_dict(),
        users=seen.num_users,
        items=seen.num_items,
        width=factors.user.shape[1],
        length=factors.length,
        longest=LONGEST,
        seed=learner.seed,
        mask=learner.measure.mask,
        ridge=float(ridge.base(factors.item)[0, 0]) if len(factors.item) else 1.0,
        scale=_scale(factors, learner, ridge),
        gnnrec=__version__,
    )
    taken = tables.taken.rows
    return Bundle(
        manifest,
        list(served.users[: seen.num_users]),
        items,
        [served.titles.get(i, "") for i in items],
        torch.from_numpy(learner.counters.popularity.total.astype(np.int64)),
        found,
        {"start": torch.from_numpy(taken.indptr.astype(np.int64)), "item": torch.from_numpy(taken.indices)},
    )


def _tables(served: Served) -> Tables:
    learner, blended = served.learner, served.scorer == "blend"
    popularity, weights = learner.counters.popularity, learner.blend.weights
    user, item = learner.seen.edges()
    start = np.searchsorted(user, np.arange(learner.seen.num_users + 1))
    f = learner.objective.factors(learner.embed())
    vectors = [x.detach().cpu().float().contiguous() for x in (f.user, f.item, f.user_bias, f.item_bias)]
    return Tables(
        Factors(vectors[0], vectors[1], vectors[2], vectors[3], f.length),
        popularity.at(learner.blend.half_life),
        popularity.at(weights.half_life if weights.beta else math.inf) if blended else None,
        weights if blended else None,
        Taken.of(start, item, learner.seen.num_items),
    )


def _tensors(tables: Tables) -> dict[str, Tensor]:
    f = tables.factors
    found = {"user": f.user, "item": f.item, "user_bias": f.user_bias, "item_bias": f.item_bias}
    counts = {"counts": tables.counts} | ({} if tables.recent is None else {"recent": tables.recent})
    return found | {name: torch.from_numpy(x) for name, x in counts.items()}


def _scale(factors: Factors, learner: Learner, ridge: FoldIn) -> float:
    if not (len(factors.user) and len(factors.item)):
        return 0.0
    return float(ridge.scale(factors.user, factors.item, learner.seen, True, SCALED_BY))


def _differs(tables: Tables, ranked: Scorer) -> str:
    """Return why tables do not stand for a scorer; "" where they do, for a sample of users and a stranger."""
    users, items = tables.taken.rows.shape
    user = np.unique(np.linspace(0, users, min(SAMPLE, users) + 1).astype(np.int64))
    assert ranked.scores is not None, "what serves ranks"
    real = ranked.scores(user, items).cpu().float()
    stored = tables.scorer().scores
    assert stored is not None
    away, spread = (stored(user, items) - real).abs().amax(1), real.amax(1) - real.amin(1)
    if bool((away <= SAME * spread.clamp(min=1e-6)).all()):
        return ""
    worst = float((away / spread.clamp(min=1e-6)).max())
    return f"its scores are no product of vectors: tables differ by {worst:.1%} of the range of a user's scores"


def _lists(learner: Learner, ranked: Scorer) -> dict[str, Tensor]:
    """Return everybody's list, and that of a stranger, [u + 1, K]."""
    users, items = learner.seen.num_users, learner.seen.num_items
    k, order = min(LONGEST, items), tie_order(learner.seed, items)
    blocks = learner.measure.starts(users + 1, items)
    parts: list[tuple[Ints, Floats]] = []
    for start in blocks:
        user = np.arange(start, min(start + blocks.step, users + 1))
        parts.append(best(ranked, user, k, order, learner.measure.masked(learner.seen, user)))
    listed, score = (np.concatenate(x) for x in zip(*parts, strict=True))
    score[listed < 0] = 0.0
    return {
        "list_items": torch.from_numpy(listed.astype(np.int32)),
        "list_scores": torch.from_numpy(score.astype(np.float32)),
    }
