"""What an increment hashes to, by external ids: two that agree teach a model the same, whatever comes before or after them."""

from __future__ import annotations

import hashlib

import numpy as np

from gnnrec.data.types import Interactions, Observed


def observed_hash(new: Observed) -> str:
    """Return the SHA-256 of everything that a strategy sees of an increment; little-endian whatever the machine."""
    digest = hashlib.sha256(f"{new.index} {new.first} {new.num_users} {new.num_items}".encode())
    for events in (new.train, new.valid, new.arrived, new.folded, new.removed):
        _add(digest, events)
    for keys in (new.user_key, new.item_key):
        digest.update(np.ascontiguousarray(keys, dtype="<u8").tobytes())
    for table in () if new.features is None else (new.features.user, new.features.item):
        digest.update(b"-" if table is None else str(table.shape).encode() + table.astype("<f8").tobytes())
    return digest.hexdigest()


def _add(digest: hashlib._Hash, events: Interactions) -> None:
    digest.update(f"{len(events)}".encode())
    for column, kind in ((events.user, "<i8"), (events.item, "<i8"), (events.value, "<f8"), (events.time, "<f8")):
        digest.update(np.ascontiguousarray(column, dtype=kind).tobytes())
