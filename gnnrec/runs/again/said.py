"""What became of a run that was made again, in lines for a terminal."""

from __future__ import annotations

import polars as pl

from gnnrec.reporting import terminal
from gnnrec.runs.again.compare import Compared
from gnnrec.runs.again.reproduce import Reproduction
from gnnrec.runs.cost import TIMED

NOTHING = "nothing that is recorded differs: look for what a plug-in reads, or a policy or strategy that weighs seconds"
_SCHEMA = {"part": pl.String(), "what differs": pl.String(), "weights": pl.Float64(), "recall@20": pl.Float64()}


def said(found: Reproduction, name: str) -> str:
    """Return whether a run came out the same, what differs first, and what it was made by that is another by now."""
    lines = [f"{name}: {'bit-identical' if found.identical else _verdict(found)}"]
    if found.parts and found.identical:
        states = [p.name for p in found.parts if p.weights is not None]
        timed = ", ".join(m for m in TIMED if not m.startswith("base_"))
        lines.append(f"  SHA-256 of the weights: {', '.join(states)}; tables: equal but for {timed}")
    elif found.parts:
        lines += _differences(found.parts)
    lines += _causes(found)
    return "\n".join(lines)


def _verdict(found: Reproduction) -> str:
    if not found.parts:
        return "not made again: its data are not what it saw"
    if any(p.same is False for p in found.parts):
        return "differs"
    return "no difference found, but not all of it can be read any more"


def _differences(parts: tuple[Compared, ...]) -> list[str]:
    """Return a table of the parts that differ or are damaged, the first to differ first, and which that is."""
    odd = [p for p in parts if not p.same]
    rows = [(p.name, p.what, p.weights, p.recall) for p in odd]
    table = terminal.plain(pl.DataFrame(rows, schema=_SCHEMA, orient="row")).rstrip()
    first = next((p for p in odd if p.same is False), None)
    begins = [] if first is None else [f"first: {first.name}; weights and recall@20: the largest difference"]
    return [*begins, table]


def _causes(found: Reproduction) -> list[str]:
    lines = []
    for part in dict.fromkeys(name for name, _ in found.causes):
        lines.append(f"  differs: {part} ({'; '.join(how for name, how in found.causes if name == part)})")
    if found.unknown:
        lines.append(f"  not recorded by this run, which is of an older version: {', '.join(found.unknown)}")
    if found.parts and not lines:
        same = "data, code, environment, device, threads: as recorded"
        lines.append(
            f"  {same}" if found.identical or all(p.same is not False for p in found.parts) else f"  {NOTHING}"
        )
    return lines
