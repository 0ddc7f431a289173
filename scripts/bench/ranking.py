"""Is full ranking close to the bare matrix product and top-k it cannot do without?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench import worlds
from bench.timing import Line, Work, absolute, alternate, at_most
from gnnrec.counters.counters import Counters
from gnnrec.encoders.tables import Embeddings
from gnnrec.evaluation.evaluate import Settings, rank
from gnnrec.evaluation.world import World
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.objectives.bpr import BPR
from gnnrec.scorers.model import ModelScorer

NAME, K = "ranking", 20


def run(quick: bool) -> Iterator[Line]:
    """Yield the lines of this benchmark."""
    log = worlds.drawn(3_000, 5_000, 50_000, 0) if quick else worlds.gowalla()
    graph = BipartiteGraph.empty().extend(log.train, log.num_users, log.num_items)
    asked = min(4096, log.num_users)
    times = alternate(works(log, graph, asked, K), rounds=3 if quick else 9)
    note = f"{asked:,} users × {log.num_items:,} items, seen items masked, ties and non-finite scores looked for"
    yield absolute(NAME, f"top {K} of every item, gnnrec", times["gnnrec"], note)
    yield absolute(NAME, "bare product and top-k", times["bare"])
    yield at_most(NAME, "gnnrec / bare", times["gnnrec"], times["bare"], 1.5)


def works(log: worlds.Log, graph: BipartiteGraph, users: int, k: int, device: str = "cpu") -> dict[str, Work]:
    """Return the ranking of every item for the first users, as gnnrec does it and without what makes it a ranking."""
    user, item = (x.to(device) for x in worlds.tables(log.num_users, log.num_items, 64, scale=1.0))
    counts = Counters()
    counts.popularity.absorb(log.train, log.num_items)
    scorer = ModelScorer(Embeddings(user, item, user, item), BPR(), counts, graph.degrees[0] > 0)
    world = World(0, log.num_users, log.num_items, graph, counts.popularity.total, np.zeros(log.num_users, bool))
    settings, asked = Settings(topk=(k,)), np.arange(users)
    starts = settings.starts(users, log.num_items)

    def bare() -> None:
        for start in starts:
            (user[asked[start : start + starts.step]] @ item.T).topk(k, dim=1)

    return {"gnnrec": lambda: rank(scorer, asked, world, settings), "bare": bare}
