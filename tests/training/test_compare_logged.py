"""A comparison is one run of W&B beside those of its rows: means and deviations over seeds, table and figures."""

from __future__ import annotations

import json
import struct

import polars as pl
from test_cli import TINY
from wandb.proto.wandb_internal_pb2 import Record

from gnnrec.cli.main import main

BLOCK = 2**15


def records(content):
    """Yield what W&B has written to disk: a log of LevelDB's form behind seven bytes, records in pieces of a block at most."""
    at, whole = 7, b""
    while at + 7 <= len(content):
        left = BLOCK - at % BLOCK
        if left < 7:
            at += left
            continue
        _, length, kind = struct.unpack("<IHB", content[at : at + 7])
        whole += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last piece
            yield Record.FromString(whole)
            whole = b""


def summary_of(path):
    """Return name and summary of a run that lies on disk."""
    name, values = "", {}
    for record in records(path.read_bytes()):
        name = record.run.display_name or name
        for item in record.summary.update:
            values["/".join(item.nested_key) or item.key] = json.loads(item.value_json)
    return name, values


def test_a_comparison_is_one_run_with_means_and_deviations(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    arguments = [a for a in TINY if not a.startswith("logger")]
    given = ["compare", *arguments, "strategies=[fine_tune]", "seeds=[0,1]", "logger=wandb", f"output={tmp_path}"]
    assert main(given) == 0
    (first,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    name, values = summary_of(first)
    assert name == "simulated-compare"
    table = pl.read_csv(tmp_path / "summary.csv").filter(strategy="fine_tune", scorer="model")
    found = values["fine_tune/model/ndcg@20"], values["fine_tune/model/ndcg@20/deviation"]
    assert found == (table["ndcg@20"][0], table["ndcg@20_deviation"][0])
    assert found[1] > 0
    assert main([*given, "resume=true"]) == 0
    (second,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    assert second.stem == first.stem, "made again it is the same run"
    assert len(list(tmp_path.glob("fine_tune-*/wandb/offline-run-*"))) == 2, "and each seed has its own"
