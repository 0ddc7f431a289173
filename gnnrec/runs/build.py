"""From a plain configuration to the objects of a run: what the command line does, for notebooks too."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gnnrec import __version__
from gnnrec.config.instantiate import TARGET, instantiate
from gnnrec.config.sources import sources
from gnnrec.core.errors import GnnrecError, nearest
from gnnrec.core.pseudonyms import key_at, pseudonyms
from gnnrec.core.ranks import identity
from gnnrec.data.dataset import Dataset
from gnnrec.data.stream.hashed import observed_hash
from gnnrec.data.types import Stream
from gnnrec.evaluation.reference import BESIDE, USUAL, Counted
from gnnrec.evaluation.settings import CANDIDATES, MASKS, MATRICES, Settings
from gnnrec.evaluation.world import worlds
from gnnrec.learner import Learner
from gnnrec.objectives.base import Objective
from gnnrec.policies.base import UpdatePolicy
from gnnrec.runs.experiment import Scenario
from gnnrec.scorers.blend import Grid
from gnnrec.strategies.base import Strategy
from gnnrec.training.settings import FitSettings
from gnnrec.training.trainer import check_trainer
from gnnrec.untrained.base import Untrained

Config = Mapping[str, Any]

SCORERS = ("model", "blend")
PROTOCOL = 6
"""Version of how rows are measured; raise it with every change that would give another number for the same model."""
REFERENCES = 1
"""Version of the rows that are computed once; raise it where one of them ranks in another way, and the runs stay."""
EVERY = {"_target_": "gnnrec.policies.amount.Every"}
"""The policy of runs from before there was a choice."""
BASE_KEYS = ("stream", "graph", "encoder", "init", "objective", "trainer", "evaluation", "scorer")
"""Groups that define the base model beside data, `fit.base` and seed."""
UNMEASURED = ("block",)
"""Keys of `evaluation` that change how much is done at once, and no number."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Data and stream of an experiment, loaded once for all its runs."""

    dataset: Dataset
    setting: Scenario


def scene(config: Config) -> Scene:
    """Load the data and cut the stream that `config` describes, with the worlds and measures of its runs."""
    check_trainer(config["trainer"])
    return scene_on(config, *load(config))


def scene_on(config: Config, dataset: Dataset, stream: Stream) -> Scene:
    """Return the scene that `config` describes on a stream that is there already, cut from `dataset`."""
    kept = int(config["state"]["keep"])
    setting = Scenario(stream, worlds(stream), measure(config, stream), rows(config), kept)
    return Scene(dataset, setting)


def load(config: Config) -> tuple[Dataset, Stream]:
    """Load the data and cut the stream that `config` describes, without what a run needs beside."""
    allow = _allowed(config)
    splitter = instantiate(config["stream"], allow, at="stream")
    dataset: Dataset = instantiate(config["data"], allow, at="data").load(keep=splitter.columns)
    stream: Stream = splitter.build(dataset)
    if (path := config.get("privacy", {}).get("key")) is None:
        return dataset, stream
    return dataset, replace(stream, aliases=np.array(pseudonyms(stream.users, key_at(Path(path))), object))


def rows(config: Config) -> tuple[str, ...]:
    """Return which scorers are rows of the table."""
    found = tuple(dict.fromkeys(config["scorer"]["rows"]))
    if odd := [r for r in found if r not in SCORERS]:
        raise GnnrecError(f"scorer.rows={odd[0]} is not known{nearest(odd[0], SCORERS)}")
    if not found:
        raise GnnrecError(f"scorer.rows=[] leaves nothing to score; allowed: {', '.join(SCORERS)}")
    return found


