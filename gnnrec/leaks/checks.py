"""The checks: each plays a model on the log and on a twin of it, and says in a sentence what came out.

Letters: p planted pairs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gnnrec.core.errors import one_line
from gnnrec.data.types import Floats, Interactions, Stream
from gnnrec.leaks.plays import Play, Track
from gnnrec.leaks.prints import differing
from gnnrec.leaks.twins import Twins
from gnnrec.outside.base import UnknownItemsError

NEAR_TIES = 0.01
"""Share of scores that may differ by who is asked for together; they do by rounding."""
SHOWN = 3
"""Differing parts that a sentence names."""
ERRORS = 3.0
"""Standard errors that planted pairs must have risen by to be called found; under no leak nothing moves at all."""
BEYOND = 2
"""Increments behind t for which test slices of the past are followed."""
GAIN = 0.02
"""Places, of all items, that they must have risen by at the least, in the mean."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found.

    Attributes:
        check: its name.
        verdict: "ok", "LEAK", or "n/a" where it cannot be told.
        text: a sentence, with numbers.
    """

    check: str
    verdict: str
    text: str


def check(play: Play, logs: Twins, asked: Play | None = None, unselected: Play | None = None) -> list[Finding]:
    """Return what every check finds, in order.

    Args:
        play: of the model.
        logs: what it is played on.
        asked: the same, asked first for those who come next; None: not checked.
        unselected: the same with nothing selected on valid, which shows what is fitted on; None: there is no such thing.
    """
    true = _repeated(play, logs)
    if isinstance(true, Finding):
        return [true]
    later = _same("future_events", FUTURE, play, true, logs.later, logs.t)
    newcomers = _same("future_ids", IDS, play, true, logs.newcomers, logs.t)
    steady = true if unselected is None else unselected(logs.true, logs.t)
    planted = _planted(unselected or play, logs, steady)
    found = [
        Finding("repeatable", "ok", "two runs on the same log are the same, bit by bit"),
        later,
        _held_out(play, logs, true),
        planted,
        newcomers,
        _chosen(play, logs, true, later, planted),
    ]
    found += [_asked(asked, logs, true)] if asked else []
    return found + ([_valid(unselected, logs, steady)] if unselected else [])


FUTURE = "when all later events become noise"
IDS = "when users and items that arrive later get other ids and numbers"


def _repeated(play: Play, logs: Twins) -> Track | Finding:
    """Return the track on the true log, or what keeps it from being compared."""
    try:
        first, second = play(logs.true, _last(logs)), play(logs.true, logs.t)
    except UnknownItemsError as error:
        return Finding("future_ids", "LEAK", f"{one_line(str(error))}")
    if odd := _differences(first, second, logs.t):
        return Finding(
            "repeatable",
            "n/a",
            f"two runs on the same log differ ({_some(odd)}): seed every choice, or nothing can be told",
        )
    return first


def _played(play: Play, stream: Stream, t: int) -> Track | str:
    """Return the track on a twin, or how it failed where it did not on the true log."""
    try:
        return play(stream, t)
    except Exception as error:
        return f"{type(error).__name__}: {one_line(str(error))}"


def _differences(one: Track, other: Track, t: int) -> list[str]:
    return [f"t={n} {name}" for n in range(1, t + 1) for name in differing(one.prints[n], other.prints[n])] + [
        f"t=0 {name}" for name in differing(one.prints.get(0, {}), other.prints.get(0, {}))
    ]


def _same(name: str, when: str, play: Play, true: Track, stream: Stream | None, t: int) -> Finding:
    """Find whether everything up to t is the same on a twin."""
    if stream is None:
        return Finding(name, "n/a", f"nothing {when}: the log has no such rows")
    other = _played(play, stream, t)
    if isinstance(other, str):
        return Finding(name, "LEAK", f"the model fails at t <= {t} {when}: {other}")
    if odd := _differences(true, other, t):
        return Finding(name, "LEAK", f"what serves at t <= {t} changes {when}: {_some(odd)}{_lists(true, other, t)}")
    return Finding(name, "ok", f"bit-identical up to t={t} {when}")


def _last(logs: Twins) -> int:
    return min(len(logs.true.increments) - 1, logs.t + BEYOND)


def _held_out(play: Play, logs: Twins, true: Track) -> Finding:
    when = "when the test slices become noise"
    if logs.held_out is None:
        return Finding("test_slices", "n/a", "the stream has no test slices")
    return _same("test_slices", when, play, true, logs.held_out, _last(logs))


def _planted(play: Play, logs: Twins, true: Track) -> Finding:
    """Find whether pairs that are only in what is held out rank higher with them there than without."""
    name = "fitted_on_future"
    other = _played(play, logs.planted, logs.t)
    if isinstance(other, str):
        return Finding(name, "LEAK", f"the model fails where pairs are planted in later events: {other}")
    before, after = (_places(track, logs.pairs, logs.t) for track in (true, other))
    gain = after - before
    error = float(gain.std(ddof=1)) / math.sqrt(len(gain)) if len(gain) > 1 else math.inf
    how = (
        f"of {len(gain)} pairs planted in later events, the mean place among all items is {before.mean():.3f} without and "
        f"{after.mean():.3f} with them (1: the top)"
    )
    found = gain.mean() > max(GAIN, ERRORS * error)
    return Finding(
        name, "LEAK" if found else "ok", ("edges of the future are fitted or in the graph: " if found else "") + how
    )


def _places(track: Track, pairs: Interactions, t: int) -> Floats:
    """Return the share of items that score below each pair's, ties half, [p]."""
    scores = track.scores[t][pairs.user]
    own = scores[np.arange(len(pairs)), pairs.item][:, None]
    places: Floats = ((scores < own).sum(1) + 0.5 * ((scores == own).sum(1) - 1)) / max(1, scores.shape[1] - 1)
    return places


