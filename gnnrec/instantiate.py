"""Objects from configuration: `_target_` names a class, the other keys are its arguments.

Smaller than Hydra's own on purpose: only targets below `gnnrec.` or an allowed prefix are imported, and a wrong argument
is answered with the nearest right one.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from gnnrec.errors import GnnrecError, nearest, one_line

TARGET = "_target_"
_IGNORED = {TARGET, "_convert_"}


def instantiate(node: Any, allow: Sequence[str] = (), **more: Any) -> Any:
    """Return the object that `node` describes; nested descriptions first, `more` as further arguments.

    Args:
        node: mapping with `_target_`, or any plain value.
        allow: prefixes beside ``gnnrec.`` that a target may have.
        more: arguments that configuration cannot hold.

    Raises:
        GnnrecError: target not allowed, not found, or given arguments it does not take.
    """
    if isinstance(node, Mapping):
        values = {k: instantiate(v, allow) for k, v in node.items() if k not in _IGNORED}
        return _call(str(node[TARGET]), {**values, **more}, allow) if TARGET in node else values
    if isinstance(node, list | tuple):
        return [instantiate(v, allow) for v in node]
    return node


def _call(target: str, arguments: dict[str, Any], allow: Sequence[str]) -> Any:
    function = _find(target, allow)
    known = inspect.signature(function).parameters
    for name in arguments:
        if name not in known:
            raise GnnrecError(f"{target} takes no '{one_line(name)}'{nearest(name, known)}")
    try:
        return function(**arguments)
    except TypeError as error:
        raise GnnrecError(f"{target} cannot be built: {one_line(str(error))}") from error


def _find(target: str, allow: Sequence[str]) -> Any:
    prefixes = ("gnnrec.", *allow)
    if not target.startswith(prefixes):
        raise GnnrecError(
            f"_target_ '{one_line(target)}' is not allowed; it must begin with {' or '.join(prefixes)} "
            "(plugins.allow adds prefixes)"
        )
    module, _, name = target.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise GnnrecError(f"_target_ '{one_line(target)}' cannot be found: {one_line(str(error))}") from error
