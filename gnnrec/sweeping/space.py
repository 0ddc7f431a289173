"""What a sweep searches: each key's choices or range, checked before anything is trained."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import optuna

from gnnrec.config import check
from gnnrec.core.errors import GnnrecError, nearest, one_line

MOVED = ("strategy", "fit", "encoder", "objective", "init", "graph")
"""Groups whose keys change what the valid events of increments 1 and 2 say of the model."""
GROUPS = ("encoder", "objective", "init", "graph")
"""Groups whose options can be choices."""
LIMITS = ("low", "high", "log", "type", "step")
_MOST = 2**53
_NEAR = 1e-9
"""Share of a step by which a number may lie beside it and still be on it."""

Plain = bool | int | float | str | None
Config = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Dimension:
    """One key of a space: choices, or the numbers from `low` to `high`.

    Attributes:
        key: dotted key, or a group.
        default: its configured value; the first trial has it.
        choices: values; empty: a range.
        low, high: ends of the range.
        log: whether the range is searched by its logarithm.
        whole: whether its numbers are whole.
        step: from one number to the next; None: 1 between whole numbers, any other number between others.
    """

    key: str
    default: Plain
    choices: tuple[Plain, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False
    step: float | None = None

    def suggest(self, trial: optuna.Trial) -> Plain:
        """Return the trial's value."""
        if self.choices:
            return trial.suggest_categorical(self.key, self.choices)
        if self.whole:
            return trial.suggest_int(self.key, int(self.low), int(self.high), step=int(self.step or 1), log=self.log)
        return trial.suggest_float(self.key, self.low, self.high, step=self.step, log=self.log)

    def values(self) -> tuple[Plain, ...] | None:
        """Return every value, in order; None: between two of them there is always another."""
        if self.choices:
            return self.choices
        step = self.step or (1 if self.whole else None)
        if step is None:
            return None
        count = int((self.high - self.low) / step * (1 + _NEAR)) + 1
        if self.whole:
            return tuple(range(int(self.low), int(self.low) + count * int(step), int(step)))
        return tuple(tidy(self.low + n * step) for n in range(count))

    def ends(self) -> tuple[Plain, ...]:
        """Return the values that a configuration must take before the search begins: the choices, or both ends."""
        whole = (int(self.low), int(self.high)) if self.whole else (self.low, self.high)
        return self.choices or whole

    def holds(self, value: Plain) -> bool:
        """Return whether the value can be searched."""
        if self.choices:
            return value in self.choices
        if not isinstance(value, int | float) or not self.low <= value <= self.high:
            return False
        steps = 0.0 if self.step is None else (value - self.low) / self.step
        return abs(steps - round(steps)) <= _NEAR * max(1.0, abs(steps))

    def shown(self) -> str:
        """Return the choices, or the range."""
        if self.choices:
            return str(list(self.choices))
        return f"[{self.low:g}, {self.high:g}]{'' if self.step is None else f' by steps of {self.step:g}'}"


def space_of(config: Config, option: Callable[[str], str]) -> tuple[Dimension, ...]:
    """Return what `sweep.space` asks to search, or the usual for this sweep, which takes in the configured setting.

    Args:
        config: composed.
        option: the option that a group has.

    Raises:
        GnnrecError: a key is not known or is none that a sweep can move, or its values are no choices and no range.
    """
    given, usual = config["sweep"]["space"], config["sweep"].get("usual")
    asked = _flat(usual if given is None else given)
    if not asked:
        raise GnnrecError("sweep.space is empty: write sweep.space={fit.lr: {low: 0.001, high: 0.1, log: true}}")
    found = [_dimension(key, values, _configured(config, key, option)) for key, values in asked.items()]
    return tuple(_taking_in(d) if given is None else _inside(d) for d in found)


def tree(chosen: Mapping[str, Plain]) -> dict[str, Any]:
    """Return chosen values as an experiment's YAML has them: groups among the defaults, keys nested."""
    nested: dict[str, Any] = {}
    if groups := [{f"override /{k}": v} for k, v in chosen.items() if k in GROUPS]:
        nested["defaults"] = groups
    for key, value in chosen.items():
        *path, name = key.split(".")
        if not path:
            continue
        node = nested
        for part in path:
            node = node.setdefault(part, {})
        node[name] = value
    return nested


def _flat(space: Any, prefix: str = "") -> dict[str, Any]:
    """Return dotted key -> choices or range, for spaces written with dotted keys and with nested ones."""
    if not isinstance(space, Mapping):
        return {}
    found: dict[str, Any] = {}
    for name, values in space.items():
        inner = isinstance(values, Mapping) and not {*LIMITS, "choices"} & {*values}
        deeper = inner and any(isinstance(v, Mapping | list) for v in values.values())
        found |= _flat(values, f"{prefix}{name}.") if deeper else {f"{prefix}{name}": values}
    return found


