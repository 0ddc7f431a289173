"""How fast does a raw log become clean events, and in how much memory?"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from bench import worlds
from bench.timing import Line

NAME = "reading"
PROBE = """
import sys, time
from gnnrec.core import allocator
from gnnrec.data.datasets import File
load = lambda: File(path=sys.argv[1], columns={"user": "user", "item": "item", "time": "time"}).load()
tells = allocator.reset_peak(); before = allocator.peak()
begin = time.perf_counter(); data = load(); seconds = time.perf_counter() - begin
print(seconds, allocator.peak() - before if tells and before else "nan", len(data))
"""


INGEST = """
import sys, tempfile, time
from pathlib import Path
from gnnrec.core import allocator
from gnnrec.data.datasets import File
from gnnrec.store.ingest import ingest
from gnnrec.store.table import Store
options = {"columns": {"user": "user", "item": "item", "time": "time"}}
with tempfile.TemporaryDirectory() as folder:
    tells = allocator.reset_peak(); before = allocator.peak()
    begin = time.perf_counter()
    done = ingest(Store(Path(folder) / "store"), File(path=sys.argv[1], **options), options)
    seconds = time.perf_counter() - begin
print(seconds, allocator.peak() - before if tells and before else "nan", done.version.counts.kept)
"""


def run(quick: bool) -> Iterator[Line]:
    """Yield the lines of this benchmark: a log is read; a longer one, beside which a report's seconds matter less, ingested."""
    for what, probe, rows in (("reading", PROBE, 3_000_000), ("ingest", INGEST, 10_000_000)):
        frame = _frame(50_000 if quick else rows)
        size = sum(frame[c].estimated_size() for c in frame.columns)
        with tempfile.TemporaryDirectory() as folder:
            for kind, target in (("parquet", 1_000_000), ("csv", 300_000)):
                path = Path(folder) / f"log.{kind}"
                (frame.write_parquet if kind == "parquet" else frame.write_csv)(path)
                found = [_probe(probe, path) for _ in range(1 if quick else 3)]
                yield from _lines(f"{what}, {kind}", found, frame.height, size, target)


def _lines(what: str, found: list[tuple[float, float]], rows: int, size: int, target: int) -> Iterator[Line]:
    rate = rows / float(np.median([seconds for seconds, _ in found]))
    note = f"{rows:,} rows of user, item, time as text and integers, in a process of its own"
    yield Line(NAME, f"rows per second, {what}", rate, "", target=f"≥ {target:,}", met=rate >= target, note=note)
    share = float(np.median([peak for _, peak in found])) / size
    if np.isnan(share):
        yield Line(NAME, f"peak memory / columns' size, {what}", None, "×", note="this system does not tell the peak")
    else:
        yield Line(NAME, f"peak memory / columns' size, {what}", share, "×", target="≤ 4×", met=share <= 4)


def _frame(rows: int) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    user, item = worlds.power(rng, rows // 30 + 10, rows), worlds.power(rng, rows // 60 + 10, rows)
    columns = {"user": user, "item": item, "time": 1_300_000_000 + np.sort(rng.integers(0, 10**8, rows))}
    return pl.DataFrame(columns).with_columns(
        pl.format("u{}", "user").alias("user"), pl.format("i{}", "item").alias("item")
    )


def _probe(code: str, path: Path) -> tuple[float, float]:
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    seconds, peak, _ = done.stdout.split()[-3:]
    return float(seconds), float(peak)
