"""What is left in a model of events that are taken back? Exact unlearning, one Newton step, and going on as before, on one log.

    python scripts/unlearning.py amazon_games threads=1 logger=none
    python scripts/unlearning.py amazon_games --seeds 0 threads=1 logger=none      # another process takes others; then without

With increment 3 everything of a hundredth of the users is taken back: of users of the base, or of users who came after it.
Compared is the model that serves then, by itself, with one that never saw these events ("never"): the recall@20 of what was
taken back in the lists of those who had had it, the share of the lists of others that is another one, and the seconds of the
update. Lists of "never" under the next seed say how far two trainings are apart anyway. The log is cut down as in `methods.py`.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from methods import cut, numbers

from gnnrec.cli.exit import guarded
from gnnrec.config.compose import compose
from gnnrec.core.errors import GnnrecError
from gnnrec.core.files import write_atomic
from gnnrec.core.seeds import generator
from gnnrec.data.stream.removals import absorbed, with_removals
from gnnrec.data.types import Interactions, Ints, Stream
from gnnrec.evaluation.record import Name
from gnnrec.evaluation.world import worlds
from gnnrec.runs import build
from gnnrec.runs.build import Config, Scene
from gnnrec.runs.experiment import Scenario, run, train_base
from gnnrec.strategies.unlearn import without

AT, SHARE, OTHERS, K = 3, 0.01, 2000, 20
ROWS = {"never": "fine_tune", **{name: name for name in ("fine_tune", "unlearn_influence", "unlearn")}}


def main() -> int:
    """Play what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment")
    parser.add_argument("--seeds", default="0,1,2", help="separated by commas")
    parser.add_argument("overrides", nargs="*", help="of the configuration, such as output=… threads=1")
    given = parser.parse_intermixed_args()
    seeds = numbers(given.seeds)
    plain, config, scene = cut("unlearning", given.experiment, given.overrides)
    folder = Path(config["output"])
    played = {
        (since, row, seed): play(plain, scene, since, row, seed, folder)
        for seed in seeds
        for since in ("base", "later")
        for row in ROWS
    }
    table = table_of(played)
    write_atomic(folder / "unlearning.csv", table.write_csv())
    with pl.Config(tbl_rows=-1, tbl_cols=-1, tbl_hide_dataframe_shape=True, tbl_hide_column_data_types=True):
        print(table)
    return 0


def play(plain: list[str], scene: Scene, since: str, row: str, seed: int, folder: Path) -> dict[str, Any]:
    """Return lists, recall of what was taken back, and seconds of the update that takes it back, from disk where they are."""
    config = compose([*plain, f"strategy={ROWS[row]}", f"seed={seed}"])
    stream = replace(scene.setting.stream, increments=scene.setting.stream.increments[: AT + 1])
    forgetting, users = taking_back(stream, since)
    removed = forgetting.increments[AT].observed.removed
    used = never(stream, removed) if row == "never" else forgetting
    file = folder / f"{since}-{row}-seed{seed}-{build.run_digest(config, used)[:10]}.json"
    if file.exists():
        return dict(json.loads(file.read_text()))
    found = lists(config, replace(scene.setting, stream=used, worlds=worlds(used)), users, removed)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(file, json.dumps(found))
    return found


def taking_back(stream: Stream, since: str) -> tuple[Stream, Ints]:
    """Return the stream whose last increment takes back what some users did, and those users."""
    begun = [np.unique(i.observed.arrived.user) for i in stream.increments[:AT]]
    known = begun[0] if since == "base" else np.setdiff1d(np.concatenate(begun[1:]), begun[0])
    if not len(known):
        raise GnnrecError(f"no user came after the base by increment {AT - 1}; there is nobody to take back")
    count = max(1, round(SHARE * len(known)))
    users = np.sort(generator(0, since, "taken back").choice(known, count, replace=False))
    return with_removals(stream, {AT: [(str(stream.users[u]), None) for u in users]}), users


def never(stream: Stream, removed: Interactions) -> Stream:
    """Return the stream without these events."""
    parts = [replace(i, observed=without(i.observed, removed)) for i in stream.increments[:AT]]
    return replace(stream, increments=(*parts, *stream.increments[AT:]), fingerprint=f"{stream.fingerprint}, less")


def lists(config: Config, setting: Scenario, users: Ints, removed: Interactions) -> dict[str, Any]:
    """Return the lists of others, the recall of what was taken back, and the seconds of the last update."""
    name = Name("unlearning", str(config["strategy"]["_target_"]), int(config["seed"]))
    base = train_base(build.learner(config, setting), setting, name)
    learner = build.learner(config, setting)
    record = run(learner, build.strategy(config), setting, name, base)
    spent = record.frames()["results"].filter(
        split="cost", metric="seconds", scorer="model", trained_to=len(setting.stream.increments) - 1
    )
    active = np.unique(np.concatenate([x.user for i in setting.stream.increments for x in absorbed(i.observed)]))
    others = np.setdiff1d(active, users)
    some = np.sort(generator(0, "others").choice(others, min(OTHERS, len(others)), replace=False))
    z = learner.embed()

    def best(user: Ints) -> list[list[int]]:
        with torch.no_grad():
            found: list[list[int]] = learner.objective.scores(z, torch.from_numpy(user)).topk(K, dim=1).indices.tolist()
        return found

    had = [set(removed.item[removed.user == user].tolist()) for user in users]
    recall = [len(set(top) & items) / min(len(items), K) for top, items in zip(best(users), had, strict=True) if items]
    return {
        "users": some.tolist(),
        "lists": best(some),
        "left": float(np.mean(recall)),
        "events": len(removed),
        "seconds": spent["value"].item(),
    }


def table_of(played: dict[tuple[str, str, int], dict[str, Any]]) -> pl.DataFrame:
    """Return a row for each seed and row: what is left, how many of the others' lists are other ones, and the seconds."""
    rows = []
    for (since, row, seed), found in played.items():
        beside = played[since, "never", seed]
        rows.append((since, row, seed, found["events"], found["left"], changed(found, beside), found["seconds"]))
        if row == "never" and (next_one := played.get((since, row, seed + 1))):
            rows.append((since, "never, next seed", seed, None, next_one["left"], changed(found, next_one), None))
    schema = ("users of", "row", "seed", "events", "recall of what is gone", "lists changed", "seconds")
    return pl.DataFrame(rows, schema, orient="row")


def changed(one: dict[str, Any], other: dict[str, Any]) -> float:
    """Return the mean share of a list that is not in the other's."""
    lists = {user: set(top) for user, top in zip(other["users"], other["lists"], strict=True)}
    shares = [1 - len(lists[u] & set(top)) / K for u, top in zip(one["users"], one["lists"], strict=True) if u in lists]
    return float(np.mean(shares))


if __name__ == "__main__":
    sys.exit(guarded(lambda _: main(), ["scripts/unlearning.py"]))
