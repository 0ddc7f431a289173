"""A run and the same run made again: what differs in kept states and in what was measured, by increment."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import polars as pl
from safetensors.torch import load as load_tensors
from torch import Tensor

from gnnrec.core.errors import one_line
from gnnrec.core.files import read_folder, sha256
from gnnrec.evaluation.results import public
from gnnrec.runs.cost import TIMED
from gnnrec.runs.folder import TABLES, Frames
from gnnrec.runs.state import DAMAGED, RECORDS, WEIGHTS

KEPT_STRATEGY, META = "strategy.safetensors", "state.json"
UNCOMPARABLE = (*DAMAGED, pl.exceptions.PolarsError)
_KEY = ["scorer", "trained_to", "evaluated_on", "split", "segment", "metric"]
Contents = Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Compared:
    """A part of a run beside the same part of it made again.

    Attributes:
        name: as it is said.
        increment: t; −1 for the base that runs share, None for the tables of the whole run.
        same: whether they are equal; None: the record of it is damaged, and cannot say.
        what: what differs, or what is wrong.
        weights: largest absolute difference of a weight; None: of tables, or the shapes differ.
        recall: largest absolute difference of recall@20; None: of states, or there is none.
    """

    name: str
    increment: int | None
    same: bool | None
    what: str = ""
    weights: float | None = None
    recall: float | None = None


def parts(folder: Path, again: Path, least: int = 1) -> list[Compared]:
    """Return the parts of a run in the order in which they were made: by increment what was measured, then the state.

    Args:
        folder: of the run.
        again: of the same run made again.
        least: users by whom a figure must be made to be shown.
    """
    return [*_by_increment(folder / "state", again / "state", least), _tables(folder, again, least)]


def base_part(folder: Path, again: Path) -> list[Compared]:
    """Return the state of the base that a run began from, in its folder; nothing where it is gone."""
    path = folder / "state" / "000000"
    return [_state(path, again / "state" / "000000", "base", -1)] if path.is_dir() else []


def _by_increment(folder: Path, again: Path, least: int) -> Iterator[Compared]:
    for path in sorted((folder / RECORDS).glob("[0-9]*")):
        yield _record(path, again / RECORDS / path.name, int(path.name), least)
        if (kept := folder / path.name).is_dir():
            yield _state(kept, again / path.name, f"state {int(path.name)}", int(path.name))


def _state(path: Path, again: Path, name: str, increment: int) -> Compared:
    try:
        then = read_folder(path)
        before, old = then[WEIGHTS], _tensors(then)
    except UNCOMPARABLE as error:
        return Compared(name, increment, None, _damaged(path, error))
    if not again.is_dir():
        return Compared(name, increment, False, "was not reached again")
    now = read_folder(again)
    new = _tensors(now)
    if sha256(before) == sha256(now[WEIGHTS]) and then[KEPT_STRATEGY] == now[KEPT_STRATEGY]:
        same = _meta(then) == _meta(now)
        return Compared(name, increment, same, "" if same else "what is kept beside the weights differs", 0.0)
    return Compared(name, increment, False, *_weights(old, new))


def _meta(contents: Contents) -> str:
    """Return what is kept beside the weights as text, in which a NaN is equal to a NaN."""
    return json.dumps(json.loads(contents[META]), sort_keys=True)


def _tensors(contents: Contents) -> dict[str, Tensor]:
    strategy = {f"strategy's {name}": x for name, x in load_tensors(contents[KEPT_STRATEGY]).items()}
    return {**load_tensors(contents[WEIGHTS]), **strategy}


def _weights(old: Mapping[str, Tensor], new: Mapping[str, Tensor]) -> tuple[str, float | None]:
    """Return which tensor differs most, and by how much."""
    if odd := [n for n in {**old, **new} if n not in old or n not in new or old[n].shape != new[n].shape]:
        return f"{odd[0]} has another shape", None
    far = {n: float((x.double() - new[n].double()).abs().max()) for n, x in old.items() if x.numel()}
    name = max(far, key=far.__getitem__)
    return f"most in {name}", far[name]


def _record(path: Path, again: Path, increment: int, least: int) -> Compared:
    name = f"measured at {increment}"
    try:
        then = _frames(read_folder(path))
    except UNCOMPARABLE as error:
        return Compared(name, increment, None, _damaged(path, error))
    if not again.is_dir():
        return Compared(name, increment, False, "was not reached again")
    what, recall = differing(then, _frames(read_folder(again)), least)
    return Compared(name, increment, not what, what, recall=recall)


def _tables(folder: Path, again: Path, least: int) -> Compared:
    """Return the tables of the whole run: they may have been changed since, whatever its records say."""
    try:
        then = {t: pl.read_parquet(folder / f"{t}.parquet", glob=False) for t in TABLES}
        now = {t: pl.read_parquet(again / f"{t}.parquet", glob=False) for t in TABLES}
        what, recall = differing(then, now, least)
    except UNCOMPARABLE as error:
        return Compared("tables", None, None, _damaged(folder, error))
    return Compared("tables", None, not what, what, recall=recall)


def _frames(contents: Contents) -> Frames:
    return {n.removesuffix(".parquet"): pl.read_parquet(BytesIO(c)) for n, c in contents.items()}


def differing(then: Frames, now: Frames, least: int = 1) -> tuple[str, float | None]:
    """Return what of the tables differs ("" where nothing does), and the largest difference of recall@20; None: there is none.

    What was timed is left out, and metrics and columns that the older tables have not. Figures of fewer than `least` users are
    compared, and not told.
    """
    old = then["results"].filter(~pl.col("metric").is_in(TIMED))
    measured = old.select("split", "metric").unique()
    new = now["results"].filter(~pl.col("metric").is_in(TIMED)).join(measured, on=["split", "metric"], how="semi")
    told = (public(old, least), public(new, least)) if least > 1 else (old, new)
    odd = [] if _equal(old, new) else [_rows(*told)]
    odd += [f"{t} differs" for t in then if t != "results" and not _equal(then[t], now[t])]
    return "; ".join(odd), _recall(*told)


def _equal(then: pl.DataFrame, now: pl.DataFrame) -> bool:
    """Return whether the rows of `now` are those of `then`, in its columns; whose rows they are is no matter."""
    if not set(then.columns) <= set(now.columns):
        return False
    columns = [c for c in then.columns if c not in ("experiment", "strategy")]
    return then.select(columns).equals(now.select(columns))


def _rows(old: pl.DataFrame, new: pl.DataFrame) -> str:
    joined = _beside(old, new)
    first = joined.filter(~pl.col("value").eq_missing(pl.col("now"))).head(1)
    if not first.height:
        return "rows are others, or figures of too few users to be told"
    at = first.row(0, named=True)
    return f"{at['split']} {at['metric']} of {at['segment']} ({at['scorer']}): {at['value']} then, {at['now']} now"


def _recall(old: pl.DataFrame, new: pl.DataFrame) -> float | None:
    found = _beside(old, new).filter(metric="recall@20").select((pl.col("value") - pl.col("now")).abs().max()).item()
    return None if found is None else float(found)


def _beside(old: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
    return old.join(new.select(*_KEY, now="value"), on=_KEY, how="left", maintain_order="left")


def _damaged(path: Path, error: BaseException) -> str:
    return f"damaged: {one_line(str(error)) or type(error).__name__} ({path.name})"
