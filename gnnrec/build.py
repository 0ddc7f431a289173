"""From a plain configuration to the objects of a run: what the command line does, for notebooks too."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gnnrec.data.dataset import Dataset
from gnnrec.errors import GnnrecError, nearest
from gnnrec.evaluation.evaluate import Settings
from gnnrec.evaluation.world import worlds
from gnnrec.experiment import Setting
from gnnrec.instantiate import instantiate
from gnnrec.learner import Learner
from gnnrec.strategies.base import Strategy
from gnnrec.training.settings import FitSettings

Config = Mapping[str, Any]

BASE_KEYS = ("stream", "graph", "encoder", "init", "objective", "trainer", "evaluation", "scorer")
"""Groups that define the base model beside data, `fit.base` and seed."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Data and stream of an experiment, loaded once for all its runs."""

    dataset: Dataset
    setting: Setting


def scene(config: Config) -> Scene:
    """Load the data and cut the stream that `config` describes."""
    allow = _allowed(config)
    splitter = instantiate(config["stream"], allow)
    dataset: Dataset = instantiate(config["data"], allow).load(keep=splitter.columns)
    stream = splitter.build(dataset)
    kept = int(config["state"]["keep"])
    setting = Setting(stream, worlds(stream), _measure(config, stream), tuple(config["scorer"]["rows"]), kept)
    return Scene(dataset, setting)


def _measure(config: Config, stream: Any) -> Settings:
    evaluation = dict(config["evaluation"])
    evaluation.pop("graph")
    topk = tuple(int(k) for k in evaluation.pop("topk"))
    if 20 not in topk:
        raise GnnrecError(f"evaluation.topk must hold 20, the cut-off of tables and selection, got {list(topk)}")
    if (found := evaluation["candidates"]) not in ("known", "universe"):
        raise GnnrecError(f"evaluation.candidates={found} is not known{nearest(str(found), ('known', 'universe'))}")
    return Settings(
        topk=topk,
        positive_from=stream.positive_from,
        explicit=stream.feedback == "explicit",
        universe=len(stream.items),
        **evaluation,
    )


def learner(config: Config, setting: Setting) -> Learner:
    """Return the untrained learner of a run."""
    allow = _allowed(config)
    objective = dict(config["objective"])
    if "feedback" in objective:
        objective["feedback"] = setting.stream.feedback
    fit, base = fits(config)
    return Learner(
        instantiate(config["encoder"], allow),
        instantiate(objective, allow),
        fit=fit,
        base_fit=base,
        view=instantiate(config["graph"], allow),
        initial=instantiate(config["init"], allow),
        grid=instantiate(config["scorer"]["grid"], allow),
        measure=setting.measure,
        trainer=dict(config["trainer"]),
        seed=int(config["seed"]),
    )


def fits(config: Config) -> tuple[FitSettings, FitSettings]:
    """Return the fit settings of updates and of the base."""
    update = {k: v for k, v in config["fit"].items() if k != "base"}
    return instantiate(update), instantiate(config["fit"]["base"])


def strategy(config: Config) -> Strategy:
    """Return the strategy of a run."""
    made: Strategy = instantiate(config["strategy"], _allowed(config))
    return made


def base_digest(config: Config, fingerprint: str) -> str:
    """Return the hash of everything that defines the base model of a run."""
    parts = {key: config[key] for key in BASE_KEYS}
    return _digest({**parts, "fit": config["fit"]["base"], "seed": config["seed"], "data": fingerprint})


def run_digest(config: Config, fingerprint: str) -> str:
    """Return the hash of everything that defines a run's results."""
    own = {"strategy": config["strategy"], "fit": config["fit"], "base": base_digest(config, fingerprint)}
    return _digest(own)


def reference_digest(config: Config, fingerprint: str) -> str:
    """Return the hash of everything that defines the reference rows."""
    return _digest({"data": fingerprint, "grid": config["scorer"]["grid"], "evaluation": config["evaluation"]})


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=5).hexdigest()


def _allowed(config: Config) -> list[str]:
    return [str(p) for p in config["plugins"]["allow"]]
