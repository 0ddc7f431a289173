"""Features travel from a file to an encoder of a few lines, and no node's before it is numbered."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from polars.testing import assert_frame_equal
from torch import nn

from gnnrec.data.datasets import File
from gnnrec.data.stream.cuts import ByCount
from gnnrec.data.types import Features
from gnnrec.encoders.base import Encoder
from gnnrec.encoders.tables import Embeddings
from gnnrec.learner import Learner
from gnnrec.objectives.bpr import BPR
from gnnrec.strategies.fine_tune import FineTune
from gnnrec.testing.worlds import FIT, MEASURE, Game, differing, simulated

pytestmark = pytest.mark.usefixtures("one_thread")


class Projected(Encoder):
    """Items are projections of their features, users means of their items: no node has a row of its own."""

    keeps_rows = False

    def __init__(self, features, width=8):
        super().__init__(width, layers=1)
        torch.manual_seed(0)
        self.project = nn.Linear(features, width, bias=False)
        self.register_buffer("known", torch.zeros(0, features))

    def grow(self, new):
        self.known = torch.from_numpy(np.nan_to_num(new.features.item))

    def forward(self, graph):
        item = self.project(self.known)
        user, _ = graph.propagate(item.new_zeros(graph.num_users, item.shape[1]), item)
        return Embeddings(user, item, user, item)


def featured(stream, width=5):
    """Return the stream with random features of its items."""
    rows = np.random.default_rng(0).normal(size=(len(stream.items), width)).astype(np.float32)
    increments, known = [], 0
    for increment in stream.increments:
        new = Features(item=rows[known : increment.observed.num_items])
        increments.append(replace(increment, observed=replace(increment.observed, features=new)))
        known = increment.observed.num_items
    return replace(stream, increments=tuple(increments), features=Features(item=rows))


def make():
    return Learner(Projected(5), BPR(), FIT, measure=MEASURE)


@pytest.mark.parametrize("rows", ["all", "touched"])
def test_an_encoder_without_rows_trains_serves_and_resumes(rows, tmp_path):
    game = Game(featured(simulated()), lambda: Learner(Projected(5), BPR(), replace(FIT, rows=rows), measure=MEASURE))
    whole = game.play(FineTune(), tmp_path / "whole")
    game.play(FineTune(), tmp_path / "torn", until=2)
    resumed = game.play(FineTune(), tmp_path / "torn")
    assert not differing(whole.prints[3], resumed.prints[3])
    assert_frame_equal(whole.results(), resumed.results(), check_exact=True)
    assert len(whole.learner.encoder.user) == 0
    assert len(whole.learner.encoder.known) == whole.learner.seen.num_items


def test_it_learns_from_the_features():
    game = Game(featured(simulated()), make)
    before = Projected(5).project.weight
    assert not torch.equal(before, game.play(FineTune()).learner.encoder.project.weight)


def test_vectors_of_a_file_arrive_with_their_items(tmp_path):
    rng = np.random.default_rng(0)
    pairs = [(f"u{n % 9}", f"i{n % 13}", 1_300_000_000 + 60 * n) for n in range(117)]
    (tmp_path / "log.csv").write_text("user,item,timestamp\n" + "\n".join(f"{u},{i},{t}" for u, i, t in pairs) + "\n")
    vectors = {f"i{n}": rng.normal(size=3).round(3) for n in range(12)}
    lines = [f"{item},{' '.join(map(str, v))}" for item, v in vectors.items()]
    (tmp_path / "items.csv").write_text("item,vector\n" + "\n".join(lines) + "\n")
    data = File(
        path=str(tmp_path / "log.csv"), side={"file": str(tmp_path / "items.csv"), "id": "item", "vector": "vector"}
    )
    stream = ByCount(increments=3).build(data.load())
    parts = [i.observed.features.item for i in stream.increments]
    assert [len(p) for p in parts] == np.diff([0, *(i.observed.num_items for i in stream.increments)]).tolist()
    for item, row in zip(
        stream.items, np.concatenate([*parts, stream.features.item[sum(map(len, parts)) :]]), strict=True
    ):
        assert np.allclose(row, vectors[item], atol=1e-6) if item in vectors else np.isnan(row).all()
    assert not any(p.flags.writeable for p in parts)


def test_arrays_of_an_increment_hold_nothing_else_and_cannot_be_written():
    for increment in simulated().increments:
        new = increment.observed
        for events in (new.train, new.valid, new.arrived, new.folded, new.removed):
            for column in (events.user, events.item, events.value, events.time):
                assert column.base is None or len(column.base) == len(column)
                assert not column.flags.writeable or not len(column)
        assert new.user_key.base is None
        assert not new.user_key.flags.writeable