def _configured(config: Config, key: str, option: Callable[[str], str]) -> Plain:
    """Return the configured value of a key that a sweep can move."""
    parts = key.split(".")
    movable = f"keys of {', '.join(MOVED)} can, and the groups {', '.join(GROUPS)}"
    if parts[0] not in MOVED or key == "strategy" or key == "fit":
        raise GnnrecError(f"sweep.space: {one_line(key)} is nothing that a sweep can move; {movable}")
    if parts[-1] == "seed" or any(p.startswith("_") for p in parts):
        raise GnnrecError(f"sweep.space: {one_line(key)} is no setting that could be better: leave it out; {movable}")
    if len(parts) == 1:
        return option(key)
    value: Any = config
    for part in parts:
        if not isinstance(value, Mapping) or part not in value:
            known = sorted(str(k) for k in value) if isinstance(value, Mapping) else []
            raise GnnrecError(f"sweep.space names '{one_line(key)}', which is no key here{nearest(part, known)}")
        value = value[part]
    if not isinstance(value, Plain):
        raise GnnrecError(f"sweep.space: {key} holds several values; name one that holds one")
    return value


def _dimension(key: str, values: Any, default: Plain) -> Dimension:
    """Return a key's dimension, from {choices: […]}, a list, or {low, high, log, type}."""
    choices = values.get("choices") if isinstance(values, Mapping) and set(values) == {"choices"} else values
    if isinstance(choices, list | tuple):
        if not choices or not all(isinstance(v, Plain) for v in choices):
            raise GnnrecError(f"sweep.space: {key} needs choices that are numbers, texts, true, false or null")
        return Dimension(key, default, tuple(dict.fromkeys(choices)))
    if not isinstance(values, Mapping) or not {"low", "high"} <= set(values):
        raise GnnrecError(
            f"sweep.space: {key} needs {{choices: [a, b]}}, or {{low: a, high: b}}; got {one_line(str(values))}"
        )
    if odd := [k for k in values if k not in LIMITS]:
        raise GnnrecError(f"sweep.space: {key} takes no '{one_line(str(odd[0]))}'{nearest(str(odd[0]), LIMITS)}")
    return _range(key, values, default)


def _range(key: str, values: Mapping[str, Any], default: Plain) -> Dimension:
    at = f"sweep.space: {key}"
    low, high = (check.fitting(values[k], float, f"{at}: {k}") for k in ("low", "high"))
    log = check.fitting(values.get("log", False), bool, f"{at}: log")
    kind = values.get("type", "int" if all(_is_whole(v) for v in (values["low"], values["high"], default)) else "float")
    if kind not in ("int", "float"):
        raise GnnrecError(f"{at}: type={one_line(str(kind))} is not known; allowed: int, float")
    if not (math.isfinite(low) and math.isfinite(high) and low <= high and max(-low, high) <= _MOST):
        raise GnnrecError(f"{at}: low={low:g} and high={high:g} are no range; low must be the smaller")
    if log and low <= 0:
        raise GnnrecError(f"{at}: low={low:g} must be greater than 0 on a log scale; raise it, or set log: false")
    if kind == "int" and (low % 1 or high % 1):
        raise GnnrecError(f"{at}: type=int needs whole ends, got {low:g} and {high:g}")
    step = None if values.get("step") is None else _step(values["step"], at, log, kind)
    if step is not None:  # the highest number is one that steps reach
        high = low + int((high - low) / step * (1 + _NEAR)) * step
    return Dimension(key, default, low=low, high=high, log=log, whole=kind == "int", step=step)


def _step(value: Any, at: str, log: bool, kind: str) -> float:
    step = float(check.fitting(value, float, f"{at}: step"))
    if log:
        raise GnnrecError(f"{at}: step={step:g} has no meaning on a log scale; give choices: [a, b, …] instead")
    if not (math.isfinite(step) and step > 0) or (kind == "int" and step % 1):
        raise GnnrecError(f"{at}: step={step:g} must be above 0{', and whole for whole numbers' * (kind == 'int')}")
    return step


def tidy(value: float) -> float:
    """Return a number without what adding up steps leaves behind its twelfth digit."""
    return float(f"{value:.12g}")


def _is_whole(value: Any) -> bool:
    return type(value) is int


def _inside(one: Dimension) -> Dimension:
    """Refuse a space that somebody wrote and that does not hold the configured setting, which is the first trial."""
    if not one.holds(one.default):
        raise GnnrecError(
            f"sweep.space: {one.key}={one.default}, as configured, lies outside {one.shown()}; "
            f"widen it or set {one.key}"
        )
    return one


def _taking_in(one: Dimension) -> Dimension:
    """Return the dimension, wide enough for the configured value: the usual space is written for no experiment."""
    if one.holds(one.default):
        return one
    if one.choices:
        return replace(one, choices=(*one.choices, one.default))
    if isinstance(one.default, bool) or not isinstance(one.default, int | float) or (one.log and one.default <= 0):
        raise GnnrecError(
            f"sweep.space: {one.key}={one.default}, as configured, cannot lie between {one.low:g} and {one.high:g}; "
            f"set {one.key}, or give sweep.space"
        )
    if one.step is not None:
        raise GnnrecError(
            f"sweep.space: {one.key}={one.default}, as configured, is none of {one.shown()}; "
            f"set {one.key}, or give sweep.space"
        )
    return replace(one, low=min(one.low, one.default), high=max(one.high, one.default))
