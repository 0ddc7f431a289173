"""The lists that a run's newest model gives users, in original ids."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gnnrec.core.errors import GnnrecError, one_line
from gnnrec.data.types import Floats, Ints, Stream
from gnnrec.evaluation.ranking import tie_order, top_items
from gnnrec.learner import Learner
from gnnrec.runs import saved
from gnnrec.scorers.model import Scorer
from gnnrec.serving.lists import UserLists

SHOWN = 3
"""Strangers that a note names."""


def recommend(
    folder: Path,
    users: Sequence[str] | None,
    k: int,
    scorer: str,
    allow: Sequence[str] = (),
    data: Sequence[str] = (),
) -> UserLists:
    """Return the k best items that each user has not taken.

    A user without an absorbed event gets the list of a user nobody knows, and is told so.

    Args:
        folder: of one run.
        users: external ids; None: every user that the model knows.
        k: length of a list.
        scorer: "model" or "blend".
        allow: prefixes of plug-ins that the run may import.
        data: where the log or the store lies now; none: where the run read it.
    """
    if k < 1:
        raise GnnrecError(f"-k must be at least 1, got {k}")
    runs = saved.find(folder)
    if len(runs) > 1:
        names = ", ".join(r.folder.name for r in runs)
        raise GnnrecError(f"{folder} holds {len(runs)} runs; name the folder of one: {names}")
    scene = saved.scene_of(runs[0], allow, data)
    learner, stream = saved.newest_learner(runs[0], scene), scene.setting.stream
    return lists(learner, stream, users, k, scorer)


def lists(learner: Learner, stream: Stream, users: Sequence[str] | None, k: int, scorer: str) -> UserLists:
    """Return the k best items of each user, or of all that the learner knows, best first."""
    asked = list(dict.fromkeys(map(str, stream.users[: learner.seen.num_users]) if users is None else users))
    ranked: Scorer = learner.blend_scorer() if scorer == "blend" else learner.serving()
    number = _numbers(stream, asked, learner.seen.num_users)
    rows = _rows(asked, number, *_ranked(ranked, learner, number, k), stream, f"{scorer}_score", learner)
    return UserLists(rows, _strangers(asked, number == learner.seen.num_users))


def _numbers(stream: Stream, users: Sequence[str], known: int) -> Ints:
    """Return each user's row number, [n]; `known`, the first that no user has, where the model does not know the user."""
    at = {str(user): number for number, user in enumerate(stream.users[:known])}
    return np.array([at.get(user, known) for user in users], np.int64)


def _ranked(ranked: Scorer, learner: Learner, number: Ints, k: int) -> tuple[Ints, Floats]:
    """Return items and scores, [n, k] each, a block of users at a time; item −1 where there are fewer than k."""
    assert ranked.scores is not None
    items = learner.seen.num_items
    order, blocks = tie_order(learner.seed, items), learner.measure.starts(len(number), items)
    found, score = [], []
    for start in blocks:
        block = number[start : start + blocks.step]
        scores = ranked.scores(block, items)
        top = top_items(scores, min(k, items), order, learner.measure.masked(learner.seen, block))
        found.append(top.numpy())
        score.append(scores.cpu().gather(1, top.clamp(min=0)).double().numpy())
    return np.concatenate(found), np.concatenate(score)


def _rows(
    users: Sequence[str],
    number: Ints,
    items: Ints,
    scores: Floats,
    stream: Stream,
    name: str,
    learner: Learner,
) -> pl.DataFrame:
    row, rank = np.nonzero(items >= 0)
    item = stream.items[items[row, rank]]
    columns = {
        "user": pl.Series(np.array(users, object)[row], dtype=pl.String),
        "rank": pl.Series(rank + 1, dtype=pl.Int64),
        "item": pl.Series([str(i) for i in item], dtype=pl.String),
        "title": pl.Series([stream.titles.get(str(i), "") for i in item], dtype=pl.String),
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