def measure(config: Config, stream: Stream) -> Settings:
    """Return how a run on this stream is evaluated."""
    evaluation = dict(config["evaluation"])
    evaluation.pop("graph")
    topk = evaluation["topk"]
    if 20 not in topk or min(topk) < 1:
        raise GnnrecError(f"evaluation.topk must hold 20, the cut-off of tables and selection, got {list(topk)}")
    # A file of YAML that says `off` without quotes means False by it.
    evaluation["matrix"] = "off" if evaluation["matrix"] is False else evaluation["matrix"]
    for key, allowed in (("candidates", CANDIDATES), ("mask", MASKS), ("matrix", MATRICES)):
        if (found := evaluation[key]) not in allowed:
            raise GnnrecError(f"evaluation.{key}={found} is not known{nearest(str(found), allowed)}")
    told = {field: getattr(Settings.of(stream), field) for field in ("positive_from", "explicit", "universe")}
    made: Settings = instantiate({TARGET: "gnnrec.evaluation.settings.Settings", **evaluation}, at="evaluation", **told)
    if made.block < 1:
        raise GnnrecError(f"evaluation.block={made.block} must be 1 or more users")
    return made


def learner(config: Config, setting: Scenario) -> Learner:
    """Return the untrained learner of a run."""
    allow = _allowed(config)
    fit, base = fits(config)
    return Learner(
        instantiate(config["encoder"], allow, at="encoder"),
        objective(config, setting.stream),
        fit=fit,
        base_fit=base,
        view=instantiate(config["graph"], allow, at="graph"),
        initial=instantiate(config["init"], allow, at="init"),
        grid=_grid(config, setting, allow),
        companion=companion(config) if "blend" in setting.scorers else None,
        measure=setting.measure,
        trainer=dict(config["trainer"]),
        seed=int(config["seed"]),
    )


def objective(config: Config, stream: Stream) -> Objective:
    """Return the objective of a run, untrained."""
    given = dict(config["objective"])
    if given.get("feedback", "set") is None:
        given["feedback"] = stream.feedback
    made: Objective = instantiate(given, _allowed(config), at="objective")
    return made


def selected_by(configs: Iterable[Config], stream: Stream) -> str:
    """Return the valid metric by which the models of all runs are selected; "ndcg" where they differ."""
    different = {json.dumps(config["objective"], sort_keys=True, default=str): config for config in configs}
    found = {objective(config, stream).selects_by for config in different.values()}
    return found.pop() if len(found) == 1 else "ndcg"


def _grid(config: Config, setting: Scenario, allow: list[str]) -> Grid:
    """Return what the blend chooses from; the model alone where no row is served by a blend."""
    grid: Grid = instantiate(config["scorer"]["grid"], allow, at="scorer.grid")
    return grid if "blend" in setting.scorers else grid.model_alone()


def fits(config: Config) -> tuple[FitSettings, FitSettings]:
    """Return the fit settings of updates and of the base."""
    update = {k: v for k, v in config["fit"].items() if k != "base"}
    return instantiate(update, at="fit"), instantiate(config["fit"]["base"], at="fit.base")


def strategy(config: Config) -> Strategy:
    """Return the strategy of a run."""
    made: Strategy = instantiate(config["strategy"], _allowed(config), at="strategy")
    return made


def policy(config: Config) -> UpdatePolicy:
    """Return when a run updates."""
    made: UpdatePolicy = instantiate(config.get("policy", EVERY), _allowed(config), at="policy")
    return made


def companion(config: Config) -> Untrained | None:
    """Return what the blend sets beside the model, without events; None: ItemKNN, which is counted anyway."""
    node = config["scorer"].get("companion")
    if node is None:
        return None
    made = _untrained(node, "scorer.companion", config)
    if isinstance(made, Untrained):
        return made.cold()
    if made.row != "itemknn":
        raise GnnrecError(f"scorer.companion={made.row} is made of counts that the blend has anyway; itemknn is usual")
    return None


def references(config: Config) -> Mapping[str, Counted | Untrained]:
    """Return the reference rows that rank, by name; a configuration of before there was a choice has the usual ones."""
    nodes = config.get("references")
    if nodes is None:
        return USUAL
    made = {row: _untrained(node, f"references.{row}", config) for row, node in nodes.items()}
    # What a blend adds to its companion can be told beside the same blend without a model alone.
    return made if companion(config) is None or "blend" not in rows(config) else {**made, BESIDE: Counted(BESIDE)}


def _untrained(node: Config, at: str, config: Config) -> Counted | Untrained:
    made: object = instantiate(node, _allowed(config), at=at)
    if not isinstance(made, Counted | Untrained):
        raise GnnrecError(f"{at}._target_={node[TARGET]} is no Untrained; see gnnrec/untrained/base.py")
    return made


