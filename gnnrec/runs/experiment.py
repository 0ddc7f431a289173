"""The loop: for each increment, let the strategy update, score what comes next and the test slices around, save."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gnnrec.core import allocator
from gnnrec.runs import state
from gnnrec.data.types import Stream
from gnnrec.evaluation.evaluate import Row, Settings
from gnnrec.evaluation.record import Name, Record, score_round
from gnnrec.evaluation.world import World
from gnnrec.learner import Learner
from gnnrec.training.cost import Cost
from gnnrec.scorers.model import Scorer
from gnnrec.strategies.base import Strategy

OnIncrement = Callable[[int, Record], None]
"""Called after each increment with (t, everything recorded so far)."""


@dataclass(frozen=True, slots=True)
class Setting:
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


def train_base(learner: Learner, setting: Setting, name: Name, folder: Path | None = None) -> state.State:
    """Fit the base once, score it, and return (and save) the state every strategy starts from."""
    base, record = setting.stream.increments[0].observed, Record(name)

    def fit() -> None:
        learner.extend(base)
        learner.fit(base.train)
        learner.absorb(base)

    _measured(record, setting, learner, 0, fit)
    score_round(record, _scorers(learner, setting), 0, setting.stream, setting.worlds, setting.measure)
    return _save(folder, setting, learner, None, record, 0)


def run(
    learner: Learner,
    strategy: Strategy,
    setting: Setting,
    name: Name,
    base: state.State,
    folder: Path | None = None,
    on_increment: OnIncrement | None = None,
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
    """
    at = (state.load_newest(folder) if folder else None) or base
    past = [i.observed for i in setting.stream.increments]
    learner.follow(past[: at.meta["absorbed"] + 1], at.meta)
    learner.load_state_dict(at.weights, at.meta)
    learner.server = strategy.scorer
    # The loaded model serves already: what it needs for that is no cost of the next update, resumed or not.
    learner.ready()
    record = Record.of(name, at.tables)
    if at.index == 0:
        strategy.begin(learner, past[0])
    else:
        strategy.load_state_dict(at.strategy)
    for t in range(at.index + 1, len(past)):
        new = past[t]
        _measured(record, setting, learner, t, lambda new=new: strategy.update(learner, new), strategy)  # type: ignore[misc]
        score_round(record, _scorers(learner, setting), t, setting.stream, setting.worlds, setting.measure)
        _save(folder, setting, learner, strategy, record, t)
        if on_increment is not None:
            on_increment(t, record)
    return record


def _scorers(learner: Learner, setting: Setting) -> dict[str, Scorer]:
    model = learner.serving()
    every: dict[str, Scorer] = {"model": model, "blend": learner.blend_scorer(model)}
    return {name: every[name] for name in setting.scorers}


def _measured(
    record: Record,
    setting: Setting,
    learner: Learner,
    t: int,
    update: Callable[[], None],
    strategy: Strategy | None = None,
) -> None:
    """Run `update` until the model could serve, and record what it cost and how valid was scored."""
    learner.cost, learner.valid_rows, tells = Cost(), {}, allocator.reset_peak()
    begin = time.perf_counter()
    update()
    learner.ready()
    seconds = time.perf_counter() - begin - learner.cost.reporting
    kept = learner.bytes_kept + (strategy.bytes_kept if strategy else 0)
    values = {
        "seconds": seconds,
        "steps": learner.cost.steps,
        "triplets": learner.cost.triplets,
        "edges_touched": learner.cost.edges,
        "bytes_kept": kept,
        "peak_memory": allocator.peak() if tells else None,
    }
    rows: list[Row] = [("all", metric, float(v), 1) for metric, v in values.items() if v is not None]
    for scorer in setting.scorers:
        record.add(scorer, t, t, "cost", rows)
        record.add(scorer, t, t, "valid", learner.valid_rows.get(scorer, []))


def _save(
    folder: Path | None, setting: Setting, learner: Learner, strategy: Strategy | None, record: Record, t: int
) -> state.State:
    meta = learner.meta()
    kept = strategy.state_dict() if strategy else {}
    now = state.State(t, learner.state_dict(), kept, meta, record.frames())
    if folder is not None:
        state.save(folder, now, setting.keep)
    return now
