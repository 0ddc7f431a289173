"""How two runs differ: in what they are, in what they were made by, and in what came of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gnnrec.config.options import leaves
from gnnrec.core.environment import differing_values
from gnnrec.reporting.listing import outcome
from gnnrec.reporting.tables import NA, number
from gnnrec.runs.again import environment
from gnnrec.runs.folder import differing
from gnnrec.runs.saved import Saved

PLACES = ("output", "resume", "threads", "figures")
"""Keys of where and how a run was made, not of what it is: named last."""


def differences(one: Saved, other: Saved, k: int = 20) -> Iterator[str]:
    """Yield how two runs differ, a line each: configuration, data, protocol, what they were made by, and what came of it."""
    yield from _settings(one.config, other.config)
    if one.fingerprint != other.fingerprint:
        how = f": {differing(one.versions, other.versions)}" if one.versions and other.versions else ""
        yield f"data or stream: {one.fingerprint[:12]} and {other.fingerprint[:12]}{how}"
    if one.protocol != other.protocol:
        yield f"protocol: {one.protocol or NA} and {other.protocol or NA}: they are measured differently"
    made, also = (environment.read(run.folder) for run in (one, other))
    if made is None or also is None:
        yield f"made by: {(one if made is None else other).folder} does not say"
    else:
        for part in environment.PARTS:
            told = differing_values(made[-1][part], also[-1][part])
            yield from (f"{part}: {name} {here} and {there}" for name, here, there in told)
    first, second = (outcome(run.folder, k) for run in (one, other))
    yield from (f"{name}: {number(first[name], 4)} and {number(second[name], 4)}" for name in first)


def _settings(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[str]:
    a, b = leaves(one), leaves(other)
    odd = [key for key in dict.fromkeys([*a, *b]) if a.get(key, NA) != b.get(key, NA)]
    for key in sorted(odd, key=lambda key: key.split(".")[0] in PLACES):
        yield f"{key}: {a.get(key, NA)} and {b.get(key, NA)}"
