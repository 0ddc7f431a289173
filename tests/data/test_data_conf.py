"""Every YAML of conf/data and conf/stream is instantiated; every option can be overridden without `+`."""

from __future__ import annotations

import inspect

import pytest
from data_logs import CONF, composed
from hydra.utils import instantiate

from gnnrec.data.datasets import File

DATA = sorted(p.stem for p in (CONF / "data").glob("*.yaml"))
STREAM = sorted(p.stem for p in (CONF / "stream").glob("*.yaml"))


@pytest.mark.parametrize("name", DATA)
def test_data(name) -> None:
    config = composed(f"+data={name}")
    data = instantiate(config.data)
    assert data.name == name
    if isinstance(data, File):
        options = set(inspect.signature(File).parameters)
        assert options == {k for k in config.data if not k.startswith("_")}
        assert set(config.data.columns) == {"user", "item", "rating", "time", "title"}


@pytest.mark.parametrize("name", STREAM)
def test_stream(name) -> None:
    config = composed(f"+stream={name}", "+evaluation.graph=fold_in", "stream.base=0.4")
    stream = instantiate(config.stream)
    assert stream.fold_in
    assert set(inspect.signature(type(stream)).parameters) == {k for k in config.stream if not k.startswith("_")}


def test_options_are_overridden_without_plus(write) -> None:
    path = write("a.csv", "CustomerID,what,n\n1,2,3\n4,5,4\n")
    config = composed("+data=file", f"data.path={path}", "data.columns.user=CustomerID", "data.columns.item=what",
                      "data.columns.rating=n", "data.scale=[0,10]", "data.repeats=last")  # fmt: skip
    data = instantiate(config.data).load()
    assert list(data.user) == ["1", "4"]
    assert data.scale == (0, 10)
