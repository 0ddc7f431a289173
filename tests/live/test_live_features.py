"""A live run by what is known of items: new ones are taken up with it, and wandb is not asked for."""

from __future__ import annotations

import numpy as np
import polars as pl
from support.live_runs import TINY, tasteful, updated
from support.stores import DAY, START, write

from gnnrec.cli.main import main
from gnnrec.data.side import vectors
from gnnrec.store.table import Store
from gnnrec.testing.worlds import fingerprint


def taken(store, number, each, *options):
    file = write(store.path.parent / f"day{number}.csv", tasteful(each, number, START + number * DAY, 40 + 3 * number))
    assert main(["data", "ingest", str(store.path), str(file), *options]) == 0
    store.refresh()


def test_new_items_come_with_their_features(tmp_path, monkeypatch):
    side = tmp_path / "items.csv"
    pl.DataFrame({"item": [f"i{k}" for k in range(60)], "v": [f"{k % 4} {k / 60}" for k in range(60)]}).write_csv(side)
    store = Store(tmp_path / "store")
    known = f"data.side={{file: {side}, id: item, vector: v}}"
    taken(store, 0, 60, known)
    taken(store, 1, 60, known)
    call = ["run", "data=store", f"data.path={store.path}", "strategy=fine_tune", "encoder=features"]
    own = ["logger=wandb", f"output={tmp_path / 'runs'}"]
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert main([*call, *(x for x in TINY if not x.startswith("logger=")), *own]) == 0
    (run,) = (p for p in (tmp_path / "runs").iterdir() if p.name.startswith("fine_tune"))
    # Nobody answers there: an update logs to no one, whatever the run did.
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    before = updated(store, run)[1]
    taken(store, 2, 300)
    entry, champion = updated(store, run)
    assert entry.outcome == "accepted", entry.reason
    assert len(champion.events.items) > len(before.events.items)
    found = champion.learner.growth.features.item
    expected = vectors(store.side(), np.array(champion.events.items.ids, object)).item
    np.testing.assert_array_equal(found, expected)
    assert fingerprint(updated(store, run)[1].learner) == fingerprint(champion.learner)
