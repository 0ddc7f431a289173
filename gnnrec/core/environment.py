"""What a process computes by, as far as no library has to be asked: interpreter, packages, processor, gnnrec's own code."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import re
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import gnnrec

PACKAGES = (
    *("torch", "triton", "torch-geometric", "torch-scatter", "torch-sparse", "pyg-lib", "pytorch-lightning"),
    *("numpy", "scipy", "polars", "deltalake", "hydra-core", "omegaconf", "safetensors", "implicit", "mkl"),
)
"""Packages that numbers come from or pass through."""
VARIABLES = ("ATEN_CPU_CAPABILITY", "MKL_CBWR", "MKL_DEBUG_CPU_TYPE", "OPENBLAS_CORETYPE", "CUBLAS_WORKSPACE_CONFIG")
"""Variables of the process by which libraries choose how to compute."""
THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")
"""Those by which numpy's products choose how many threads they use, the first that is set."""
_CPU = Path("/proc/cpuinfo")
_VECTORS = re.compile(r"^(avx|amx|fma|f16c|sse4|asimd|sve|bf16|neon)")
ABSENT = "none"


def installed() -> dict[str, str]:
    """Return version by name of those of `PACKAGES` that are installed."""
    return dict(_versions())


def _versions() -> Iterator[tuple[str, str]]:
    for name in PACKAGES:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue


def variables() -> dict[str, str]:
    """Return those of `VARIABLES` that are set."""
    return {name: os.environ[name] for name in VARIABLES if name in os.environ}


def processor() -> dict[str, Any]:
    """Return the processor's model and the vector instructions it has, as far as the system tells."""
    try:
        told = _CPU.read_text()
    except OSError:
        told = ""
    model = re.search(r"^model name\s*:\s*(.+)$", told, re.M)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", told, re.M)
    vectors = sorted({f for f in flags.group(1).split() if _VECTORS.match(f)}) if flags else []
    return {"processor": model.group(1) if model else platform.machine(), "vectors": " ".join(vectors)}


def interpreter() -> dict[str, str]:
    """Return Python, the system and its C library, whose mathematics differ from version to version."""
    libc = " ".join(platform.libc_ver()).strip()
    return {"python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}", "libc": libc}


def product_threads() -> str:
    """Return how many threads numpy's products may use: as a variable says, or every core."""
    set_ = next((os.environ[name] for name in THREADS if os.environ.get(name)), None)
    return set_ or str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())


@functools.cache
def code_hash() -> str:
    """Return the hash of every file of gnnrec's own code."""
    folder, digest = Path(gnnrec.__file__).parent, hashlib.blake2b(digest_size=16)
    for path in sorted(folder.rglob("*.py")):
        digest.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def lock_hash() -> str:
    """Return the SHA-256 of constraints.txt beside the package, by which a checkout is installed; "none" elsewhere."""
    path = Path(gnnrec.__file__).parents[1] / "constraints.txt"
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ABSENT


def differing_leaves(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return what differs between two descriptions, "torch 2.10.0 then, 2.11.0 now" for each."""
    return [f"{name} {old} then, {new} now" for name, old, new in differing_values(then, now)]


def differing_values(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return (name, value of the one, of the other) of what differs between two descriptions."""
    old, new = dict(_leaves(one)), dict(_leaves(other))
    names = [*old, *(n for n in new if n not in old)]
    odd = [n for n in names if old.get(n) != new.get(n)]
    return [(n, _short(old.get(n, ABSENT)), _short(new.get(n, ABSENT))) for n in odd]


def _leaves(tree: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value)
        else:
            yield name, value


def _short(value: Any) -> str:
    """Return a value as it is read: of a hash its beginning."""
    text = str(value)
    return text[:12] if re.fullmatch(r"[0-9a-f]{32,}", text) else text
