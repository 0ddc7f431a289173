"""Objects from configuration: `_target_` names a class, the other keys are its arguments.

Smaller than Hydra's own on purpose: only targets below `gnnrec.` or an allowed prefix are imported, and a wrong
argument is answered with the nearest right one, a value of the wrong kind with the kind that is wanted.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

from gnnrec.config import check
from gnnrec.config.moved import present
from gnnrec.core.errors import GnnrecError, nearest, one_line

TARGET = "_target_"
_IGNORED = {TARGET, "_convert_"}


def instantiate(node: Any, allow: Sequence[str] = (), at: str = "", **more: Any) -> Any:
    """Return the object that `node` describes; nested descriptions first, `more` as further arguments.

    Args:
        node: mapping with `_target_`, or any plain value.
        allow: prefixes beside ``gnnrec.`` that a target may have.
        at: dotted key of `node` in the configuration, for errors.
        more: arguments that configuration cannot hold.

    Raises:
        GnnrecError: target not allowed, not found, or given arguments it does not take.
    """
    if isinstance(node, Mapping):
        inner = {k: instantiate(v, allow, f"{at}.{k}" if at else str(k)) for k, v in node.items() if k not in _IGNORED}
        return _call(str(node[TARGET]), {**inner, **more}, allow, at) if TARGET in node else inner
    if isinstance(node, list | tuple):
        return [instantiate(v, allow, at) for v in node]
    return node


def _call(target: str, arguments: dict[str, Any], allow: Sequence[str], at: str) -> Any:
    target = present(target)
    function, at = _find(target, allow), at or target
    try:
        known = inspect.signature(function).parameters
    except ValueError as error:  # of a class that is Python's own at heart, such as an exception
        raise GnnrecError(
            f"_target_ '{one_line(target)}' does not say what it takes: it is nothing to configure"
        ) from error
    for name in arguments:
        if name not in known:
            raise GnnrecError(f"{at} takes no '{one_line(str(name))}'{nearest(str(name), known)}")
    hints = _hints(function)
    fitting = {n: check.fitting(v, hints.get(n, Any), f"{at}.{n}") for n, v in arguments.items()}
    try:
        return function(**fitting)
    except (GnnrecError, MemoryError):
        raise
    except Exception as error:
        # Whatever a constructor of ours makes of a value that it cannot use; what a plug-in raises beside is its own affair.
        if not target.startswith("gnnrec.") and not isinstance(error, TypeError | ValueError):
            raise
        raise GnnrecError(f"{at}: {target} cannot be built: {one_line(str(error)) or repr(error)}") from error


def _hints(function: Any) -> dict[str, Any]:
    """Return the types of the arguments, none where they cannot be told."""
    is_plain_class = inspect.isclass(function) and not is_dataclass(function)
    try:
        return get_type_hints(function.__init__ if is_plain_class else function)
    except (NameError, TypeError):
        return {}


def _find(target: str, allow: Sequence[str]) -> Any:
    prefixes = ("gnnrec.", *allow)
    if not target.startswith(prefixes):
        raise GnnrecError(
            f"_target_ '{one_line(target)}' is not allowed; it must begin with {' or '.join(prefixes)} "
            "(plugins.allow adds prefixes)"
        )
    module, _, name = target.rpartition(".")
    if not target.startswith("gnnrec."):
        _reach_here()
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise GnnrecError(f"_target_ '{one_line(target)}' cannot be found: {one_line(str(error))}") from error
    if not callable(found):
        raise GnnrecError(f"_target_ '{one_line(target)}' is no class and no function")
    return found


def _reach_here() -> None:
    """Let plug-ins be found in the current folder, as Python does for a script; behind all else, so that they hide nothing."""
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)
