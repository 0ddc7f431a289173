"""Where the files of a data set lie: a given path, the data root, an installed wheel, or the official URL."""

from __future__ import annotations

import glob
import hashlib
import importlib.util
import io
import os
import tempfile
import urllib.request
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gnnrec.core.errors import GnnrecError, one_line

_TIMEOUT_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Places:
    """Where to look, in this order.

    Attributes:
        path: file, files or glob of the user's own; nothing else is looked at when given.
        root: data folder; None: $GNNREC_DATA, else the cache folder.
        files: names below the root.
        wheel: ``{"package": …, "files": […], "install": …}``; the package is located, never imported.
        url: ``{"url": …, "md5" or "sha256": …, "member": …}``; fetched into the root with `download`.
        download: whether the network may be used.
    """

    path: str | Path | Sequence[str | Path] | None = None
    root: str | None = None
    files: Sequence[str] = ()
    wheel: Mapping[str, object] | None = None
    url: Mapping[str, str] | None = None
    download: bool = False


def cache_folder() -> Path:
    """Return the folder for downloads."""
    return Path.home() / ".cache" / "gnnrec"


def data_root(root: str | None) -> Path:
    """Return the folder in which data sets lie."""
    return Path(root or os.environ.get("GNNREC_DATA") or cache_folder()).expanduser()


def find_files(name: str, places: Places) -> list[Path]:
    """Return the files of a data set.

    Raises:
        GnnrecError: none is found; names every place looked at and the command that gets the file.
    """
    if places.path:
        paths = [places.path] if isinstance(places.path, (str, Path)) else list(places.path)
        return [file for p in paths for file in _expanded(Path(str(p)).expanduser())]
    if not places.files:
        raise GnnrecError(f"data={name} needs a file: set data.path=FILE (CSV, Parquet, JSON lines, '::' or tab text)")
    looked = []
    for folder in dict.fromkeys([data_root(places.root), cache_folder()]):
        found = [folder / f for f in places.files]
        if all(f.exists() for f in found):
            return found
        looked += [str(f) for f in found if not f.exists()]
    found = _in_wheel(places.wheel)
    if found and all(f.exists() for f in found):
        return found
    if places.wheel:
        looked.append(f"installed package '{places.wheel['package']}'")
    if places.url and places.download:
        return [_download(places.url, data_root(places.root) / places.files[0])]
    raise GnnrecError(f"data={name}: file not found; looked at {', '.join(looked)}; get it by {_ways(places)}")


def _expanded(path: Path) -> list[Path]:
    """Return the files that a path with * ? [ stands for, by name; a file of that very name is itself.

    Raises:
        GnnrecError: no file matches.
    """
    if path.exists() or not glob.has_magic(str(path)):
        return [path]
    found = sorted(Path(p) for p in glob.glob(str(path), recursive=True))  # noqa: PTH207
    files = [p for p in found if not p.is_dir()]
    if not files:
        raise GnnrecError(f"data.path={one_line(str(path))} matches no file; check the folder and the pattern")
    return files


def _ways(places: Places) -> str:
    ways = [f"`{places.wheel['install']}`"] if places.wheel else []
    ways += [f"data.download=true (from {places.url['url']})"] if places.url else []
    return " or ".join([*ways, "data.path=FILE", f"data.root=FOLDER (the folder that holds {places.files[0]})"])


def _in_wheel(wheel: Mapping[str, object] | None) -> list[Path]:
    if not wheel:
        return []
    spec = importlib.util.find_spec(str(wheel["package"]))  # a top-level name: finding it runs none of its code
    if spec is None or not spec.submodule_search_locations:
        return []
    base = Path(next(iter(spec.submodule_search_locations)))
    return [base / str(f) for f in wheel["files"]]  # type: ignore[attr-defined]


def _download(source: Mapping[str, str], target: Path) -> Path:
    url = source["url"]
    kind = "sha256" if "sha256" in source else "md5"
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_SECONDS) as answer:
            data: bytes = answer.read()
    except OSError as error:
        why = one_line(str(error))
        raise GnnrecError(f"{url} cannot be fetched ({why}); fetch it elsewhere and set data.path") from None
    got = hashlib.new(kind, data, usedforsecurity=False).hexdigest()
    if got != source[kind]:
        raise GnnrecError(f"{url} has {kind} {got}, expected {source[kind]}; it changed or was cut: fetch it again")
    if "member" in source:
        data = _member(url, data, source["member"])
    _write(target, data)
    return target


def _member(url: str, data: bytes, member: str) -> bytes:
    """Return one file of a zip archive from memory: nothing else is unpacked, so no name in it can do harm."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return archive.read(member)
    except (KeyError, zipfile.BadZipFile) as error:
        raise GnnrecError(f"{url} holds no readable {member} ({one_line(str(error))}); fetch it by hand") from None


def _write(target: Path, data: bytes) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as part:
            part.write(data)
            part.flush()
            os.fsync(part.fileno())
        Path(part.name).replace(target)
    except OSError as error:
        raise GnnrecError(f"{target} cannot be written ({error.strerror}); set data.root") from None
