"""What does an update by each strategy cost beside fine-tuning on the same events for the same epochs?

One log, one base, one increment of a twentieth of the log; five epochs for all, no valid event. Each strategy has taken in one
increment before the one that is timed. The figure asked is the factor that the methods' complexity lets expect; of replays and
retrainings, that factor for every event that they fit on. Where events are taken back, they are a hundred of the increment
before. `select` is its candidates' price and not timed; `stale` and `frozen` do nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from bench.timing import Line, alternate, at_most
from gnnrec.config.compose import compose
from gnnrec.data.simulate.world import SimulatedWorld
from gnnrec.data.stream.cuts import ByCount
from gnnrec.data.types import Interactions, Observed
from gnnrec.encoders.lightgcn import LightGCN
from gnnrec.learner import Learner
from gnnrec.objectives.bpr import BPR
from gnnrec.runs import build
from gnnrec.scorers.blend import Grid
from gnnrec.training.settings import FitSettings

NAME = "methods"
EPOCHS = 5
EXPECTED: dict[str, tuple[float, str]] = {
    "pull": (1.3, "B d more"),
    "ewc": (1.5, "B d more, and gradients of 1,000 events, 16 at a time"),
    "distill": (2.0, "100 candidates of each user of a batch"),
    "light_distill": (1.5, "10 old items of each user of a batch"),
    "ema": (1.2, "a mean"),
    "graph_sail": (3.0, "d (old neighbours of a batch + B K), k-means once"),
    "sgct": (4.0, "B (15 + 15) d for two relations"),
    "mgct": (4.0, "the same for four"),
    "lwc_kd": (4.0, "the same for every layer"),
    "lwc_kd_piw": (4.8, "and weights of users"),
    "pisa": (3.5, "two fits and k-means every epoch"),
    "igc": (2.0, "new edges alone; nearest among quiet nodes once"),
    "sml": (10.0, "an epoch of the transfer, each of its steps over old and fitted rows"),
    "graph_prompt": (2.0, "gates before the whole graph"),
    "expand": (1.5, "16 columns more"),
    "fold_in": (1.0, "no epoch"),
    "filter": (1.0, "no epoch"),
    "unlearn": (1.2, "a state kept"),
}
"""Factor that is expected at most, and what it is made of."""
BY_EVENTS: dict[str, tuple[float, str]] = {
    "replay": (1.1, ""),
    "replay_reservoir": (1.1, ""),
    "replay_inverse_degree": (1.1, ""),
    "replay_recency": (1.1, ""),
    "replay_window": (1.1, ""),
    "replay_loss": (1.3, "a score of every stored event"),
    "replay_proportional": (1.3, "users before and after its edges"),
    "ewc_replay": (1.6, "as ewc"),
    "replay_graph_sail": (3.1, "as graph_sail"),
    "full_retrain": (1.1, ""),
    "aligned_retrain": (1.2, "and a rotation"),
    "warm_retrain": (1.1, ""),
    "window_retrain": (1.1, ""),
}
"""Factor for every event fitted on, and what it is made of."""
TAKEN_BACK: dict[str, tuple[float, str]] = {
    "unlearn": (2.3, "the increment before once more, without them"),
    "unlearn_influence": (8.0, "20 products with the Hessian of 20,000 events, each two gradients, and one update"),
}
"""The same where events are taken back."""


def run(quick: bool) -> Iterator[Line]:
    """Yield the lines of this benchmark."""
    size = {"users": 200, "items": 100, "events": 3000} if quick else {"users": 6000, "items": 4000, "events": 200_000}
    stream = ByCount(increments=2, base=0.9).build(SimulatedWorld(**size, feedback="implicit").load())
    base, first, second = (_without_valid(i.observed) for i in stream.increments)
    learner = _learner()
    learner.extend(base)
    learner.fit(base.train)
    learner.absorb(base)
    back = replace(second, removed=first.train.take(slice(0, 100)))
    fitted: dict[str, int] = {}
    works = {
        name: _updating(name, learner, base, first, second, fitted) for name in ("fine_tune", *EXPECTED, *BY_EVENTS)
    }
    works |= {f"{n}, taking back": _updating(n, learner, base, first, back, {}) for n in TAKEN_BACK}
    times = alternate(works, rounds=2 if quick else 5)
    where = f"{len(second.train):,} of {sum(len(x.train) for x in (base, first, second)):,} events, {EPOCHS} epochs"

    def line(name: str, most: float, *made: str) -> Line:
        note = "; ".join(x for x in (*made, where) if x)
        return at_most(NAME, f"{name} / fine_tune", times[name], times["fine_tune"], most, note)

    for name, (most, made) in EXPECTED.items():
        yield line(name, most, made)
    for name, (each, made) in BY_EVENTS.items():
        events = fitted[name] / fitted["fine_tune"]
        yield line(name, round(each * events, 1), f"{events:.1f} times the events", made)
    for name, (most, made) in TAKEN_BACK.items():
        yield line(f"{name}, taking back", most, made)


def _learner() -> Learner:
    fit = FitSettings(epochs_without_valid=EPOCHS)
    return Learner(LightGCN(64, 2), BPR(), fit, grid=Grid().model_alone())


def _without_valid(new: Observed) -> Observed:
    """Return an increment whose valid events are trained on."""
    train = Interactions.concat([new.train, new.valid])
    nothing = new.valid.take(slice(0, 0))
    return replace(new, train=train, arrived=train, valid=nothing, folded=nothing)


def _updating(
    name: str, learner: Learner, base: Observed, first: Observed, second: Observed, fitted: dict[str, int]
) -> Callable[[], None]:
    """Return the update by `second`, which notes in `fitted` how many events it trains on, repeats counted."""
    more = ["strategy.every=1"] if name == "unlearn" else []
    config = compose(["experiment=simulated", f"strategy={name}", *more])
    own, strategy = learner.fork(), build.strategy(config)
    strategy.serve(own)
    strategy.begin(own, base)
    strategy.update(own, first)
    state = strategy.state_dict()

    def update() -> None:
        twin, again = own.fork(), build.strategy(config)
        again.serve(twin)
        again.load_state_dict(state)
        before = twin.cost.triplets
        again.update(twin, second)
        fitted[name] = twin.cost.triplets - before
        twin.embed()

    return update
