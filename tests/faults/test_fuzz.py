"""Mutated files of every format: read with every row accounted for, or refused in one line; no traceback, no hang."""

from __future__ import annotations

import gzip
import io
import random
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from gnnrec.core.errors import GnnrecError
from gnnrec.data.datasets import File

LONGEST = 5.0
"""Seconds of one file."""
TEXT = {".csv", ".tsv", ".dat"}
CSV = "user,item,rating,time\n" + "".join(f'u{k},"i,{k % 7}",{1 + k % 5},{1400000000 + 60 * k}\n' for k in range(12))
FRAME = pl.DataFrame(
    {"user": [f"u{k}" for k in range(30)], "item": list(range(30)), "rating": [1.5] * 30, "time": [1400000000] * 30}
)


def sound() -> dict[str, bytes]:
    """Return a sound file of each format, by name."""
    parquet, lines = io.BytesIO(), io.BytesIO()
    FRAME.write_parquet(parquet)
    FRAME.head(12).write_ndjson(lines)
    return {
        "a.csv": CSV.encode(),
        "b.csv": CSV.replace(",", ";").replace("\n", "\r\n").encode(),
        "a.tsv": CSV.replace('"', "").replace(",", "\t").encode(),
        "a.dat": "".join(f"{k}::{k % 5}::{k % 5}::{1400000000 + k}\n" for k in range(12)).encode(),
        "a.jsonl": lines.getvalue(),
        "a.csv.gz": gzip.compress(CSV.encode(), mtime=0),
        "a.parquet": parquet.getvalue(),
    }


def mutated(content: bytes, rng: random.Random) -> bytes:
    """Return the content after one to four changes of bytes, slices or lines."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        at, end = sorted(rng.randrange(len(data) + 1) for _ in range(2)) if data else (0, 0)
        kind = rng.randrange(7)
        if kind == 0 and data:
            data[min(at, len(data) - 1)] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[at:at] = bytes(rng.randrange(256) for _ in range(rng.randint(1, 8)))
        elif kind == 2:
            del data[at : min(end, at + 20)]
        elif kind == 3:
            data[at:at] = data[at : min(end, at + 40)]
        elif kind == 4:
            del data[at:]
        elif kind == 5:
            data[at:at] = rng.choice(
                [b'"', b"\n", b"\r", b"\x00", b"\xff", b",", b"{", b"null", b"1e999", b"-1", b"\xef\xbb\xbf"]
            )
        else:
            lines = bytes(data).split(b"\n")
            rng.shuffle(lines)
            data = bytearray(b"\n".join(lines))
    return bytes(data)


def lines_of(path: Path) -> int:
    """Return how many lines of a text are not blank, counted without the reader."""
    data = path.read_bytes()
    data = (gzip.decompress(data) if path.suffix == ".gz" else data).removeprefix(b"\xef\xbb\xbf")
    if b"\n" not in data:
        data = data.replace(b"\r", b"\n")
    return sum(line not in (b"", b"\r") for line in data.split(b"\n"))


def met(path: Path) -> str:
    """Return whether a file was read or refused; raises where a row is lost, or the message is more than a line."""
    message = ""
    try:
        reading = File(path=str(path)).gather()
        log, lost = reading.events.dataset("log"), reading.lost
        assert sum(1 for one in lost for _ in one) == sum(log.counts.set_aside.values()), "a row set aside has no text"
        if path.suffix in TEXT or path.suffixes[-2:-1] == [".csv"]:
            header = lines_of(path) - log.counts.rows_read
            assert header in (0, 1), f"{header} lines are in no count"
    except GnnrecError as error:
        message = str(error)
    if not message.isprintable():
        raise AssertionError(f"not one line: {message!r}")
    return "refused" if message else "read"


def fuzz(folder: Path, names: list[str], count: int, seed: int) -> dict[str, int]:
    """Return how many mutated files were read and refused; raises at the first that was neither."""
    rng, files, found = random.Random(seed), sound(), {"read": 0, "refused": 0}
    for n in range(count):
        name = names[n % len(names)]
        path = folder / f"fuzz{Path(name).suffixes[0]}{''.join(Path(name).suffixes[1:])}"
        path.write_bytes(content := mutated(files[name], rng))
        begin = time.perf_counter()
        try:
            found[met(path)] += 1
        except BaseException:
            print(f"{name}, number {n} of seed {seed}: {content!r}", file=sys.stderr)
            raise
        assert time.perf_counter() - begin < LONGEST, content
    return found


@pytest.mark.parametrize("name", sound())
@pytest.mark.parametrize("count", [60, pytest.param(10_000 // 7 + 1, marks=pytest.mark.slow)])
def test_a_mutated_file_is_read_or_refused(tmp_path, name, count):
    """In a process of its own: whoever decodes a file may end the process, and that too would be a failure."""
    here = Path(__file__).resolve()
    code = (
        f"import sys; sys.path[:0] = [{str(here.parent)!r}, {str(here.parents[2])!r}]; from pathlib import Path\n"
        f"import test_fuzz; print(test_fuzz.fuzz(Path({str(tmp_path)!r}), [{name!r}], {count}, {count}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "'read': 0" not in done.stdout or name in {"a.csv.gz", "a.parquet"}


@pytest.mark.parametrize("name", sound())
@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.slow)])
def test_prefixes_are_read_or_refused(tmp_path, name, every):
    content = sound()[name]
    step = every if len(content) < 700 else 5 * every
    path, refused = tmp_path / name, 0
    for end in range(0, len(content), step):
        path.write_bytes(content[:end])
        refused += met(path) == "refused"
    assert refused
    if name in {"a.parquet", "a.csv.gz"}:
        assert refused == len(range(0, len(content), step))
