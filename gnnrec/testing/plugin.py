"""A plug-in's YAML under the contract of its kind: what `gnnrec check` runs."""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from gnnrec.config.compose import compose
from gnnrec.config.instantiate import TARGET, instantiate
from gnnrec.core.errors import GnnrecError, nearest

SUITES = {
    "strategy": "gnnrec.testing.strategies.StrategyContract",
    "encoder": "gnnrec.testing.encoders.EncoderContract",
    "objective": "gnnrec.testing.objectives.ObjectiveContract",
    "data": "gnnrec.testing.datasets.DatasetContract",
}
"""By the group of the configuration, which is the folder the YAML lies in."""


def suite(path: Path) -> type:
    """Return the tests of the plug-in that a YAML describes."""
    make = maker(path)
    module, _, name = SUITES[path.parent.name].rpartition(".")
    contract = getattr(importlib.import_module(module), name)
    return type(f"Test{path.stem}", (contract,), {"make": staticmethod(make)})


def build(path: Path) -> Any:
    """Return the plug-in that a YAML describes.

    Raises:
        GnnrecError: there is no such file, no contract for its folder, or it cannot be built.
    """
    return maker(path)()


def maker(path: Path) -> Callable[[], Any]:
    """Return what builds the plug-in."""
    group = path.parent.name
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise GnnrecError(f"{path} {what}; name a file such as my_conf/strategy/mine.yaml")
    if group not in SUITES:
        raise GnnrecError(
            f"{path}: its folder says what it is, such as my_conf/strategy/mine.yaml, and '{path.absolute().parent.name}' "
            f"is no kind of plug-in{nearest(group, SUITES)}"
        )

    @cache
    def node() -> dict[str, Any]:
        found = compose([f"{group}={path.stem}"], path.resolve().parents[1])[group]
        if not isinstance(found, Mapping) or TARGET not in found:
            raise GnnrecError(f"{path} has no {TARGET}: it must say which class it configures")
        return dict(found)

    def make() -> Any:
        # Who checks a file means to import what it names.
        try:
            return instantiate(node(), [f"{t.partition('.')[0]}." for t in _targets(node())], at=group)
        except GnnrecError:
            raise
        except Exception as error:  # of the plug-in's own code, as it is imported or made
            raise GnnrecError(f"{path} cannot be built: {_place(error)}{type(error).__name__}: {error}") from error

    return make


def _place(error: Exception) -> str:
    """Return where the error was raised, as "file, line n: "."""
    if isinstance(error, SyntaxError):
        return ""  # says so itself
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(last.filename).name}, line {last.lineno}: "


def _targets(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        yield from (str(v) for k, v in node.items() if k == TARGET)
    for inner in node.values() if isinstance(node, Mapping) else node if isinstance(node, list) else ():
        yield from _targets(inner)