def base_digest(config: Config, stream: Stream) -> str:
    """Return the hash of everything that defines the base model of a run, the code of its plug-ins included."""
    return _digest({**_base_parts(config), **_data(stream)})


def _base_parts(config: Config) -> dict[str, Any]:
    parts = {key: config[key] for key in BASE_KEYS} | {"trainer": identity(config["trainer"])}
    # What is taken back is in the stream's fingerprint, wherever the file that names it lies.
    parts["stream"] = {k: v for k, v in config["stream"].items() if k != "removals"}
    own = {"fit": config["fit"]["base"], "seed": config["seed"], "code": _code(parts, config)}
    return {**parts, **own, "protocol": protocol_hash(config)}


def model_digest(config: Config, stream: Stream) -> str:
    """Return the hash of everything that the base model is made of, whatever comes after the base."""
    data = _read_as(stream)
    data.pop("aliases", None)
    data["feedback"] = stream.feedback
    measured = measure(config, stream)
    universe = measured.universe if measured.candidates == "universe" else None
    made = {"events": observed_hash(stream.increments[0].observed), "universe": universe}
    return _digest({**_base_parts(config), **data, **made})


def run_digest(config: Config, stream: Stream) -> str:
    """Return the hash of everything that defines a run's results, the code of its plug-ins included."""
    strategy, policy = config["strategy"], config.get("policy", EVERY)
    own = {"strategy": strategy, "fit": config["fit"], "code": _code(strategy, config)}
    own |= {} if policy == EVERY else {"policy": policy, "policy_code": _code(policy, config)}
    return _digest({**own, "base": base_digest(config, stream)})


def settings_hash(config: Config) -> str:
    """Return the hash of what made the model of a run beside its data and code: a configuration may be changed by hand."""
    parts = {key: config[key] for key in (*BASE_KEYS, "strategy", "fit", "seed")}
    return _digest(parts | {"trainer": identity(config["trainer"])})


def reference_digest(config: Config, stream: Stream) -> str:
    """Return the hash of everything that defines the reference rows."""
    rows = config.get("references")
    blend = {key: config["scorer"].get(key) for key in ("grid", "companion")}
    parts = {**blend, "evaluation": config["evaluation"], "references": rows}
    code = _code({"references": rows, **blend}, config)
    measured = {"code": code, "protocol": protocol_hash(config), "references_version": REFERENCES}
    return _digest({**_data(stream), **parts, **measured})


def protocol_hash(config: Config) -> str:
    """Return the hash of how rows are measured; rows of different hashes do not share a table."""
    evaluation = {k: v for k, v in config["evaluation"].items() if k not in UNMEASURED}
    return _digest({"protocol": PROTOCOL, "evaluation": evaluation})


def _code(parts: Any, config: Config) -> dict[str, Any]:
    """Return what says which code makes `parts` of a run: gnnrec's version, and the plug-ins' files."""
    return {"gnnrec": __version__, "plugins": sources(parts, _allowed(config))}


def _data(stream: Stream) -> dict[str, Any]:
    """Return what defines the events: their hash, and how they are read where that is not what their values suggest."""
    read = {"data": stream.fingerprint, **_read_as(stream)}
    values = np.concatenate([p.value for i in stream.increments for p in (i.observed.train, i.observed.valid, i.test)])
    constant = not len(values) or bool((values == values[0]).all())
    if constant != (stream.feedback == "implicit"):
        read["feedback"] = stream.feedback
    return read


def _read_as(stream: Stream) -> dict[str, Any]:
    read: dict[str, Any] = {} if stream.positive_from is None else {"positive_from": stream.positive_from}
    if (
        stream.aliases is not None
    ):  # tables under other names are others: users of two runs are told to be the same by them
        read["aliases"] = hashlib.sha256("\n".join(stream.aliases).encode()).hexdigest()
    return read


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=5).hexdigest()


def _allowed(config: Config) -> list[str]:
    return [str(p) for p in config["plugins"]["allow"]]
