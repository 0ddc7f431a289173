"""What can be checked: the configuration of a run, made again and small; a row that trains nothing, or a model from outside."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gnnrec.config import listed
from gnnrec.config.instantiate import TARGET, instantiate
from gnnrec.core.errors import GnnrecError
from gnnrec.data.dataset import Dataset
from gnnrec.data.simulate.world import SimulatedWorld
from gnnrec.data.stream.cuts import ByCount
from gnnrec.evaluation.reference import USUAL
from gnnrec.leaks.checks import Finding, check
from gnnrec.leaks.plays import RunParts, played, served
from gnnrec.leaks.twins import CutLog, some_users, twins
from gnnrec.outside.row import Outside
from gnnrec.runs import build, saved
from gnnrec.runs.build import Config
from gnnrec.runs.saved import Saved
from gnnrec.untrained.base import Untrained

USERS, ITEMS, EVENTS, INCREMENTS = 60, 40, 700, 3
EPOCHS, BATCH, STEPS, RATE = 4, 128, 60, 0.05


def small_log(feedback: str = "explicit") -> Dataset:
    """Return a simulated log that hundreds of fits can be afforded on."""
    return SimulatedWorld(users=USERS, items=ITEMS, events=EVENTS, feedback=feedback).load()


def check_run(
    run: Saved, allow: Sequence[str] = (), data: Sequence[str] = (), own: bool = False, events: int = 3000
) -> list[Finding]:
    """Return the findings on a run's configuration, made again.

    Args:
        run: whose strategy, encoder, objective, graph, policy and stream are checked.
        allow: prefixes of plug-ins that may be imported.
        data: where its log lies now, if it has moved.
        own: on the log of the run, with so many users that it has `events`; else on a small simulated one.
        events: see `own`.
    """
    saved.check_trusted(run, allow)
    config = smaller(run.config)
    if own:
        log = some_users(saved.scene_now(run, allow, data).dataset, events)
        cut: CutLog = instantiate(config["stream"], allow, at="stream").build
    else:
        log, cut = small_log(str(config["data"].get("feedback") or "explicit")), _like(config)
    selecting, not_selecting = (played(_parts(c)) for c in (config, unselected(config)))
    return check(selecting, twins(log, cut), unselected=not_selecting)


def check_row(make: Callable[[], Untrained]) -> list[Finding]:
    """Return the findings on a row that trains nothing, or on a model from outside.

    Args:
        make: returns one that has absorbed nothing; the same at every call.
    """
    logs = twins(small_log(), ByCount(increments=INCREMENTS).build)
    return check(served(lambda _: make()), logs, asked=served(lambda _: make(), asked_before=True))


def row_maker(name: str, allow: Sequence[str] = ()) -> Callable[[], Untrained]:
    """Return what makes the row that a name means.

    Args:
        name: package.module:Name of a class without arguments, or of a function, that gives a model with `fit` and
            `recommend`; or a name that `references` takes.
        allow: prefixes beside gnnrec. that a class may have.

    Raises:
        GnnrecError: there is no such thing, or it is neither a model from outside nor an Untrained.
    """
    if ":" in name:
        node: Mapping[str, Any] = {TARGET: name.replace(":", ".")}
    else:
        try:
            (node,) = listed.references([name]).values()
        except GnnrecError as error:
            raise GnnrecError(
                f"leakcheck: {name} is no folder of a run, and {error}; a model from outside is package.module:Name"
            ) from error

    def make() -> Untrained:
        made = instantiate(node, allow, at=name)
        if isinstance(made, Untrained):
            return made
        if name in USUAL:
            raise GnnrecError(f"{name} is counted for every table; what can be checked here has a class of its own")
        return Outside(made)

    make()
    return make


def smaller(config: Config) -> Config:
    """Return the configuration with fits of few epochs and small batches, on the processor."""

    def fit(node: Mapping[str, Any]) -> dict[str, Any]:
        few = {"max_epochs": min(node["max_epochs"], EPOCHS), "batch_size": min(node["batch_size"], BATCH)}
        return {**node, **few, "steps": min(node["steps"], STEPS)} if "steps" in node else {**node, **few}

    trainer = {**config["trainer"], "accelerator": "cpu", "devices": 1}
    measured = {**config["evaluation"], "matrix": "off"}  # nobody reads the scores of these runs
    fits = {**fit(config["fit"]), "base": fit(config["fit"]["base"])}
    return {**config, "fit": fits, "trainer": trainer, "evaluation": measured}


def unselected(config: Config) -> Config:
    """Return the configuration with fits of a set number of large steps, that nothing is selected in.

    The counter that valid prefers is the item term's too, so there is but one to choose from.
    """
    steps, grid = {"budget": "equal", "steps": STEPS, "lr": RATE}, config["scorer"]["grid"]
    fits = {**config["fit"], **steps, "base": {**config["fit"]["base"], **steps}}
    scorer = {**config["scorer"], "grid": {**grid, "counters": list(grid["counters"])[:1]}}
    return {**config, "fit": fits, "scorer": scorer}


def _like(config: Config) -> CutLog:
    """Return what cuts a small log as the run's stream is split, in increments of equal counts."""
    stream = config["stream"]
    same = {key: stream[key] for key in ("split", "valid_share", "test_share", "graph") if key in stream}
    if same.get("split") == "column":
        same["split"] = "within"
    return ByCount(increments=INCREMENTS, **same).build


def _parts(config: Config) -> RunParts:
    return RunParts(
        lambda setting: build.learner(config, setting),
        lambda _: build.strategy(config),
        lambda stream: build.measure(config, stream),
        lambda: build.policy(config),
        build.rows(config),
    )
