"""What a list of the configuration names: files of a group, by name or as {name: {parameter: value}}."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from gnnrec.config.instantiate import TARGET
from gnnrec.config.options import LISTED, folder, leaves
from gnnrec.core.errors import GnnrecError, nearest, one_line


def entry(given: Any, key: str, kind: str, known: Iterable[str]) -> tuple[str, Mapping[str, Any]]:
    """Return (name, parameters) of an entry of a list.

    Args:
        given: a name, or {name: {parameter: value}}.
        key: of the list, for errors.
        kind: what it lists, for errors.
        known: the names there are.
    """
    name, parameters = next(iter(given.items())) if isinstance(given, Mapping) and len(given) == 1 else (given, {})
    if not isinstance(parameters or {}, Mapping):
        raise GnnrecError(f"{key}: {name} needs {{parameter: value}}, got {one_line(str(parameters))}")
    if not isinstance(name, str) or name not in known:
        raise GnnrecError(f"there is no {kind} '{one_line(str(name))}'{nearest(str(name), known)}")
    return str(name), parameters or {}


def row_of(name: str, parameters: Mapping[str, Any], names: Sequence[str]) -> str:
    """Return what a row is called: its name, and its parameters where another row has that name too."""
    settings = [f"{k}={v}" for k, v in leaves(parameters).items()]
    return f"{name}[{','.join(settings)}]" if names.count(name) > 1 and settings else name


def references(entries: Sequence[Any], extra: Path | None = None) -> dict[str, dict[str, Any]]:
    """Return row → description of every reference that a list names, in its order; repeats once.

    Args:
        entries: of the key `references`.
        extra: the user's own folder of configuration, whose files come first.
    """
    files = _files(extra)
    found = [entry(given, "references", LISTED, files) for given in entries]
    names = [name for name, _ in found]
    return {row_of(name, own, names): _merged(_read(files[name]), own) for name, own in found}


def companion(given: Any, extra: Path | None = None) -> dict[str, Any]:
    """Return the description of the reference that the key `scorer.companion` names.

    Args:
        given: its name, {name: {parameter: value}}, or a description as this function gives it.
        extra: the user's own folder of configuration, whose files come first.
    """
    if isinstance(given, Mapping) and TARGET in given:
        return dict(given)
    files = _files(extra)
    name, own = entry(given, "scorer.companion", LISTED, files)
    return _merged(_read(files[name]), own)


def _merged(whole: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the description with its own parameters, those of an inner description too; a new target takes its place whole."""
    inner = {
        name: _merged(whole[name], value)
        for name, value in own.items()
        if isinstance(value, Mapping) and TARGET not in value and _describes(whole.get(name))
    }
    return {**whole, **own, **inner}


def _describes(value: Any) -> bool:
    return isinstance(value, Mapping) and TARGET in value


def _files(extra: Path | None) -> dict[str, Path]:
    roots = [folder(), *([extra] if extra else [])]
    return {path.stem: path for root in roots for path in sorted(Path(root).glob(f"{LISTED}/*.yaml"))}


def _read(path: Path) -> dict[str, Any]:
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise GnnrecError(f"{one_line(str(path))} is no mapping of keys; it needs _target_ and its arguments")
    return found
