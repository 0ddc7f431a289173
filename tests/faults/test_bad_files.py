"""Every kind of bad file is refused in one line that says what is wrong and what to do."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from pathlib import Path

import pytest

from gnnrec.core.errors import GnnrecError
from gnnrec.data.datasets import File
from gnnrec.data.read.formats import load

GOOD = "user,item,rating,time\nu,i,4,1400000000\nv,i,5,1400000001\n"


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.csv", GOOD)
    return out.getvalue()


def refuse(path: object, message: str, **options: object) -> None:
    with pytest.raises(GnnrecError, match=message) as caught:
        File(path=str(path), **options).load()
    assert "\n" not in str(caught.value)


def test_directory_pipe_and_nothing(tmp_path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    refuse(tmp_path, "is a directory")
    refuse(tmp_path / "pipe.csv", "not a regular file")
    refuse(tmp_path / "none.csv", "does not exist")


def test_a_file_name_with_control_characters(tmp_path) -> None:
    path = tmp_path / "a\nb.csv"
    path.write_text(GOOD)
    refuse(path, "rename it")


def test_permission_denied(tmp_path, monkeypatch) -> None:
    path = tmp_path / "a.csv"
    path.write_text(GOOD)

    def denied(self: Path, *mode: str) -> object:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", denied)
    refuse(path, "permission denied")


@pytest.mark.parametrize("nth", [0, 1, 2, 3])
def test_a_file_that_changes_while_it_is_read(tmp_path, monkeypatch, nth) -> None:
    path = tmp_path / "a.csv"
    path.write_text(GOOD)
    real, reads = Path.open, []

    def open_and_grow(self: Path, *mode: str) -> object:
        if len(reads) == nth:
            with real(self, "a") as file:
                file.write("w,i,4,1400000002\n")
        reads.append(mode)
        return real(self, *mode)

    monkeypatch.setattr(Path, "open", open_and_grow)
    refuse(path, "changed while it was read")


def test_a_file_that_is_gone_before_its_rows_are_read(tmp_path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(GOOD)
    blob = load(path)
    path.unlink()
    with pytest.raises(GnnrecError, match="changed while it was read"):
        list(blob.pieces())


def test_a_missing_data_set_names_every_place_and_the_command(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    places = {
        "files": ["x/log.csv"],
        "root": str(tmp_path / "root"),
        "wheel": {"package": "no_such_package", "files": ["a"], "install": "pip install no-such-package==1"},
        "url": {"url": "https://example.org/x.zip", "md5": "0"},
    }
    with pytest.raises(GnnrecError) as caught:
        File(name="x", **places).load()
    for part in ("root/x/log.csv", "home/.cache/gnnrec/x/log.csv", "no_such_package", "pip install no-such-package==1",
                 "data.download=true", "https://example.org/x.zip", "data.path=", "data.root="):  # fmt: skip
        assert part in str(caught.value)
    with pytest.raises(GnnrecError, match=r"set data\.path"):
        File().load()


def archive_url(tmp_path: Path) -> dict[str, str]:
    data = zipped()
    (tmp_path / "x.zip").write_bytes(data)
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    return {"url": (tmp_path / "x.zip").as_uri(), "md5": md5, "member": "a.csv"}


def test_download_is_checked_and_kept(tmp_path) -> None:
    url = archive_url(tmp_path)
    root = tmp_path / "root"
    assert len(File(files=["x/log.csv"], root=str(root), url=url, download=True).load()) == 2
    assert (root / "x" / "log.csv").read_text() == GOOD
    assert [p.name for p in (root / "x").iterdir()] == ["log.csv"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"md5": "0"}, "expected 0"),
        ({"member": "../b.csv"}, "holds no readable"),
        ({"url": "file:///none"}, "cannot be fetched"),
    ],
)
def test_a_bad_download_leaves_nothing(tmp_path, change, message) -> None:
    url = archive_url(tmp_path)
    root = tmp_path / "root"
    with pytest.raises(GnnrecError, match=message):
        File(files=["x/log.csv"], root=str(root), url={**url, **change}, download=True).load()
    assert not root.exists()
