"""One split, scored by RecBole and by gnnrec: the same recall@20 and NDCG@20 per user, or what makes them differ.

    python3 -m venv peers/recbole
    peers/recbole/bin/pip install recbole==1.2.1 'numpy<2' 'scipy<1.13' 'pandas<2.2'
    python scripts/with_recbole.py --python peers/recbole/bin/python data=ml-100k stream.increments=5

One increment of a stream is exported as RecBole's benchmark files. RecBole's Pop and ItemKNN are fitted on its train part and
score test by full ranking (`recbole_scores.py`); gnnrec reads the same files back and has its popularity and ItemKNN absorb the
same train part. Where a user's list differs it is looked at whether both lists have the same scores by gnnrec, so that ties
alone tell them apart.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gnnrec.cli.exit import guarded
from gnnrec.config.compose import compose
from gnnrec.config.instantiate import instantiate
from gnnrec.data.stream.cuts import ByColumn
from gnnrec.data.types import Stream
from gnnrec.evaluation.evaluate import evaluate, rank
from gnnrec.evaluation.settings import Settings
from gnnrec.evaluation.world import World, worlds
from gnnrec.interop.atomic import INCREMENT, PART, RecBoleFiles
from gnnrec.interop.extract import split
from gnnrec.interop.recbole import write_recbole
from gnnrec.untrained.base import Untrained
from gnnrec.untrained.itemknn import NearestItems
from gnnrec.untrained.popularity import PopularItems

K = 20
EVENTS = {"train_batch_size": 1, "train_neg_sample_args": None}
"""With these Pop counts every event of train once, and nothing else."""


@dataclass(frozen=True)
class Pairing:
    """A model of RecBole's, how it is set, and its counterpart."""

    name: str
    model: str
    settings: Mapping[str, Any]
    row: type[Untrained]
    options: Mapping[str, Any]

    def fitted(self, stream: Stream, everything: bool) -> Untrained:
        """Return gnnrec's row after it absorbed train, and valid too where `everything` is asked for, as in a comparison."""
        made, seen = self.row(**self.options), stream.increments[0].observed
        for events in (seen.train, *([seen.valid] if everything else [])):
            made.absorb(events, seen.num_users, seen.num_items)
        return made


PAIRINGS = (
    Pairing("Pop, as RecBole ships it", "Pop", {}, PopularItems, {}),
    Pairing("Pop, every event counted", "Pop", EVENTS, PopularItems, {}),
    Pairing("ItemKNN, 100 neighbours", "ItemKNN", {"k": 100, "shrink": 0.0}, NearestItems, {"neighbours": 100}),
    Pairing("ItemKNN, all neighbours", "ItemKNN", {"k": 1_000_000, "shrink": 0.0}, NearestItems, {}),
)


@dataclass(frozen=True)
class Side:
    """Lists and metrics by user: recall and NDCG at K, each [n]; lists of item ids, [n, K]."""

    users: Sequence[str]
    recall: np.ndarray
    ndcg: np.ndarray
    lists: np.ndarray


def read_back(folder: Path) -> tuple[Stream, World, Settings]:
    """Return an exported split as a stream whose next increment is test, and how RecBole ranks: every item is a candidate."""
    log = RecBoleFiles(folder).load(keep=(INCREMENT, PART))
    stream = ByColumn(INCREMENT, PART, split="column").build(log)
    return stream, worlds(stream)[0], Settings.of(stream, topk=(K,), candidates="universe")


def by_gnnrec(made: Untrained, stream: Stream, world: World, settings: Settings) -> Side:
    """Return what gnnrec's evaluator says of a row on test."""
    found = evaluate(made, stream.increments[0].upcoming, world, settings)
    lists = stream.items[rank(made, found.user, world, settings).numpy()]
    users = stream.users[found.user].tolist()
    return Side(users, found.per_user[f"recall@{K}"], found.per_user[f"ndcg@{K}"], lists)


def by_recbole(python: str, folder: Path, pairing: Pairing, out: Path) -> tuple[Side, dict[str, Any]]:
    """Return what RecBole says, asked in its own environment, and what it wrote."""
    script = Path(__file__).with_name("recbole_scores.py")
    asked = [python, script, folder / f"{folder.name}.yaml", pairing.model, json.dumps(dict(pairing.settings)), out]
    done = subprocess.run([str(a) for a in asked], cwd=folder.parent, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"RecBole failed:\n{done.stderr[-2000:]}")
    found = json.loads(out.read_text())
    return Side(found["users"], *(np.array(found[k]) for k in ("recall", "ndcg", "lists"))), found


