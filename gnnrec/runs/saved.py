"""What a run folder holds, read back: configuration, state, tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from gnnrec.core import ranks
from gnnrec.core.errors import GnnrecError, one_line
from gnnrec.learner import Learner
from gnnrec.policies.pace import taken
from gnnrec.runs import build, state
from gnnrec.runs.build import Config, Scene
from gnnrec.runs.folder import differing


@dataclass(frozen=True, slots=True)
class Saved:
    """A run folder with its configuration, the hashes of the data it ran on, of how it was measured and of what made its model
    ("" before there were any), and of a store the versions it saw.
    """

    folder: Path
    config: Config
    fingerprint: str
    done: bool
    versions: dict[str, str] = field(default_factory=dict)
    protocol: str = ""
    settings: str = ""


def find(folder: Path) -> list[Saved]:
    """Return the runs in `folder`, itself or those below it, by name.

    Raises:
        GnnrecError: there is none.
    """
    places = [folder, *sorted(p for p in folder.glob("*") if p.is_dir())] if folder.is_dir() else []
    found = [_read(p) for p in places if (p / "config.yaml").is_file() and (p / "status.json").is_file()]
    if not found:
        raise GnnrecError(f"{folder} holds no run: name a folder written by `gnnrec run` or `gnnrec compare`")
    return found


def one(folder: Path) -> Saved:
    """Return the one run in a folder, on a store or on files.

    Raises:
        GnnrecError: there is none, or there are several.
    """
    found = find(folder)
    if len(found) > 1:
        names = ", ".join(r.folder.name for r in found[:5])
        raise GnnrecError(f"{folder} holds {len(found)} runs; name the folder of one: {names}")
    return found[0]


def _safe(text: str) -> Any:
    """Return what `yaml.safe_load` does, by libyaml where it is there, in a tenth of the time: a bundle waits for it."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def _read(folder: Path) -> Saved:
    try:
        config = _safe((folder / "config.yaml").read_text())
        if "trainer" in config:  # what was spread over ranks goes on in one process
            config["trainer"] = ranks.alone(config["trainer"])
        status = json.loads((folder / "status.json").read_text())
        versions = dict(status.get("versions", {}))
        return Saved(
            folder,
            config,
            str(status["fingerprint"]),
            status["status"] == "done",
            versions,
            str(status.get("protocol", "")),
            str(status.get("settings", "")),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise GnnrecError(f"{folder} is damaged: {one_line(str(error))}; run it again") from error


def scene_of(saved: Saved, allow: Sequence[str] = (), data: Sequence[str] = ()) -> Scene:
    """Load the data of a run again, and refuse it where it is not what the run saw.

    Args:
        saved: the run.
        allow: prefixes of plug-ins that may be imported; what a run folder allows itself does not count.
        data: where the log or the store lies now; none: where the run read it.
    """
    scene = scene_now(saved, allow, data)
    if (now := scene.setting.stream.fingerprint) != saved.fingerprint:
        raise GnnrecError(
            f"the data have changed since {saved.folder} ran: fingerprint {saved.fingerprint[:12]} then, {now[:12]} now"
            f"{_how(saved, scene)}; restore the data or run it again{_forget(saved)}"
        )
    return scene


def scene_now(saved: Saved, allow: Sequence[str] = (), data: Sequence[str] = ()) -> Scene:
    """Load the data of a run as they are now, changed or not; arguments as of `scene_of`."""
    check_trusted(saved, allow)
    config = _moved(saved.config, data)
    if saved.versions:  # a store that has grown since still holds what the run saw
        config = {**config, "data": {**config["data"], "version": max(map(int, saved.versions))}}
    try:
        return build.scene(config)
    except GnnrecError as error:
        if data or not _gone(config):
            raise
        raise GnnrecError(f"{error}; --data PATH says where the data are now") from error


def check_trusted(saved: Saved, allow: Sequence[str]) -> None:
    """Refuse a configuration that names plug-ins which are not allowed here, or that was changed.

    Raises:
        GnnrecError: one of these.
    """
    wanted = [str(p) for p in saved.config["plugins"]["allow"]]
    if odd := [p for p in wanted if p not in allow]:
        raise GnnrecError(f"{saved.folder} was run with plug-ins; if you trust it, add --allow {odd[0]}")
    check_settings(saved)


def check_settings(saved: Saved) -> None:
    """Refuse a configuration that is not the one that made the run.

    Raises:
        GnnrecError: it was changed.
    """
    try:
        now = build.settings_hash(saved.config) if saved.settings else ""
    except (KeyError, TypeError) as error:
        now = f"{error} is missing"
    if now != saved.settings:
        raise GnnrecError(
            f"{saved.folder / 'config.yaml'} was changed since the run was made by it ({now}, was {saved.settings}); put it "
            "back, or run it again"
        )


def _moved(config: Config, data: Sequence[str]) -> Config:
    """Return the configuration with the data's path set."""
    if not data:
        return config
    if "path" not in config["data"]:
        raise GnnrecError(f"--data {data[0]}: data={config['data'].get('name')} is read from no path")
    paths = [str(Path(p).absolute()) for p in data]
    return {**config, "data": {**config["data"], "path": paths[0] if len(paths) == 1 else paths}}


def _gone(config: Config) -> bool:
    """Return whether a path of the data is not there."""
    found = config["data"].get("path")
    return any(not Path(str(p)).expanduser().exists() for p in (found if isinstance(found, list) else [found]) if p)


def _how(saved: Saved, scene: Scene) -> str:
    now = {str(number): content for number, content in scene.setting.stream.versions.items()}
    return f" ({differing(saved.versions, now)})" if saved.versions and now else ""


def _forget(saved: Saved) -> str:
    return "; after `gnnrec data forget`, `gnnrec update STORE RUN --forget ID` makes it anew" if saved.versions else ""


def newest_learner(saved: Saved, scene: Scene) -> Learner:
    """Return the learner as the run's newest state left it."""
    if saved.protocol and saved.protocol != build.protocol_hash(saved.config):
        raise GnnrecError(
            f"{saved.folder} was trained under another version of the protocol ({saved.protocol}, now "
            f"{build.protocol_hash(saved.config)}), whose models score in another way; run it again, or use the gnnrec of then"
        )
    found = state.load_newest(saved.folder / "state")
    if found is None:
        raise GnnrecError(f"{saved.folder} holds no state: it has not finished its first increment")
    learner = build.learner(saved.config, scene.setting)
    learner.follow(taken([i.observed for i in scene.setting.stream.increments], found.meta), found.meta)
    learner.load_state_dict(found.weights, found.meta)
    strategy = build.strategy(saved.config)
    strategy.load_state_dict(found.strategy)
    strategy.serve(learner)  # what a run served is what its lists are by
    return learner
