"""Is a value of the kind that is wanted? What a configuration holds against the type of what it is for."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any, Union, get_args, get_origin

from gnnrec.core.errors import GnnrecError, one_line

_NAMES = {int: "a whole number", float: "a number", str: "text", bool: "true or false", type(None): "null"}


def fitting(value: Any, kind: Any, key: str) -> Any:
    """Return `value` as `kind` wants it (1e4 for a whole number, 1 for a number, 7 for text), or say what it should be.

    Only numbers, text, true/false and null are judged, alone or in lists; anything else is left to its receiver.

    Args:
        value: from the configuration.
        kind: type annotation.
        key: dotted key, for the error.
    """
    kinds = get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
    plain = [k for k in kinds if k in _NAMES]
    if type(value) in plain:
        return value
    for one in plain:
        if (found := _as(value, one)) is not None:
            return found
    others = [k for k in kinds if k not in _NAMES]
    if others and not (all(_is_list(k) for k in others) and not isinstance(value, list | tuple)):
        return _elements(value, others, key)
    lists = [f"a list of {_kind(k)}" for k in others]
    wanted = [_NAMES[k] for k in plain if k is not type(None)] + lists + ["null"] * (type(None) in plain)
    raise GnnrecError(f"{key}={one_line(str(value))} is not {' or '.join(wanted)}")


def _as(value: Any, kind: type) -> Any:
    """Return the value as this plain kind, None where it is no such thing."""
    if isinstance(value, bool):
        return None
    if kind is int:
        return int(value) if isinstance(value, int | float) and value == value // 1 else None
    if kind is float:
        return float(value) if isinstance(value, int | float) else None
    return str(value) if kind is str and isinstance(value, str | int | float) else None


def _elements(value: Any, kinds: list[Any], key: str) -> Any:
    """Check the elements of a list where the annotation says what they are."""
    if len(kinds) != 1 or not _is_list(kinds[0]) or not isinstance(value, list | tuple):
        return value
    inner = get_args(kinds[0])
    if not inner or inner[0] not in _NAMES:
        return value
    checked = [fitting(v, inner[0], key) for v in value]
    return tuple(checked) if get_origin(kinds[0]) is tuple else checked


def _is_list(kind: Any) -> bool:
    origin = get_origin(kind)
    return isinstance(origin, type) and not issubclass(origin, Mapping) and (hasattr(origin, "index") or origin is list)


def _kind(kind: Any) -> str:
    inner = get_args(kind)
    return {int: "whole numbers", float: "numbers", str: "texts"}.get(inner[0], "values") if inner else "values"
