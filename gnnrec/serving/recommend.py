"""The lists that a model gives users, in original ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gnnrec.core.errors import GnnrecError, one_line
from gnnrec.data.types import Floats, Ints, Texts
from gnnrec.evaluation.ranking import tie_order
from gnnrec.learner import Learner
from gnnrec.scorers.model import Scorer
from gnnrec.serving.lists import UserLists
from gnnrec.serving.rank import best

SHOWN = 3
"""Strangers that a note names."""


class Catalogue(Protocol):
    """Names of what a model has numbered."""

    @property
    def users(self) -> Sequence[str] | Texts:
        """External ids in order of number."""
        ...

    @property
    def items(self) -> Sequence[str] | Texts:
        """External ids in order of number."""
        ...

    @property
    def titles(self) -> Mapping[str, str]:
        """Of items, by external id."""
        ...


def check_length(k: int) -> None:
    """Refuse lists without an item."""
    if k < 1:
        raise GnnrecError(f"-k must be at least 1, got {k}")


def lists(learner: Learner, names: Catalogue, users: Sequence[str] | None, k: int, scorer: str) -> UserLists:
    """Return the k best items that each user, or every user that the learner knows, has not taken, best first.

    A user without an absorbed event gets the list of a user nobody knows, and is told so.

    Args:
        learner: the model.
        names: of its users and items.
        users: external ids; None: every user that the model knows.
        k: length of a list.
        scorer: "model" or "blend".
    """
    asked = list(dict.fromkeys(map(str, names.users[: learner.seen.num_users]) if users is None else users))
    ranked: Scorer = learner.blend_scorer() if scorer == "blend" else learner.serving()
    number = _numbers(names, asked, learner.seen.num_users)
    rows = _rows(asked, number, *_ranked(ranked, learner, number, k), names, f"{scorer}_score", learner)
    return UserLists(rows, _strangers(asked, number == learner.seen.num_users))


def _numbers(names: Catalogue, users: Sequence[str], known: int) -> Ints:
    """Return each user's row number, [n]; `known`, the first that no user has, where the model does not know the user."""
    at = {str(user): number for number, user in enumerate(names.users[:known])}
    return np.array([at.get(user, known) for user in users], np.int64)


def _ranked(ranked: Scorer, learner: Learner, number: Ints, k: int) -> tuple[Ints, Floats]:
    """Return items and scores, [n, k] each, a block of users at a time; item −1 where there are fewer than k."""
    items = learner.seen.num_items
    order, blocks = tie_order(learner.seed, items), learner.measure.starts(len(number), items)
    parts = []
    for start in blocks:
        block = number[start : start + blocks.step]
        parts.append(best(ranked, block, k, order, learner.measure.masked(learner.seen, block)))
    found, score = zip(*parts, strict=True)
    return np.concatenate(found), np.concatenate(score)


def _rows(
    users: Sequence[str],
    number: Ints,
    items: Ints,
    scores: Floats,
    names: Catalogue,
    name: str,
    learner: Learner,
) -> pl.DataFrame:
    row, rank = np.nonzero(items >= 0)
    item = np.asarray(names.items, object)[items[row, rank]]
    columns = {
        "user": pl.Series(np.array(users, object)[row], dtype=pl.String),
        "rank": pl.Series(rank + 1, dtype=pl.Int64),
        "item": pl.Series([str(i) for i in item], dtype=pl.String),
        "title": pl.Series([names.titles.get(str(i), "") for i in item], dtype=pl.String),
        name: pl.Series(scores[row, rank], dtype=pl.Float64),
        "known": pl.Series((number < learner.seen.num_users)[row], dtype=pl.Boolean),
    }
    return pl.DataFrame(columns)


def _strangers(users: Sequence[str], strange: NDArray[np.bool_]) -> tuple[str, ...]:
    """Return the note that names users whom the model does not know."""
    names = [one_line(u) for u, odd in zip(users, strange, strict=True) if odd]
    if not names:
        return ()
    if len(names) == 1:
        return (f"user '{names[0]}' is not known to this run; the list is by popularity",)
    shown = ", ".join(f"'{n}'" for n in names[:SHOWN])
    more = ", …" if len(names) > SHOWN else ""
    return (
        f"{len(names):,} of {len(users):,} users are not known to this run ({shown}{more}); their lists are by popularity",
    )
