"""Seeds derived by name, so that every random choice owns a generator and none depends on what ran before it."""

from __future__ import annotations

import hashlib

import numpy as np


def derive(seed: int, *names: str | int) -> int:
    """Return a 63-bit seed that depends on `seed` and every name, and on nothing else.

    Two purposes (``derive(0, 3, "negatives")``, ``derive(0, 3, "order")``) get unrelated streams, and a resumed run
    gets the same ones as a run that was never stopped.
    """
    text = "/".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """Return a numpy generator seeded by `derive`."""
    return np.random.default_rng(derive(seed, *names))


def node_key(identifier: str) -> int:
    """Return the 64-bit hash of an external id: the same in every run, whatever the order of arrival."""
    return int.from_bytes(hashlib.blake2b(identifier.encode(), digest_size=8).digest(), "little")
