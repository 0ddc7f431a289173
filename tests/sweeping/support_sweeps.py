"""Sweeps without training: a plan on a tiny world, and a crew that knows what every point comes to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from copy import deepcopy
from functools import cache, reduce
from pathlib import Path

import yaml
from test_cli import TINY

from gnnrec.config.compose import chosen, compose
from gnnrec.runs import build
from gnnrec.sweeping.crew import Measurement, Outcome
from gnnrec.sweeping.plan import Plan, plan_of
from gnnrec.sweeping.search import Search
from gnnrec.sweeping.study import Ledger, Tried

WORLD = [*(a for a in TINY if not a.startswith("stream")), "stream.increments=4", "strategy=replay"]
SPACE = "sweep.space={strategy.budget: {low: 100, high: 1000}, fit.lr: {low: 0.001, high: 0.1, log: true}}"
GRID = "sweep.space={strategy.budget: {low: 100, high: 700, step: 200}, fit.lr: [0.001, 0.01]}"


def plan(output: Path, *typed: str) -> Plan:
    """Return what `gnnrec sweep` would search; its points are composed by hand, which costs nothing."""
    config = {**changed(composed(), typed), "output": str(output)}
    return plan_of("replay", config, lambda more: changed(config, more), lambda group: chosen(group, WORLD))


@cache
def composed() -> dict:
    return compose([*WORLD, "strategy.budget=500"])


def changed(config: dict, more: Sequence[str]) -> dict:
    """Return a configuration with values of keys that hold one."""
    found = deepcopy(config)
    for key, _, value in (override.partition("=") for override in more):
        *path, name = key.split(".")
        node = reduce(lambda at, part: at[part], path, found)
        node[name] = yaml.safe_load(value)
    return found


STREAMS: dict[int, object] = {}


def stream(of: Plan):
    events = of.config["data"]["events"]
    if events not in STREAMS:
        STREAMS[events] = build.load(of.config)[1]
    return STREAMS[events]


class Knowing:
    """Comes to what `worth` says of a step; the newest step ends first where `last_first` is set.

    Args:
        worth: what a configuration comes to under a seed; may raise.
        room: steps at once.
        stop_after: steps after which the driver is killed.
    """

    def __init__(
        self, worth: Callable[[Measurement], float], room: int = 1, stop_after: int | None = None, last_first=False
    ):
        self.worth, self.room, self.left, self.last_first = worth, room, stop_after, last_first
        self.at_work: list[Measurement] = []
        self.done: list[Measurement] = []

    def begin(self, step: Measurement) -> None:
        self.at_work.append(step)

    def ended(self) -> list[Outcome]:
        if self.left is not None and len(self.done) >= self.left:
            raise KeyboardInterrupt
        step = self.at_work.pop(-1 if self.last_first else 0)
        self.done.append(step)
        try:
            value = self.worth(step)
        except ValueError as error:
            return [Outcome(step, None, str(error))]
        per = {str(t): value for t in range(1, step.last + 1)}
        return [
            Outcome(
                step, {"ndcg@20": per, "recall@20": per, "seconds": dict.fromkeys(per, step.job.config["fit"]["lr"])}
            )
        ]

    def stop(self, error: BaseException) -> None:
        pass

    def close(self) -> None:
        pass


def searched(of: Plan, crew: Knowing, say=lambda line: None) -> list[Tried]:
    """Search, or go on with it, until the end or a kill; return the points."""
    ledger = Ledger(of, stream(of))
    with suppress(KeyboardInterrupt):
        Search(of, ledger, crew, say, lambda: None).run()
    return ledger.tried()


def shown(tried: list[Tried]) -> list[tuple]:
    return [(tuple(t.params.values()), t.state, t.values) for t in tried]


def bowl(step: Measurement) -> float:
    """Return a value that is best at a budget of 700."""
    return 1.0 - abs(step.job.config["strategy"]["budget"] - 700) / 1000