def aligned(side: Side, users: Sequence[str]) -> Side:
    """Return a side with its users in this order."""
    place = {user: n for n, user in enumerate(side.users)}
    at = [place[user] for user in users]
    return Side(users, side.recall[at], side.ndcg[at], side.lists[at])


def tied(made: Untrained, stream: Stream, users: Sequence[str], one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return whether two lists of a user have the same scores place by place, [n]: ties alone tell them apart."""
    user_at, item_at = ({name: n for n, name in enumerate(ids)} for ids in (stream.users, stream.items))
    scores = made.scores(np.array([user_at[u] for u in users]), len(stream.items)).numpy()
    rows = np.arange(len(users))[:, None]
    first, second = (scores[rows, np.vectorize(item_at.__getitem__, otypes=[int])(x)] for x in (one, other))
    return np.isclose(first, second, rtol=1e-4, atol=1e-6).all(1)


HEADS = (*("model", "users", "RecBole", "gnnrec", "differ", "of these by ties alone", "gnnrec, valid absorbed too"),)


def lines(pairing: Pairing, theirs: Side, stream: Stream, world: World, settings: Settings) -> list[list[str]]:
    """Return the cells of two rows of the table: users with an event in train, and users without."""
    made = pairing.fitted(stream, everything=False)
    ours = by_gnnrec(made, stream, world, settings)
    assert sorted(ours.users) == sorted(theirs.users), "both score every user with a relevant event of test"
    theirs = aligned(theirs, ours.users)
    differs = (np.abs(theirs.recall - ours.recall) > 1e-9) | (np.abs(theirs.ndcg - ours.ndcg) > 1e-9)
    ties = differs & tied(made, stream, ours.users, theirs.lists, ours.lists)
    absorbed = by_gnnrec(pairing.fitted(stream, everything=True), stream, world, settings)
    has = np.isin(ours.users, stream.users[np.unique(stream.increments[0].observed.train.user)])
    return [
        [
            pairing.name,
            f"{int(who.sum()):,} {what} events in train",
            *(f"{x.recall[who].mean():.4f} / {x.ndcg[who].mean():.4f}" for x in (theirs, ours)),
            f"{int(differs[who].sum()):,}",
            f"{int(ties[who].sum()):,}",
            f"{absorbed.recall[who].mean():.4f} / {absorbed.ndcg[who].mean():.4f}",
        ]
        for what, who in (("with", has), ("without", ~has))
        if who.any()
    ]


def main() -> int:
    """Export, let both score, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", required=True, help="of an environment with recbole")
    parser.add_argument("--increment", type=int, default=2, help="whose split is exported")
    parser.add_argument("--output", type=Path, help="keeps split and answers; else they go")
    parser.add_argument("overrides", nargs="*", help="of the configuration: data=… stream=…")
    given = parser.parse_intermixed_args()
    config = compose(given.overrides)
    splitter = instantiate(config["stream"], at="stream")
    log = instantiate(config["data"], at="data").load(keep=splitter.columns)
    with tempfile.TemporaryDirectory() as temporary:
        output = (given.output or Path(temporary)).absolute()
        folder = output / f"{log.name}-split"
        write_recbole(split(log, splitter.build(log), given.increment), folder)
        stream, world, settings = read_back(folder)
        train = len(stream.increments[0].observed.train)
        table = [list(HEADS), ["---"] * len(HEADS)]
        for number, pairing in enumerate(PAIRINGS):
            theirs, said = by_recbole(given.python, folder, pairing, output / f"{number}.json")
            assert abs(said["means"][f"recall@{K}"] - theirs.recall.mean()) < 1e-6, (
                "lists are those of its own evaluation"
            )
            table += lines(pairing, theirs, stream, world, settings)
            if said["counted"] is not None:
                print(f"{pairing.name}: counts {said['counted']:,} of {train:,} events")
    print("\n".join(f"| {' | '.join(cells)} |" for cells in table))
    return 0


if __name__ == "__main__":
    sys.exit(guarded(lambda _: main(), ["scripts/with_recbole.py"]))
