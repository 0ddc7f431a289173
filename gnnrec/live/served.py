"""What a run serves: its champion where it is kept up to date, else its own newest model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from gnnrec.core.errors import GnnrecError
from gnnrec.core.files import SUMS, sha256
from gnnrec.learner import Learner
from gnnrec.live import pointer
from gnnrec.live import run as live
from gnnrec.live.champion import Champion, LiveFolder
from gnnrec.live.journal import Journal, lineage
from gnnrec.runs import saved
from gnnrec.runs.build import Config
from gnnrec.runs.saved import Saved
from gnnrec.serving.make import Served
from gnnrec.serving.manifest import Origin
from gnnrec.store.table import Store

SHOWN = ("recall@20", "ndcg@20")
"""Valid metrics that a bundle names."""


def is_live(run: Saved) -> bool:
    """Return whether a champion of its own serves a run, and not its newest model."""
    return (run.folder / "live" / pointer.POINTER).is_file() or number_of(run) != 0


def number_of(run: Saved) -> int:
    """Return the number of the champion that serves a run; 0: its own newest model.

    Raises:
        GnnrecError: the journal is damaged, or has lost lines.
    """
    folder = run.folder / "live"
    return pointer.served(folder, Journal(folder).entries())[0]


def served(run: Saved, given: Config, allow: Sequence[str] = (), data: Sequence[str] = ()) -> Served:
    """Return what a run serves.

    Args:
        run: that has finished.
        given: the configuration's `policy` and `live`, where the run's own do not hold.
        allow: prefixes of plug-ins that the run may import.
        data: where the log or the store lies now; none: where the run read it.
    """
    if is_live(run):
        path = Path(str(data[0] if data else run.config["data"]["path"]))
        if not data and not path.exists():
            raise GnnrecError(f"there is no {path}, the store that {run.folder} read; --data PATH says where it is now")
        folder, store = live.open_live(run, path, given, allow), Store(path)
        side = store.side()
        champion = folder.load(live.rows_behind(store, run), store.contents, side)
        return of_champion(folder, champion, side)
    scene = saved.scene_of(run, allow, data)
    learner, stream = saved.newest_learner(run, scene), scene.setting.stream
    scorer = "blend" if "blend" in scene.setting.scorers else "model"
    return Served(
        learner, stream.users.tolist(), stream.items.tolist(), stream.titles, scorer, _origin(run, learner, scorer)
    )


def of_champion(folder: LiveFolder, champion: Champion, side: pl.DataFrame | None = None) -> Served:
    """Return a champion as what is served.

    Args:
        folder: of the live run.
        champion: that serves.
        side: titles of items; None: the run's.
    """
    titles = dict(folder.scene.setting.stream.titles)
    if side is not None and "title" in side.columns:
        titles |= dict(side.select("item", "title").drop_nulls().iter_rows())
    scorer = "blend" if "blend" in folder.scene.setting.scorers else "model"
    made = lineage(folder.journal.entries(), champion.number)
    versions = {**folder.saved.versions, **{v: c for e in made for v, c in e.versions.items()}}
    origin = _origin(folder.saved, champion.learner, scorer, champion.number, versions)
    events = champion.events
    return Served(champion.learner, events.users.ids, events.items.ids, titles, scorer, origin)


def _origin(
    run: Saved,
    learner: Learner,
    scorer: str,
    number: int = 0,
    versions: Mapping[str, str] | None = None,
) -> Origin:
    digest = hashlib.sha256(json.dumps(dict(run.config), sort_keys=True, default=str).encode()).hexdigest()
    kind = str(run.config["strategy"]["_target_"]).rsplit(".", 1)[-1]
    return Origin(
        number,
        run.versions if versions is None else versions,
        run.fingerprint,
        digest,
        kind,
        _valid(run, learner, scorer),
        state_of(run, number),
    )


def _valid(run: Saved, learner: Learner, scorer: str) -> dict[str, float]:
    """Return how the model did on valid when it was chosen, as far as that is written down."""
    rows = learner.valid_rows.get(scorer)
    if rows:
        return {metric: value for segment, metric, value, _ in rows if metric in SHOWN and segment == "all"}
    path = run.folder / "results.parquet"
    if not path.is_file():
        return {}
    last = pl.col("trained_to") == pl.col("trained_to").max()
    frame = pl.read_parquet(path, glob=False).filter((pl.col("split") == "valid") & (pl.col("scorer") == scorer))
    found = frame.filter(last, pl.col("metric").is_in(SHOWN), pl.col("segment") == "all")
    return dict(found.select("metric", "value").drop_nulls().iter_rows())


def state_of(run: Saved, number: int) -> str:
    """Return the SHA-256 of the checksums of a champion's state, 0 for the run's newest; "" where they are gone."""
    if number:
        place: Path | None = run.folder / "live" / "states" / f"{number:06d}"
    else:
        place = max((p for p in (run.folder / "state").glob("[0-9]*") if p.is_dir()), default=None)
    try:
        return "" if place is None else sha256((place / SUMS).read_bytes())
    except OSError:
        return ""