def _chosen(play: Play, logs: Twins, true: Track, later: Finding, planted: Finding) -> Finding:
    """Name what is left: the future counts among known nodes, and yet no edge of it was learnt."""
    name = "chosen_on_future"
    if planted.verdict == "LEAK":
        return Finding(name, "n/a", "cannot be told beside edges of the future that are fitted")
    if later.verdict != "LEAK":
        return Finding(name, "ok", "nothing is chosen by later events")
    other = _played(play, logs.planted, logs.t)
    odd = ["fails"] if isinstance(other, str) else _differences(true, other, logs.t)
    if not odd:
        return Finding(name, "ok", "other later events of known users and items change nothing")
    return Finding(
        name,
        "LEAK",
        f"other later events of known users and items change what serves, but are not learnt ({_some(odd)}): an epoch, a "
        "setting or a model is chosen by them",
    )


def _asked(play: Play, logs: Twins, true: Track) -> Finding:
    """Find whether lists depend on who was asked for before, or on who is asked for together: an evaluator asks for some."""
    name, when = "who_is_asked", "when those who come next are asked for first"
    other = _played(play, logs.true, logs.t)
    if isinstance(other, str):
        return Finding(name, "LEAK", f"the model fails {when}: {other}")
    if odd := _differences(true, other, logs.t):
        return Finding(
            name, "LEAK", f"what serves at t <= {logs.t} changes {when}: {_some(odd)}{_lists(true, other, logs.t)}"
        )
    for t, (users, alone) in other.first.items():
        # Sums of floats depend on how many rows there are, and near ties on these sums.
        changed = ~np.isclose(alone, true.scores[t][users], rtol=1e-4, atol=1e-6)
        if len(users) and changed.mean() > NEAR_TIES:
            odd.append(f"t={t} {int(changed.any(1).sum())} of {len(users)} users")
    if odd:
        return Finding(name, "LEAK", f"those who come next have other lists by themselves than among all: {_some(odd)}")
    return Finding(name, "ok", f"the same up to t={logs.t} {when}, and by themselves")


def _valid(play: Play, logs: Twins, one: Track) -> Finding:
    """Find whether tables of nodes known before differ by valid events, where nothing is selected on these."""
    name, t = "fitted_on_valid", logs.t
    if logs.valid is None:
        return Finding(name, "n/a", f"increment {t} has too few valid events of known users and items")
    if not any(one.prints[t].get(f"encoder.{side}.weight") for side in ("user", "item")):
        return Finding(name, "n/a", "the encoder keeps no rows of nodes")
    other = _played(play, logs.valid, t)
    if isinstance(other, str):
        return Finding(name, "LEAK", f"the model fails where valid has other pairs: {other}")
    before, now = (logs.true.increments[n].observed for n in (t - 1, t))
    nodes = {"user": (before.num_users, now.num_users), "item": (before.num_items, now.num_items)}
    odd = []
    for side, (known, all_now) in nodes.items():
        key = f"encoder.{side}.weight"
        rows = (track.prints[t].get(key, b"") for track in (one, other))
        if len({table[: len(table) // all_now * known] for table in rows}) > 1:
            odd.append(f"t={t} {key}")
    if odd:
        return Finding(
            name, "LEAK", f"rows of known nodes differ by pairs of valid, though nothing is selected: {_some(odd)}"
        )
    return Finding(name, "ok", "with nothing selected, other pairs in valid change no row of a known node")


def _lists(one: Track, other: Track, t: int) -> str:
    """Return for how many users the best ten items differ at t."""
    a, b = one.scores[t], other.scores[t]
    users, items = min(len(a), len(b)), min(a.shape[1], b.shape[1])
    best = [np.argsort(-x[:users, :items], axis=1, kind="stable")[:, :10] for x in (a, b)]
    changed = int((np.sort(best[0]) != np.sort(best[1])).any(1).sum())
    return f"; the best 10 of {changed} of {users} users differ"


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def leaky(found: list[Finding]) -> bool:
    """Return whether there is a leak, or it could not be told at all."""
    return any(f.verdict == "LEAK" or (f.check == "repeatable" and f.verdict != "ok") for f in found)
