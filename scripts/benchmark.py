"""Time gnnrec against its peers in one process on the same data: `python scripts/benchmark.py --json FILE`.

Ratios are medians over rounds in which the alternatives take turns, with the 10 % and 90 % quantiles beside them.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import torch
from bench import (
    accelerator,
    anchors,
    extend,
    growth,
    history,
    methods,
    quality,
    ranking,
    ranks,
    reading,
    start,
    step,
    update,
)
from bench.timing import Line

from gnnrec.core import allocator
from gnnrec.core.files import write_atomic
from gnnrec.runs.pages import run_record

MODULES = (
    *(step, accelerator, ranks, ranking, extend, history, reading, start, growth, quality, methods, update, anchors),
)


def main() -> None:
    """Run what is asked for, print a table, write the JSON: what other runs have put into it stays."""
    options = _options()
    allocator.retain_large_blocks()
    torch.set_num_threads(options.threads)
    record = run_record(f"python scripts/benchmark.py {' '.join(sys.argv[1:])}") | {"threads": str(options.threads)}
    benchmarks = {module.NAME: module.run for module in MODULES}
    for kept in (update, anchors):
        benchmarks[kept.NAME] = partial(kept.run, runs=options.runs)
    for name, run in benchmarks.items():
        if options.only and name not in options.only:
            continue
        begin, lines = time.perf_counter(), []
        for measured in run(options.quick):
            line = replace(measured, met=None) if options.quick and not measured.exact else measured
            print(_text(line), flush=True)
            lines.append(asdict(line))
            _write(options.json, name, {"run": record, "complete": False, "lines": lines})
        _write(options.json, name, {"run": record, "complete": True, "lines": lines})
        print(f"  ({name}: {time.perf_counter() - begin:.0f} s)", flush=True)


def _write(path: Path | None, name: str, entry: dict[str, object]) -> None:
    """Put a benchmark's lines so far, how they came about, and whether they are all, into the file; None: there is none."""
    if path is None:
        return
    found = json.loads(path.read_text()) if path.exists() else {}
    found[name] = entry
    write_atomic(path, json.dumps(found, indent=1, ensure_ascii=False) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="where to write the lines; those of other benchmarks stay")
    parser.add_argument("--quick", action="store_true", help="small sizes, within a minute: does it run?")
    parser.add_argument(
        "--only", action="append", choices=[m.NAME for m in MODULES], help="run this one; may be repeated"
    )
    parser.add_argument(
        "--runs", type=Path, help="where `update` and `anchors` keep their runs: those that are done are not done again"
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of torch")
    return parser.parse_args()


def _text(line: Line) -> str:
    value = "n/a" if line.value is None else f"{line.value:.3g}{line.unit}"
    spread = "" if line.low is None else f" ({line.low:.3g} to {line.high:.3g})"
    verdict = "" if line.met is None else f"  [{line.target}: {'met' if line.met else 'MISSED'}]"
    return f"{line.benchmark:<9} {line.what:<58} {value}{spread}{verdict}{'  ' + line.note if line.note else ''}"


if __name__ == "__main__":
    main()
