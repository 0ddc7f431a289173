"""Ingest files one after the other and say which are in: python ingest_all.py STORE FILE…; the tests kill it."""

from __future__ import annotations

import sys

from support.stores import add

from gnnrec.store.table import Store

if __name__ == "__main__":
    store = Store(sys.argv[1])
    print("ready", flush=True)
    for file in sys.argv[2:]:
        done = add(store, file)
        print(file if done.version is None else f"{file} {done.version.number}", flush=True)
