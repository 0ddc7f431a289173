"""The loop of a sweep: ask for points as long as there is room, tell what they have come to as they end."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev

import optuna

from gnnrec.core.errors import GnnrecError
from gnnrec.runs.job import Job
from gnnrec.runs.point import LAST, PointValues, mean_of
from gnnrec.sweeping.crew import Crew, Measurement, Outcome
from gnnrec.sweeping.plan import Plan
from gnnrec.sweeping.study import Ledger
from gnnrec.sweeping.text import setting, valued


@dataclass(slots=True)
class Flight:
    """A point that is being measured, and what its steps have come to so far."""

    trial: optuna.Trial
    jobs: Sequence[Job]
    last: int
    outcomes: list[Outcome] = field(default_factory=list)


class Search:
    """Searches until there are as many points as wanted.

    Args:
        plan: what is searched.
        ledger: its study.
        crew: who measures points.
        say: takes lines of progress.
        told: called whenever a point has begun or ended.
    """

    def __init__(
        self, plan: Plan, ledger: Ledger, crew: Crew, say: Callable[[str], None], told: Callable[[], None]
    ) -> None:
        self.plan, self.ledger, self.crew, self.say, self.told = plan, ledger, crew, say, told
        self.flights: dict[int, Flight] = {}
        self.places: dict[int, int] = {}

    def run(self) -> None:
        """Return once every wanted point is complete, pruned or failed."""
        try:
            while True:
                while self._at_work() < self.crew.room and (trial := self.ledger.ask()) is not None:
                    self.places[trial.number] = self.ledger.place(trial.params)
                    self._take_off(trial)
                self.told()
                if not self.flights:
                    return
                for outcome in self.crew.ended():
                    self._note(outcome)
        except BaseException as error:
            self.crew.stop(error)
            raise

    def _at_work(self) -> int:
        return sum(len(flight.jobs) - len(flight.outcomes) for flight in self.flights.values())

    def _take_off(self, trial: optuna.Trial) -> None:
        try:
            jobs = self.plan.jobs(trial.params)
        except GnnrecError as error:  # keys that exclude each other: every end of every range alone has made one
            self._fail(trial, str(error))
            return
        self._begin(Flight(trial, jobs, 1 if self.plan.prune else LAST))

    def _begin(self, flight: Flight) -> None:
        number = flight.trial.number
        self.flights[number] = flight
        text = f"{self._place(number)}, {setting(flight.trial.params)}"
        for job in flight.jobs:
            self.crew.begin(Measurement(number, job, flight.last, flight.last < LAST, text))

    def _place(self, number: int) -> str:
        return f"trial {self.places[number]} of {self.plan.wanted}"

    def _note(self, outcome: Outcome) -> None:
        flight = self.flights[outcome.step.trial]
        flight.outcomes.append(outcome)
        if len(flight.outcomes) < len(flight.jobs):
            return
        if why := next((o.why for o in flight.outcomes if o.values is None), None):
            self._fail(flight.trial, why)
            return
        try:
            self._settle(flight, [o.values for o in flight.outcomes if o.values is not None])
        except GnnrecError as error:
            self._fail(flight.trial, str(error))

    def _settle(self, flight: Flight, values: Sequence[PointValues]) -> None:
        """Note what a point has come to, or have it go on behind increment 1."""
        trial, metrics = flight.trial, self.plan.metrics
        over = [[mean_of(v, metric, flight.last) for v in values] for metric in metrics]
        means = [fmean(per_seed) for per_seed in over]
        deviations = [stdev(per_seed) for per_seed in over] if len(values) > 1 else []
        if odd := [m for m, value in zip(metrics, means, strict=True) if not math.isfinite(value)]:
            raise GnnrecError(f"valid {odd[0]} is no number: training diverged")
        seconds = _mean_seconds(values, flight.last)
        if flight.last < LAST and not self.ledger.prunes(trial, means[0]):
            self._begin(Flight(trial, flight.jobs, LAST))
            return
        del self.flights[trial.number]
        said = f"{self._place(trial.number)}: {setting(trial.params)}: valid {valued(metrics, means, deviations)}"
        if flight.last < LAST:
            self.ledger.prune(trial, deviations, seconds)
            self.say(f"{said} after increment 1, pruned")
        else:
            self.ledger.complete(trial, means, deviations, seconds)
            self.say(said)

    def _fail(self, trial: optuna.Trial, why: str) -> None:
        self.flights.pop(trial.number, None)
        self.ledger.fail(trial, why)
        self.say(f"{self._place(trial.number)}: {setting(trial.params)}: failed: {why}")


def _mean_seconds(values: Sequence[PointValues], last: int) -> float | None:
    try:
        return fmean(mean_of(v, "seconds", last) for v in values)
    except GnnrecError:
        return None
