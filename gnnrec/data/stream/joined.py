"""Increments that were not taken up when they came, as the one that is taken up now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

from gnnrec.data.types import Features, Interactions, Observed


def joined(parts: Sequence[Observed]) -> Observed:
    """Return increments that follow each other as one, under the newest one's number.

    It is selected on the newest one's valid events, as they are most like what comes next; what the others held back is
    trained on. What a later one takes back of an earlier one has never been absorbed, and is left out.

    Args:
        parts: one or more, oldest first, of which none has been absorbed.
    """
    return reduce(_two, parts)


def _two(old: Observed, new: Observed) -> Observed:
    # Where all that is trained on arrives, what was held back is absorbed behind the selection and has not been trained on;
    # elsewhere (stream.split=next_half) the newer one trains on it anyway.
    late = old.folded if new.train is new.arrived else Interactions.empty()
    train, arrived = _joined(old.train, late, new.train), _joined(old.arrived, old.folded, new.arrived)
    absorbed_before = new.removed.without(_joined(old.arrived, old.folded))
    never = new.removed.without(absorbed_before)
    arrived = arrived.without(never).owned()
    same = old.train is old.arrived and new.train is new.arrived
    return replace(
        new,
        since=old.first,
        train=arrived if same else train.without(never).owned(),
        arrived=arrived,
        removed=_joined(old.removed, absorbed_before).owned(),
        features=Features.concat(old.features, new.features),
    )


def _joined(*parts: Interactions) -> Interactions:
    return Interactions.concat(parts)
