"""What penalties ask of the old model: neighbours, nearest rows, clusters."""

from __future__ import annotations

import torch
from support.penalties import graph, teacher
from torch.nn import functional as F

from gnnrec.strategies.distil.anchors import Anchors, clustered
from gnnrec.strategies.distil.nearest import nearest_rows
from gnnrec.strategies.distil.teacher import Neighbours
from gnnrec.testing.worlds import interactions


def test_what_is_taken_back_teaches_no_more():
    near = Neighbours.of(teacher(), graph([(0, 0), (1, 1)]), True, 10)
    assert near.of_nodes(torch.tensor([0, 1]))[1].tolist() == [0, 1]


def test_newest_items_of_events_are_kept():
    events = interactions([(0, 5), (1, 2), (0, 3), (0, 5), (0, 7), (4, 1)])
    near = Neighbours.of_events(events, 2, 2, torch.device("cpu"))
    assert sorted(near.of_nodes(torch.tensor([0]))[1].tolist()) == [5, 7]
    assert near.of_nodes(torch.tensor([1]))[1].tolist() == [2]


def test_nearest_rows_are_those_of_the_highest_cosine():
    rows = torch.randn(40, 5, generator=torch.Generator().manual_seed(0))
    near = nearest_rows(rows, 3)
    cosine = F.normalize(rows, dim=1) @ F.normalize(rows, dim=1).T
    cosine.fill_diagonal_(-2)
    for node in range(40):
        assert set(near.of_nodes(torch.tensor([node]))[1].tolist()) == set(cosine[node].topk(3).indices.tolist())


def test_clusters_that_are_apart_are_found():
    rows = torch.cat([torch.randn(20, 4) * 0.1 + 5 * torch.eye(4)[k] for k in range(3)])
    _, label = clustered(rows, (0, 1), 3)
    assert [len(set(label[20 * k : 20 * k + 20].tolist())) for k in range(3)] == [1, 1, 1]
    assert len(set(label.tolist())) == 3
    anchors = Anchors.of(rows, (0, 1), 3, 5)
    assert torch.bincount(anchors.cluster).tolist() == [5, 5, 5]
    means = anchors.means(rows[anchors.node])
    assert torch.allclose(means[anchors.cluster[0]], rows[anchors.node[anchors.cluster == anchors.cluster[0]]].mean(0))
