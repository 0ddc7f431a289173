"""Small stores for tests: rows, files, ingests."""

from __future__ import annotations

from collections import Counter

import numpy as np

from gnnrec.data.datasets import File
from gnnrec.store.ingest import ingest

DAY = 86_400
START = 1_300_000_000
HEADER = "user,item,rating,time"


def rows(n, seed=0, start=START, users=20, items=15):
    rng = np.random.default_rng(seed)
    time = start + np.sort(rng.integers(0, DAY, n))
    return [
        f"u{u},i{i},{r},{t}"
        for u, i, r, t in zip(*rng.integers(0, (users, items), (n, 2)).T, rng.integers(1, 6, n), time, strict=True)
    ]


def write(path, lines, header=HEADER):
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def add(store, *files, policy=None, page=False, **options):
    return ingest(store, File(path=[str(f) for f in files], **options), options, policy, page=page)


def events(store, upto=None):
    return Counter(store.rows(upto).select("user", "item", "value", "time").collect().rows())


def grown(folder, versions=3, each=40, **options):
    """Return a store of so many days, a version a day."""
    from gnnrec.store.table import Store

    store = Store(folder / "store")
    for k in range(versions):
        add(store, write(folder / f"day{k}.csv", rows(each, k, START + k * DAY, users=20 + 5 * k)), **options)
    return store
