"""A log up to an increment as PyG's `HeteroData`: both directions, nothing of later, readable without running code."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from torch_geometric.data import HeteroData
from torch_geometric.nn.conv.gcn_conv import gcn_norm

from gnnrec.core.errors import GnnrecError
from gnnrec.data.stream.cuts import ByCount
from gnnrec.data.stream.removals import with_removals
from gnnrec.evaluation.world import worlds
from gnnrec.interop.extract import upto
from gnnrec.interop.hetero import RATED_BY, RATES, hetero, save
from gnnrec.testing.worlds import dataset, some_rows


@pytest.fixture(scope="module")
def log():
    user, item, value = zip(*some_rows(240), strict=True)
    made = dataset(user, item, np.array(value), 1e9 + np.arange(240.0))
    vectors = pl.Series([[float(n), 1.0] for n in range(15)], dtype=pl.Array(pl.Float32, 2))
    return replace(made, side=pl.DataFrame({"item": [f"i{n}" for n in range(15)], "vector": vectors}))


@pytest.fixture(scope="module")
def stream(log):
    return ByCount(increments=3, base=0.4).build(log)


def rows(data):
    store = data[RATES]
    user, item = store.edge_index.tolist()
    ids = data["user"].id, data["item"].id
    return sorted(
        (ids[0][u], ids[1][i], v, t)
        for u, i, v, t in zip(user, item, store.value.tolist(), store.time.tolist(), strict=True)
    )


def test_edges_are_the_absorbed_events_in_both_directions(log, stream):
    for t in range(4):
        data = hetero(stream, t)
        assert data.validate()
        frame = upto(log, stream, t).whole.with_columns(pl.col("time").dt.epoch("s"))
        assert rows(data) == sorted(frame.rows())
        assert torch.equal(data[RATES].edge_index.flip(0), data[RATED_BY].edge_index)
        for name in ("value", "time", "increment", "valid"):
            assert torch.equal(data[RATES][name], data[RATED_BY][name])


def test_nothing_of_a_later_increment_is_in_it(stream):
    first, last = hetero(stream, 1), hetero(stream, 3)
    then = worlds(stream)[1]
    assert (first["user"].num_nodes, first["item"].num_nodes) == (then.num_users, then.num_items)
    assert first["user"].id == last["user"].id[: then.num_users]
    assert first[RATES].time.max().item() < stream.increments[2].observed.train.time.min()
    assert not set(first[RATES].time.tolist()) & set(stream.increments[1].test.time.astype(int).tolist())
    assert first[RATES].increment.max() == 1


def test_valid_events_of_the_increment_are_marked(stream):
    data = hetero(stream, 2)
    marked = data[RATES].time[data[RATES].valid]
    assert sorted(marked.tolist()) == sorted(stream.increments[2].observed.valid.time.astype(int).tolist())


def test_features_are_there_for_nodes_that_have_some_and_others_say_so(log, stream):
    data = hetero(stream, 3)
    known = {
        i: x
        for i, x, k in zip(data["item"].id, data["item"].x.tolist(), data["item"].x_known.tolist(), strict=True)
        if k
    }
    assert known == {f"i{n}": [float(n), 1.0] for n in range(15) if f"i{n}" in known}
    assert len(known) >= 10
    assert data["item"].x[~data["item"].x_known].isnan().all()
    assert "x" not in data["user"]
    assert "x" not in hetero(ByCount(increments=3).build(replace(log, side=None)), 0)["item"]


def test_what_is_taken_back_has_no_edge(stream):
    gone = stream.users[0]
    data = hetero(with_removals(stream, {2: [(gone, None)]}), 2)
    assert gone in data["user"].id
    before = data[RATES].increment < 2
    assert 0 not in data[RATES].edge_index[0][before].tolist()


def test_fractions_of_seconds_are_kept(log):
    data = hetero(ByCount(increments=2).build(replace(log, time=log.time + 0.25)), 0)
    assert data.time_unit == "us"
    assert data[RATES].time[0] == 1e15 + 250_000
    assert hetero(ByCount(increments=2).build(log), 0).time_unit == "s"


def test_a_saved_graph_is_read_without_running_code(stream, tmp_path):
    data = hetero(stream, 1)
    save(data, tmp_path / "g.pt")
    again = HeteroData.from_dict(torch.load(tmp_path / "g.pt", weights_only=True))
    assert rows(again) == rows(data)
    assert (again.increment, again.time_unit) == (1, "s")
    assert again["item"].x_known.equal(data["item"].x_known)


def test_with_both_directions_pygs_normalisation_weighs_every_edge(stream):
    both = hetero(stream, 1).to_homogeneous(node_attrs=[], edge_attrs=[])
    _, weight = gcn_norm(both.edge_index, num_nodes=both.num_nodes, add_self_loops=False)
    assert (weight > 0).all()
    one = both.edge_index[:, both.edge_type == 0]
    _, weight = gcn_norm(one, num_nodes=both.num_nodes, add_self_loops=False)
    assert (weight == 0).all()


def test_what_cannot_be_is_refused(stream, tmp_path):
    with pytest.raises(GnnrecError, match="no increment 4"):
        hetero(stream, 4)
    with pytest.raises(GnnrecError, match=r"must end in \.pt"):
        save(hetero(stream, 0), tmp_path / "g.bin")
