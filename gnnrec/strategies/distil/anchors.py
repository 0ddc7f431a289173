"""Clusters of embeddings, and the mean embeddings of some of their members.

Letters: n nodes, d width, k clusters, a members.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from scipy.cluster.vq import kmeans2
from torch import Tensor

from gnnrec.core.seeds import generator
from gnnrec.graph.spread import whole
from gnnrec.strategies.distil.teacher import mean_by

ROUNDS = 10
"""Of k-means."""
SAMPLE = 20_000
"""Most nodes that centres are found from."""


@dataclass(frozen=True, slots=True)
class Anchors:
    """Members of clusters.

    Attributes:
        node: [a] numbers of the members, ascending.
        cluster: [a] their clusters, k of them, each with a member.
        count: k.
    """

    node: Tensor
    cluster: Tensor
    count: int

    @staticmethod
    def of(rows: Tensor, seed: tuple[int, int], clusters: int, members: int) -> Anchors:
        """Return `members` at most of each of `clusters` clusters of rows [n, d], those closest to its centre."""
        centre, label = clustered(rows, seed, clusters)
        far = (rows.cpu().double() - centre[label]).square().sum(1).numpy()
        order = np.lexsort((far, label.numpy()))
        sorted_label = label.numpy()[order]
        rank = np.arange(len(order)) - np.searchsorted(sorted_label, sorted_label)
        node = np.sort(order[rank < members])
        present, cluster = np.unique(label.numpy()[node], return_inverse=True)
        return Anchors(torch.from_numpy(node).to(rows.device), torch.from_numpy(cluster).to(rows.device), len(present))

    def means(self, rows: Tensor) -> Tensor:
        """Return the mean of the members' rows [a, d], [k, d]."""
        return mean_by(self.cluster, rows, self.count)


def clustered(rows: Tensor, seed: tuple[int, int], clusters: int) -> tuple[Tensor, Tensor]:
    """Return the centres [k, d] of k-means (k-means++ start) and each row's cluster [n]; fewer clusters than rows there are."""
    x = whole(rows.detach()).cpu().double().numpy()
    if not len(x):
        return torch.zeros(0, rows.shape[1], dtype=torch.float64), torch.zeros(0, dtype=torch.int64)
    rng = generator(seed[0], seed[1], "clusters")
    some = x if len(x) <= SAMPLE else x[np.sort(rng.choice(len(x), SAMPLE, replace=False))]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="One of the clusters is empty")
        centre, _ = kmeans2(some, min(clusters, len(np.unique(some, axis=0))), ROUNDS, minit="++", seed=rng)
    found = torch.from_numpy(centre)
    label = torch.cat([torch.cdist(part, found).argmin(1) for part in torch.split(torch.from_numpy(x), SAMPLE)])
    return found, label
