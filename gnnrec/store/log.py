"""`StoreLog`: the events of a store as a data set, its versions as a column; the option `data=store`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from gnnrec.core.errors import GnnrecError, nearest
from gnnrec.data.clean.ids import coded, texts
from gnnrec.data.clean.ratings import make_valuation
from gnnrec.data.dataset import Counts, Dataset
from gnnrec.store.table import Store
from gnnrec.store.version import Version

_EXTRA = ("version", "late")


class StoreLog:
    """The events of a store.

    Args:
        path: its folder; asked for by `load`.
        name: what to call the data set; None: the folder's name.
        version: newest version to read; None: all.
        feedback: explicit or implicit; None: as the versions look.
        positive_from: smallest value that counts as relevant; None: as the newest version was cleaned.
        scale: lowest and highest value; None: likewise.
    """

    def __init__(
        self,
        path: str | None = None,
        name: str | None = None,
        version: int | None = None,
        feedback: str | None = None,
        positive_from: float | None = None,
        scale: Sequence[float] | None = None,
    ) -> None:
        if feedback not in (None, "explicit", "implicit"):
            raise GnnrecError(f"data.feedback={feedback} is not a choice{nearest(feedback, ['explicit', 'implicit'])}")
        self.path, self.version = path, version
        self.name = name or Path(path or "store").name
        self.feedback, self.positive_from = feedback, positive_from
        self.scale = None if scale is None else (float(scale[0]), float(scale[1]))

    def load(self, keep: Sequence[str] = ()) -> Dataset:
        """Read the events.

        Args:
            keep: columns to keep beside them: version, late.
        """
        for name in keep:
            if name not in _EXTRA:
                raise GnnrecError(
                    f"a store has no column '{name}'{nearest(name, _EXTRA)}; stream=by_version cuts it by versions"
                )
        if not self.path:
            raise GnnrecError("data=store needs the folder of a store: data.path=STORE")
        store = Store(self.path)
        versions = self._versions(store)
        rows = store.rows(self.version).collect(engine="streaming")
        timed = rows["time"].null_count() == 0 and rows.height > 0
        rows = rows.sort(*(["time"] if timed else []), "version", "place")
        users, user = coded(rows["user"])
        items, item = coded(rows["item"])
        time = rows["time"].dt.epoch("us").to_numpy() / 1e6 if timed else None
        explicit = any(v.feedback == "explicit" for v in versions)
        cleaned = versions[-1].cleaning
        side = store.side(self.version)
        return Dataset(
            self.name,
            user,
            item,
            users,
            items,
            rows["value"].to_numpy().astype(np.float64),
            time,
            _counts(versions, rows.height, self._erased(store)),
            self.feedback or ("explicit" if explicit else "implicit"),
            cleaned.get("positive_from") if self.positive_from is None else self.positive_from,
            self.scale or _bounds(cleaned),
            {name: texts(rows[name].cast(pl.String)) for name in keep},
            titles=_titles(side),
            side=side,
            sources=tuple(f for v in versions for f in v.files),
            reports={v.number: report for v in versions if (report := store.quality(v)) is not None},
            versions={v.number: store.contents[v.number] for v in versions},
            notes=(f"versions {versions[0].number} to {versions[-1].number} of {store.path.name}",),
        )

    def _erased(self, store: Store) -> int:
        """Return how many rows of the versions to read were erased since they were ingested."""
        each = [e["erasure"]["rows"] for e in store.erasures.values()]
        return sum(n for rows in each for v, n in rows.items() if self.version is None or int(v) <= self.version)

    def _versions(self, store: Store) -> tuple[Version, ...]:
        """Return the versions to read."""
        if self.version is not None:
            store.version(self.version)
        if not store.versions:
            raise GnnrecError(
                f"{store.path} is a Delta table that gnnrec did not make; `gnnrec data ingest STORE {store.path}` "
                "makes a store whose versions are its commits"
            )
        return tuple(v for v in store.versions if self.version is None or v.number <= self.version)


def _bounds(cleaning: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return the lowest and highest value that the cleaning configuration declares."""
    keys = ("weights", "quantity", "scale", "rescale")
    return make_valuation(*(cleaning.get(key) for key in keys)).bounds


def _titles(side: pl.DataFrame | None) -> dict[str, str]:
    if side is None or "title" not in side.columns:
        return {}
    return dict(side.select("item", "title").drop_nulls().iter_rows())


def _counts(versions: Sequence[Version], kept: int, erased: int) -> Counts:
    """Return where the rows of all ingests went; rows erased since count as set aside.

    Raises:
        GnnrecError: the store has other rows than were ingested and erased.
    """
    each = [v.counts for v in versions]
    if (due := sum(c.kept for c in each) - erased) != kept:
        raise GnnrecError(
            f"the store holds {kept:,} events where its versions have {due:,}: `gnnrec data verify STORE` says which differ"
        )
    aside: Counter[str] = Counter()
    matched: Counter[str] = Counter()
    for counts in each:
        aside.update(counts.set_aside)
        matched.update(counts.matched)
    if erased:
        aside["erased"] = erased
    duplicate = sum(c.duplicate + sum(c.known.values()) for c in each)
    found = Counts(sum(c.read for c in each), kept, duplicate, sum(c.repeat for c in each), dict(aside), dict(matched))
    found.check()
    return found
