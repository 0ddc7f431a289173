"""A bundle: all that serving one model needs, in a folder that is there whole or not at all.

RUN/bundles/bundle-000003/{users.parquet,items.parquet,tables.safetensors,seen.safetensors,manifest.json,SHA256SUMS}
RUN/bundles/current   which one serves

A bundle is never written over: one of the same champion that is made again lies beside the first, as bundle-000003-1.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np
import polars as pl
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from gnnrec.core.errors import GnnrecError
from gnnrec.core.files import read_folder, remove_strays, sha256, write_atomic, write_folder
from gnnrec.objectives.base import Factors
from gnnrec.serving import manifest
from gnnrec.serving.manifest import LISTS, Manifest
from gnnrec.serving.tables import Tables, Taken, weights_of

POINTER = "current"
INDEX = "items.faiss"
_IN_FRAMES = ("user", "item", "user_bias", "item_bias")
"""Tensors that `users.parquet` and `items.parquet` hold."""
_NAME = re.compile(r"bundle-(\d{6,12})(?:-(\d{1,9}))?")
_DAMAGED = (OSError, ValueError, KeyError, TypeError, SafetensorError, pl.exceptions.PolarsError)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle as it lies on disk.

    Attributes:
        manifest: what it is.
        users, items: external ids, in order of row.
        titles: of items, "" where there is none.
        popularity: absorbed events of each item, [i].
        tensors: factors (`user`, `item`, `user_bias`, `item_bias`), `counts`, `recent` where there is a blend; where lists were
            computed beforehand `list_items` [u + 1, K], −1 behind the last, and `list_scores`, the last row for strangers.
        taken: `start` [u + 1] and `item` [e]: what users have taken.
        index: a file of faiss, of items by product; empty: none.
    """

    manifest: Manifest
    users: Sequence[str]
    items: Sequence[str]
    titles: Sequence[str]
    popularity: Tensor
    tensors: Mapping[str, Tensor]
    taken: Mapping[str, Tensor]
    index: bytes = b""

    @property
    def number(self) -> int:
        """Of the champion that it was made from."""
        return self.manifest.origin.number

    @property
    def factors(self) -> Factors:
        """What the model's scores are a product of, where they are one; vectors of users and items in any case."""
        t = self.tensors
        return Factors(t["user"], t["item"], t["user_bias"], t["item_bias"], self.manifest.length)

    def tables(self) -> Tables:
        """Return what lists are computed from."""
        recent, taken = self.tensors.get("recent"), self.taken
        return Tables(
            self.factors,
            self.tensors["counts"].numpy(),
            None if recent is None else recent.numpy(),
            weights_of(self.manifest.weights),
            Taken.of(taken["start"].numpy(), taken["item"].numpy(), len(self.items)),
        )

    def vectors(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return users and items as tables: id, row, vector, bias, and how often it comes; items with titles."""
        f, size = self.factors, self.taken["start"].diff()
        return (
            _frame("user", self.users, f.user, f.user_bias, taken=size),
            _frame("item", self.items, f.item, f.item_bias, popularity=self.popularity).with_columns(
                title=pl.Series(self.titles, dtype=pl.String)
            ),
        )


def _frame(kind: str, ids: Sequence[str], vector: Tensor, bias: Tensor, **count: Tensor) -> pl.DataFrame:
    columns = {
        kind: pl.Series(ids, dtype=pl.String),
        "row": pl.Series(np.arange(len(ids)), dtype=pl.Int64),
        "vector": pl.Series(vector.numpy(), dtype=pl.Array(pl.Float32, vector.shape[1])),
        "bias": pl.Series(bias.numpy(), dtype=pl.Float32),
        **{name: pl.Series(x.numpy()) for name, x in count.items()},
    }
    return pl.DataFrame(columns)


def parquet(frame: pl.DataFrame) -> bytes:
    """Return a table as a Parquet file; vectors of floats do not pack."""
    buffer = BytesIO()
    frame.write_parquet(buffer, compression="uncompressed", statistics=False)
    return buffer.getvalue()


def place(folder: Path, number: int) -> Path:
    """Return where the bundle of a champion lies below a folder of bundles, the newest of several; or would lie."""
    return max((p for p in bundles(folder) if _key(p)[0] == number), key=_key, default=folder / f"bundle-{number:06d}")


def _free(folder: Path, number: int) -> Path:
    last = place(folder, number)
    return last.with_name(f"bundle-{number:06d}-{_key(last)[1] + 1}") if last.exists() else last


def _key(path: Path) -> tuple[int, int]:
    """Return number and revision of a bundle by its name."""
    found = _NAME.fullmatch(path.name)
    assert found is not None, path
    return int(found[1]), int(found[2] or 0)


def write(folder: Path, bundle: Bundle) -> Bundle:
    """Write a bundle below `folder`, and return it with the checksums of its files."""
    users, items = bundle.vectors()
    files = {
        "users.parquet": parquet(users),
        "items.parquet": parquet(items),
        "tables.safetensors": save_tensors({n: x.clone() for n, x in bundle.tensors.items() if n not in _IN_FRAMES}),
        "seen.safetensors": save_tensors(dict(bundle.taken)),
        **({INDEX: bundle.index} if bundle.index else {}),
    }
    made = replace(bundle.manifest, files={name: sha256(content) for name, content in files.items()})
    remove_strays(folder)
    write_folder(_free(folder, bundle.number), {**files, manifest.NAME: made.text().encode()}, made.files)
    return replace(bundle, manifest=made)


def read(path: Path) -> Bundle:
    """Return the bundle in a folder.

    Raises:
        GnnrecError: a file is gone, or not what was written; or another version of gnnrec wrote it.
    """
    try:
        contents = read_folder(path)
        said = Manifest.of(contents[manifest.NAME].decode())
        users, items = (pl.read_parquet(BytesIO(contents[f"{kind}s.parquet"])) for kind in ("user", "item"))
        vectors = {"user": users, "item": items}
        found = Bundle(
            said,
            users["user"].to_list(),
            items["item"].to_list(),
            items["title"].to_list(),
            _tensor(items["popularity"]),
            load_tensors(contents["tables.safetensors"])
            | {name: _tensor(x["vector"]) for name, x in vectors.items()}
            | {f"{name}_bias": _tensor(x["bias"]) for name, x in vectors.items()},
            load_tensors(contents["seen.safetensors"]),
            contents.get(INDEX, b""),
        )
        _check(found)
    except _DAMAGED as error:
        raise GnnrecError(f"{path} is damaged ({error}); `gnnrec export RUN` makes it anew") from None
    return found


def _tensor(column: pl.Series) -> Tensor:
    import torch

    return torch.from_numpy(column.to_numpy(writable=True))


def _check(bundle: Bundle) -> None:
    """Refuse tables that do not fit together."""
    f, said = bundle.factors, bundle.manifest
    shapes = {
        "users": (len(bundle.users), len(f.user), len(f.user_bias), len(bundle.taken["start"]) - 1),
        "items": (len(bundle.items), len(f.item), len(f.item_bias), len(bundle.tensors["counts"])),
        "width": (f.user.shape[1], f.item.shape[1]),
    }
    for name, sizes in shapes.items():
        if set(sizes) != {getattr(said, name)}:
            raise ValueError(
                f"{name}: {getattr(said, name):,} in the manifest, {', '.join(map(str, sizes))} in the tables"
            )
    if said.form == LISTS and len(bundle.tensors["list_items"]) != said.users + 1:
        raise ValueError("there is not a list for every user")


def point(folder: Path, number: int) -> None:
    """Let the bundle of a champion serve; a reader finds the old one or this one."""
    write_atomic(folder / POINTER, json.dumps({"bundle": place(folder, number).name}) + "\n")


def pointed(folder: Path) -> Path | None:
    """Return the bundle that serves; None: no bundle has been made.

    Raises:
        GnnrecError: the pointer is damaged.
    """
    path = folder / POINTER
    try:
        name = json.loads(path.read_text())["bundle"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise GnnrecError(f"{path} is damaged ({error}); `gnnrec export RUN` sets it again") from None
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise GnnrecError(f"{path} names no bundle; `gnnrec export RUN` sets it again")
    return folder / name


def made_from(path: Path) -> tuple[int, str] | None:
    """Return number and state of the champion that a bundle was made from; None: there is no bundle there.

    Its files are not looked at.
    """
    try:
        said = Manifest.of((path / manifest.NAME).read_text())
    except (GnnrecError, *_DAMAGED):
        return None
    return said.origin.number, said.origin.state


def bundles(folder: Path) -> list[Path]:
    """Return all bundles below a folder, by number."""
    found = [p for p in folder.glob("bundle-*") if _NAME.fullmatch(p.name)] if folder.is_dir() else []
    return sorted(found, key=_key)


def prune(folder: Path, keep: int) -> None:
    """Remove bundles of all but the newest champions, and of those all but the last; what serves stays, however old."""
    current = pointed(folder)
    last = {_key(p)[0]: p for p in bundles(folder)}
    newest = sorted(last.values(), key=lambda p: p.stat().st_mtime_ns)[-keep:]
    for old in bundles(folder):
        if old not in (current, *newest):
            shutil.rmtree(old)


def remove_all_but_current(folder: Path) -> list[str]:
    """Remove what holds somebody who is to be forgotten: bundles that do not serve, deltas, half-written folders.

    Write and point to a bundle without them first.

    Args:
        folder: of bundles.

    Returns:
        Names of what was removed.
    """
    current = pointed(folder)
    remove_strays(folder)
    gone = [p for p in [*bundles(folder), *folder.glob("delta-*")] if p != current]
    for path in gone:
        shutil.rmtree(path)
    return [p.name for p in gone]
