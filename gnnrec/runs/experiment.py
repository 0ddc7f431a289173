"""The loop: for each increment, let the strategy update, score what comes next and the test slices around, save."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import polars as pl

from gnnrec.data.types import Increment, Observed, Stream
from gnnrec.evaluation.beyond.examples import ExampleUsers, example_users
from gnnrec.evaluation.evaluate import Settings
from gnnrec.evaluation.record import Name, Record, score_round
from gnnrec.evaluation.world import World
from gnnrec.learner import Learner
from gnnrec.policies.base import UpdatePolicy
from gnnrec.policies.pace import Pace
from gnnrec.runs import cost, state
from gnnrec.scorers.model import Scorer
from gnnrec.strategies.base import Strategy

OnIncrement = Callable[[int, Record], None]
"""Called after each increment with (t, everything recorded so far)."""
BASE = "base_"
"""Before the metrics of what training the base cost, which all strategies share and none is charged."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """What a run happens in, shared by every row of a table.

    Attributes:
        stream: increments.
        worlds: the world after each increment.
        measure: how to evaluate.
        scorers: which of "model" and "blend" are rows.
        keep: newest states kept on disk.
    """

    stream: Stream
    worlds: list[World]
    measure: Settings
    scorers: tuple[str, ...] = ("model", "blend")
    keep: int = 2


def train_base(learner: Learner, setting: Scenario, name: Name, folder: Path | None = None) -> state.State:
    """Fit the base once, score it, and return (and save) the state every strategy starts from."""
    base, record = setting.stream.increments[0].observed, Record(name)

    def fit() -> None:
        learner.extend(base)
        learner.fit(base.train)
        learner.absorb(base)
        learner.ready()

    spent = cost.timed(learner, fit)
    _note(record, setting, learner, 0, {**spent, "bytes_kept": float(learner.bytes_kept)})
    _score(record, setting, learner, 0)
    return _save(folder, setting, learner, {}, record, 0)


def score_base(
    learner: Learner, setting: Scenario, name: Name, made: state.State, folder: Path | None = None
) -> state.State:
    """Score a base that was fitted on the same events before others than now came after it, and return (and save) its state."""
    _take_up(learner, made, [setting.stream.increments[0].observed])
    record = Record(name)
    known = made.tables["results"].filter(pl.col("split").is_in(["cost", "valid", "fit", "blend"]))
    record.append({**Record(name).frames(), "results": known})
    _score(record, setting, learner, 0)
    return _save(folder, setting, learner, made.strategy, record, 0)


def run(
    learner: Learner,
    strategy: Strategy,
    setting: Scenario,
    name: Name,
    base: state.State,
    folder: Path | None = None,
    on_increment: OnIncrement | None = None,
    increments: Iterable[Increment] | None = None,
    on_resume: OnIncrement | None = None,
    policy: UpdatePolicy | None = None,
) -> Record:
    """Run `strategy` over the stream from the trained base, or the newest state in `folder`, and return its record.

    Args:
        learner: without rows; it takes up the state.
        strategy: how increments are absorbed.
        setting: stream and measures.
        name: of the rows.
        base: the state of `train_base`.
        folder: where states are kept; None: nowhere, and nothing can be resumed.
        on_increment: told after each increment.
        increments: base first, taken one at a time, each when the one before it has been saved; None: those of the stream.
            Those that the stream does not hold are absorbed and their cost noted, but there is nothing to score them on.
        on_resume: told once, before the first increment, of the newest one in `folder`.
        policy: when to update; with every increment where None.
    """
    found = state.load_newest(folder) if folder else None
    at = found or base
    arriving = iter(setting.stream.increments if increments is None else increments)
    first, *past = [increment.observed for increment in islice(arriving, at.index + 1)]
    pace = Pace(policy, first)
    taken = pace.resume(past, at.meta.get("updates", [p.index for p in past]), *_known(at.tables, setting))
    _take_up(learner, at, [first, *taken])
    if found is None:
        strategy.serve(learner)
        record = _begin(learner, strategy, setting, name, base, first)
        _save(folder, setting, learner, strategy.state_dict(), record, 0)
        served = _known(base.tables, setting)[0].get(1, math.nan)
    else:
        record = Record.of(name, at.tables)
        strategy.load_state_dict(at.strategy)
        strategy.serve(learner)
        learner.ready()  # as in `_take_up`: what a strategy of its own serves by
        served = _known(at.tables, setting)[0].get(at.index + 1, math.nan)
        if on_resume is not None:
            on_resume(at.index, record)
    del past, first, taken  # a stream that arrives is held by nobody
    for t, increment in enumerate(arriving, at.index + 1):
        decision = pace.came(increment.observed, served)
        now = _absorb(learner, strategy, setting, name, pace.take() if decision.update else None, t)
        quality, seconds = _known(now.frames(), setting)
        served = quality.get(t + 1, math.nan)
        if decision.update:
            pace.updated(seconds.get(t, 0.0))
        _save(folder, setting, learner, strategy.state_dict(), now, t, pace.updates)
        record.append(now.frames())
        if on_increment is not None:
            on_increment(t, record)
    return record


def _known(tables: Mapping[str, pl.DataFrame], setting: Scenario) -> tuple[dict[int, float], dict[int, float]]:
    """Return recall@20 of what was served on each increment that came, and the seconds of each update, by increment."""
    if "results" not in tables:
        return {}, {}
    rows = tables["results"].filter(pl.col("scorer") == setting.scorers[-1], pl.col("segment") == "all")
    came = rows.filter(split="next", metric="recall@20")
    spent = rows.filter(split="cost", metric="seconds")
    return (
        dict(zip(came["evaluated_on"].to_list(), came["value"].to_list(), strict=True)),
        dict(zip(spent["trained_to"].to_list(), spent["value"].to_list(), strict=True)),
    )


def _take_up(learner: Learner, at: state.State, past: Sequence[Observed]) -> None:
    """Make the learner the one that `at` holds."""
    learner.follow([new for new in past if new.index <= at.meta["absorbed"]], at.meta)
    learner.load_state_dict(at.weights, at.meta)
    # The loaded model serves already: what it needs for that is no cost of the next update, resumed or not.
    learner.ready()


def _begin(
    learner: Learner, strategy: Strategy, setting: Scenario, name: Name, base: state.State, first: Observed
) -> Record:
    """Let the strategy take note of the base, and return the base's record with what that cost in place of the base's cost."""
    spent = cost.timed(learner, lambda: strategy.begin(learner, first))
    learner.ready()
    of_base = pl.when(split="cost").then(pl.lit(BASE) + pl.col("metric")).otherwise("metric").alias("metric")
    record = Record.of(name, {**base.tables, "results": base.tables["results"].with_columns(of_base)})
    spent["bytes_kept"] = float(state.nbytes(strategy.state_dict()) + strategy.counted_bytes)
    for scorer in setting.scorers:
        record.add(scorer, 0, 0, "cost", cost.rows(spent))
    return record


def _absorb(
    learner: Learner, strategy: Strategy, setting: Scenario, name: Name, new: Observed | None, t: int
) -> Record:
    """Let the strategy update the learner at increment t, and return the record of that; without `new` it waits."""
    record, served, shown = Record(name), cost.ReadOut(learner.embed()), _shown(setting, learner, t)
    asked = example_users(setting.stream, setting.worlds, setting.measure, t)
    earlier = _listed(asked, setting, learner, t - 1)

    def update() -> None:
        if new is not None:
            strategy.update(learner, new)
            learner.ready()

    spent = cost.timed(learner, update)
    if "peak_memory" in spent:
        spent["peak_memory"] -= served.nbytes
    spent["bytes_kept"] = float(learner.bytes_kept + state.nbytes(strategy.state_dict()) + strategy.counted_bytes)
    _note(record, setting, learner, t, spent, fitted=new is not None)
    if new is None:
        for scorer in setting.scorers:
            record.add(scorer, t, t, "policy", [("all", "waits", 1.0, 1)])
    if "model" in setting.scorers:
        record.add("model", t, t, "cost", [served.rewritten(learner.embed())])
    if shown is not None:
        for scorer, rows in shown.churn(_scorers(setting, learner), setting.worlds[t]).items():
            record.add(scorer, t, t, "cost", rows)
    for trained_to, lists in ((t - 1, earlier), (t, _listed(asked, setting, learner, t))):
        record.add_examples(trained_to, t + 1, lists)
    _score(record, setting, learner, t)
    return record


def _note(
    record: Record, setting: Scenario, learner: Learner, t: int, spent: dict[str, float], fitted: bool = True
) -> None:
    """Record what increment t cost, how its fit went where there was one, what serves now and how that does on valid."""
    for scorer in setting.scorers:
        record.add(scorer, t, t, "cost", cost.charged(spent, learner, scorer))
        record.add(scorer, t, t, "valid", learner.valid_rows.get(scorer, []))
    if fitted and learner.log.epochs:
        fit = {"loss": learner.log.epochs[-1][0], "epochs": float(len(learner.log.epochs))}
        record.add(setting.scorers[0], t, t, "fit", cost.rows(fit))
    if "blend" in setting.scorers:
        record.add("blend", t, t, "blend", cost.rows(asdict(learner.blend.weights)))


def _score(record: Record, setting: Scenario, learner: Learner, t: int) -> None:
    """Score the model on what comes next and on the test slices around t, where the stream has them."""
    if t < len(setting.worlds):
        score_round(record, _scorers(setting, learner), t, setting.stream, setting.worlds, setting.measure)


def _scorers(setting: Scenario, learner: Learner) -> dict[str, Scorer]:
    """Return what serves now, by the names of the rows."""
    model = learner.serving()
    every: dict[str, Scorer] = {"model": model, "blend": learner.blend_scorer(model)}
    return {name: every[name] for name in setting.scorers}


def _shown(setting: Scenario, learner: Learner, t: int) -> cost.Shown | None:
    """Return what users are shown before increment t; None where nothing is scored there."""
    if t >= len(setting.worlds):
        return None
    return cost.Shown(_scorers(setting, learner), setting.worlds[t - 1], setting.measure)


def _listed(asked: ExampleUsers | None, setting: Scenario, learner: Learner, t: int) -> Mapping[str, pl.DataFrame]:
    """Return what a few users are shown in the world at t, by scorer; nothing where nobody is asked for."""
    return {} if asked is None else asked.lists(_scorers(setting, learner), setting.worlds[t], setting.measure)


def _save(
    folder: Path | None,
    setting: Scenario,
    learner: Learner,
    kept: state.Kept,
    record: Record,
    t: int,
    updates: Sequence[int] = (),
) -> state.State:
    meta = {**learner.meta(), "updates": list(updates)}
    now = state.State(t, learner.state_dict(), kept, meta, record.frames())
    if folder is not None:
        state.save(folder, now, setting.keep)
    return now
