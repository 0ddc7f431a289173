"""A small run on a store, to be kept up to date."""

from __future__ import annotations

import json
import shutil

import numpy as np
from support.stores import DAY, START, add, write

from gnnrec.cli.main import main
from gnnrec.live import run as live
from gnnrec.live.gate import AcceptanceGate, Check, Judgement
from gnnrec.store.table import Store

TINY = [
    *("stream=by_version", "encoder.width=8", "fit.max_epochs=2", "fit.base.max_epochs=3", "fit.batch_size=64"),
    *("logger=none", "threads=1", "references=[popularity]", "evaluation.topk=[20]"),
]

LENIENT = ["live.gate.margin=0.5", "live.gate.old_margin=0.5"]
"""So few users could show nothing within the usual margin."""
VARYING = ("at", "seconds")


class Says(AcceptanceGate):
    """A gate that says what it is told to: events of chance tell no model from another."""

    def __init__(self, passed=True):
        super().__init__()
        self.passed = passed

    def judge(self, *_, **__):
        return Judgement((Check("said", 0.0, 0.0, self.passed, 0, "as told"),))


def tasteful(n, seed, start, users):
    """Return a day's rows of users of four tastes, so that a model is better than popularity."""
    rng = np.random.default_rng(seed)
    user = rng.integers(0, users, n)
    item = np.where(rng.random(n) < 0.9, rng.integers(0, 15, n) * 4 + user % 4, rng.integers(0, 60, n))
    time = start + np.sort(rng.integers(0, DAY, n))
    return [f"u{u},i{i},{r},{t}" for u, i, r, t in zip(user, item, rng.integers(1, 6, n), time, strict=True)]


def grow(store, number, each=160):
    """Add a day."""
    lines = tasteful(each, number, START + number * DAY, 40 + 3 * number)
    add(store, write(store.path.parent / f"day{number}.csv", lines))
    store.refresh()


def made(folder, strategy="fine_tune", versions=3, more=()):
    """Return a store and the folder of a finished run on its first versions."""
    folder.mkdir(exist_ok=True)
    store = Store(folder / "store")
    for number in range(versions):
        grow(store, number, 600 if number == 0 else 160)
    given = [
        "run",
        "data=store",
        f"data.path={store.path}",
        f"strategy={strategy}",
        "name=live",
        f"output={folder / 'runs'}",
    ]
    assert main([*given, *TINY, *more]) == 0
    (run,) = (p for p in (folder / "runs").iterdir() if p.name.startswith(strategy))
    return store, run


def updated(store, run, policy=None, again=False, blocked=False, ladder=None, passed=True, serve=None):
    """Bring the run up to date by one round, and return the decision and the champion."""
    from gnnrec.config.compose import compose
    from gnnrec.live.update import Updater

    whole = compose([])
    found = live.one_run(run)
    folder = live.open_live(found, store.path, {"policy": whole["policy"], "live": whole["live"]})
    usual = live.updater(folder, blocked)
    updater = Updater(folder, policy or usual.policy, Says(passed), blocked, ladder or usual.ladder)
    kept = live.Live(folder, store, updater)
    return kept.round(again, serve=serve), kept.champion


def own(origin, folder):
    """Return a copy of a store and of its run."""
    shutil.copytree(origin, folder)
    (run,) = (p for p in (folder / "runs").iterdir() if (p / "config.yaml").is_file())
    return Store(folder / "store"), run


def pointed(run):
    """Return the champion that the pointer names."""
    path = run / "live" / "champion.json"
    return json.loads(path.read_text())["champion"] if path.is_file() else 0


def steady(entry):
    """Return a decision without what differs between two equal ones."""
    if isinstance(entry, dict):
        return {k: steady(v) for k, v in entry.items() if k not in VARYING}
    return [steady(v) for v in entry] if isinstance(entry, list) else entry


def end(run):
    """Return how a live run stands: what serves, the decisions, the states."""
    lines = (run / "live" / "decisions.jsonl").read_text().splitlines()
    states = {p.name: p.read_bytes() for p in sorted((run / "live" / "states").glob("*/*.safetensors"))}
    return pointed(run), [steady(json.loads(x)) for x in lines], states
