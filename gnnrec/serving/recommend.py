"""The list that a run's newest model gives one user, in original ids."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gnnrec.core.errors import GnnrecError, one_line
from gnnrec.data.types import Stream
from gnnrec.evaluation.ranking import tie_order, top_items
from gnnrec.learner import Learner
from gnnrec.runs import saved
from gnnrec.scorers.model import Scorer


def recommend(folder: Path, user: str, k: int, scorer: str, allow: Sequence[str] = ()) -> str:
    """Return the k best items for `user` as text: rank, id, title where there is one, score.

    A user without an absorbed event gets the list of a user nobody knows, and is told so.

    Args:
        folder: of one run.
        user: external id.
        k: length of the list.
        scorer: "model" or "blend".
        allow: prefixes of plug-ins that the run may import.
    """
    if k < 1:
        raise GnnrecError(f"-k must be at least 1, got {k}")
    runs = saved.find(folder)
    if len(runs) > 1:
        names = ", ".join(r.folder.name for r in runs)
        raise GnnrecError(f"{folder} holds {len(runs)} runs; name the folder of one: {names}")
    scene = saved.scene_of(runs[0], allow)
    learner, stream = saved.newest_learner(runs[0], scene), scene.setting.stream
    rows, known = best_items(learner, stream, user, k, scorer)
    lines = [] if known else [f"user '{one_line(user)}' is not known to this run; the list is by popularity"]
    for rank, (identifier, title, score) in enumerate(rows, 1):
        lines.append("\t".join([str(rank), one_line(identifier), one_line(title), f"{score:.4f}"]))
    return "\n".join(lines)


def best_items(
    learner: Learner, stream: Stream, user: str, k: int, scorer: str
) -> tuple[list[tuple[str, str, float]], bool]:
    """Return (id, title, score) of the k best items for a user, best first, and whether the model knows the user."""
    ranked: Scorer = learner.blend_scorer() if scorer == "blend" else learner.scorer()
    number, known = _number(stream, user, learner.seen.num_users)
    assert ranked.scores is not None
    scores = ranked.scores(np.array([number]), learner.seen.num_items)
    seen = learner.measure.masked(learner.seen, np.array([number]))
    top = top_items(scores, min(k, learner.seen.num_items), tie_order(learner.seed, learner.seen.num_items), seen)[0]
    items = [(str(stream.items[i]), float(scores[0, i])) for i in top if i >= 0]
    return [(i, stream.titles.get(i, ""), score) for i, score in items], known


def _number(stream: Stream, user: str, known: int) -> tuple[int, bool]:
    """Return the user's row number and whether the model knows it."""
    found = np.flatnonzero(stream.users[:known] == user)
    return (int(found[0]), True) if len(found) else (known, False)
