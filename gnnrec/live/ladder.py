"""What is tried where a challenger does not pass: a smaller rate, more of the past, all of it; then the champion stays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from gnnrec.data.types import Interactions, Observed
from gnnrec.learner import Learner
from gnnrec.strategies.base import Strategy
from gnnrec.strategies.full_retrain import FullRetrain
from gnnrec.strategies.replay import Replay

SLOWER = 10.0
"""By which the rate is divided."""
SHARE = 2.0
"""Events replayed for each new one."""
MakeStrategy = Callable[[], Strategy]
"""Makes the run's own strategy, as the champion left it."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One try.

    Attributes:
        name: for the journal.
        attempt: makes a challenger of a copy of the champion, and returns the run's own strategy, which has taken note of it.
    """

    name: str
    attempt: Callable[[Learner, MakeStrategy, Observed], Strategy]


def as_configured(learner: Learner, make: MakeStrategy, new: Observed) -> Strategy:
    """Update as the run does."""
    strategy = make()
    strategy.serve(learner)
    strategy.update(learner, new)
    return strategy


def slower(learner: Learner, make: MakeStrategy, new: Observed) -> Strategy:
    """Update as the run does, at a tenth of the rate."""
    usual = learner.fits.update
    learner.fits.update = replace(usual, lr=usual.lr / SLOWER)
    try:
        return as_configured(learner, make, new)
    finally:
        learner.fits.update = usual


def replaying(learner: Learner, make: MakeStrategy, new: Observed) -> Strategy:
    """Fine-tune on the new events and twice as many that have been absorbed before."""
    return _by(Replay(int(SHARE * len(new.train)), seed=learner.seed), learner, make, new)


def from_scratch(learner: Learner, make: MakeStrategy, new: Observed) -> Strategy:
    """Begin anew on everything."""
    return _by(FullRetrain(seed=learner.seed), learner, make, new)


LADDER = (
    Rung("as configured", as_configured),
    Rung("a tenth of the rate", slower),
    Rung("replay of twice as many", replaying),
    Rung("full retraining", from_scratch),
)


def _by(other: Strategy, learner: Learner, make: MakeStrategy, new: Observed) -> Strategy:
    """Update by another strategy; the run's own takes note of the increment as it does behind its own updates."""
    strategy = make()
    strategy.remember(learner, new)
    known = Interactions.concat(list(learner.counters.log))
    none = known.take(slice(0, 0))
    # All that has been absorbed is the past that it knows: it has stored nothing of its own.
    other.consolidate(learner, replace(new, train=known, arrived=known, folded=none, removed=none))
    other.serve(learner)
    other.update(learner, new)
    strategy.serve(learner)
    strategy.consolidate(learner, new)
    return strategy
