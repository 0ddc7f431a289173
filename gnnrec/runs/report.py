"""Table, figures and report again, from finished runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from gnnrec.config import options as conf
from gnnrec.config.instantiate import TARGET
from gnnrec.core.errors import GnnrecError
from gnnrec.evaluation.record import Name
from gnnrec.runs import build, saved
from gnnrec.runs.alike import by_policy, setting
from gnnrec.runs.build import Config
from gnnrec.runs.compare import joined
from gnnrec.runs.folder import Frames, differing, named, read_frames
from gnnrec.runs.pages import Report, report
from gnnrec.runs.progress import Progress
from gnnrec.runs.saved import Saved
from gnnrec.runs.shared import references

MEASURED = ("evaluation.", "data.positive_from", "data.feedback")
"""Keys that must agree, or the rows are measured differently."""


def rebuild(
    folders: Sequence[Path],
    command: str,
    progress: Progress,
    allow: Sequence[str] = (),
    data: Sequence[str] = (),
    latex: bool = False,
    vectors: Sequence[str] = (),
) -> Report:
    """Return the report of every finished run in `folders`, written under the first folder.

    Runs of one row under other settings become rows of their own, named by what differs.

    Args:
        folders: of runs, or folders that hold such.
        command: what was typed, for the record.
        progress: where to show it.
        allow: prefixes of plug-ins that the runs may import.
        data: where the log or the store lies now; none: where the runs read it.
        latex: write the tables as LaTeX too.
        vectors: "svg", "pdf": write the figures as these too.

    Raises:
        GnnrecError: nothing finished, or runs on different data or measured differently.
    """
    runs = _finished([run for folder in folders for run in saved.find(folder)], progress)
    if not runs:
        raise GnnrecError(f"no finished run in {', '.join(map(str, folders))}")
    for other in runs[1:]:
        _comparable(runs[0], other)
    scene, config = saved.scene_of(runs[0], allow, data), runs[0].config
    if len({json.dumps(run.config["scorer"].get("companion"), sort_keys=True) for run in runs}) > 1:
        progress.say(f"blends with several companions: the reference row of one is that of {runs[0].folder.name}")
    if len({json.dumps(run.config["scorer"]["grid"], sort_keys=True) for run in runs}) > 1:
        progress.say(f"blends with several grids: that of reference rows is that of {runs[0].folder.name}")
    frames = [read_frames(run.folder) for run in runs]
    rows = names([run.config for run in runs], frames)
    parts = [named(f, name) for f, name in zip(frames, rows, strict=True)]
    alike = by_policy([(name.strategy, run.config) for name, run in zip(rows, runs, strict=True)])
    config = {**config, "output": str(_root(folders[0])), "figures": True}
    if (now := build.protocol_hash(config)) == runs[0].protocol:
        parts.append(references(config, scene, progress))
    else:
        was = runs[0].protocol or "of an older version"
        progress.say(f"measured by protocol {was}, which is {now} by now: reference rows would not compare, left out")
    named_runs = [run.folder.name for run in runs]
    selected = build.selected_by([run.config for run in runs], scene.setting.stream)
    shown = joined(parts, config), config, scene, command, named_runs
    return report(*shown, latex=latex, vectors=vectors, selected=selected, alike=alike)


def _finished(runs: Sequence[Saved], progress: Progress) -> list[Saved]:
    """Return the finished runs, one of those that are the same, and say which are left out."""
    kept: dict[str, Saved] = {}
    for run in runs:
        if not run.done:
            progress.say(f"{run.folder.name}: not finished, left out (resume=true goes on with it)")
        elif run.folder.name in kept:
            progress.say(f"{run.folder}: the same run as {kept[run.folder.name].folder}, left out")
        else:
            kept[run.folder.name] = run
    return list(kept.values())


def _root(folder: Path) -> Path:
    """Return the output folder that a folder of one run lies in, or the folder itself."""
    return folder.resolve().parent if (folder / "status.json").is_file() else folder


def _comparable(one: Saved, other: Saved) -> None:
    if other.fingerprint != one.fingerprint:
        if one.versions and other.versions and one.versions != other.versions:
            how = differing(one.versions, other.versions)
            raise GnnrecError(f"{one.folder} and {other.folder} ran on different data: {how}; compare runs of one")
        cut = _difference(one, other, ("stream.",))
        what = "" if _difference(one, other, ("data.",)) or not cut else "; rows of one table are scored on one stream"
        raise GnnrecError(
            f"{one.folder} and {other.folder} ran on different {'streams' if what else 'data'} ({one.fingerprint[:12]} and "
            f"{other.fingerprint[:12]}{_difference(one, other, ('data.', 'stream.'))}); compare runs of one data set "
            f"and stream{what}"
        )
    if found := _difference(one, other, MEASURED):
        raise GnnrecError(f"{one.folder} and {other.folder} are measured differently{found}")
    if one.protocol != other.protocol:
        raise GnnrecError(
            f"{one.folder} and {other.folder} are measured differently: by protocol {one.protocol or 'of an older version'} "
            f"and {other.protocol or 'of an older version'}; report them apart, or run the older one again"
        )


def _difference(one: Saved, other: Saved, keys: tuple[str, ...]) -> str:
    a, b = conf.leaves(one.config), conf.leaves(other.config)
    odd = [k for k in dict.fromkeys([*a, *b]) if k.startswith(keys) and a.get(k) != b.get(k)]
    return f": {odd[0]}={a.get(odd[0])} and {b.get(odd[0])}" if odd else ""


def names(configs: Sequence[Config], frames: Sequence[Frames]) -> list[Name]:
    """Return what each run's rows are called: by strategy, and by what differs where one has several settings."""
    rows = [str(f["results"]["strategy"][0]) for f in frames]
    settings = [setting(config) for config in configs]
    found = []
    for row, own, config in zip(rows, settings, configs, strict=True):
        like = [s for r, s in zip(rows, settings, strict=True) if r == row]
        text = ",".join(_told(k, own[k]) for k in own if _tells_apart(k, own, like))
        experiment = str(configs[0]["name"])
        found.append(Name(experiment, f"{row}[{text}]" if text else row, int(config["seed"])))
    return found


def _tells_apart(key: str, setting: Config, like: Sequence[Config]) -> bool:
    """Tell whether a key differs among like rows: a class, what all of them have, or what rows of the same class have."""
    kind = _kind(key, setting)
    everywhere = key == kind or all(key in s for s in like)
    same = like if everywhere else [s for s in like if s.get(kind) == setting.get(kind)]
    return len({json.dumps(s.get(key), default=str) for s in same}) > 1


def _kind(key: str, setting: Config) -> str:
    """Return the key of the class that a key is a parameter of, the nearest around it; of its group where there is none."""
    parts = key.split(".")
    around = [".".join([*parts[:n], TARGET]) for n in range(len(parts) - 1, 0, -1)]
    return next((k for k in around if k in setting), f"{parts[0]}.{TARGET}")


def _told(key: str, value: object) -> str:
    """Return a key and its value as a row's name has them: a class by its own name."""
    if key.endswith(f".{TARGET}"):
        return f"{key.removesuffix(f'.{TARGET}')}={str(value).rpartition('.')[2]}"
    return f"{key.removeprefix('strategy.')}={value}"
