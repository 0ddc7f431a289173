"""What served before an update, for penalties that hold the new model to it.

Letters: u users, i items, d width, n nodes, m neighbours, k neighbours of a node at most.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gnnrec.data.types import Interactions
from gnnrec.encoders.tables import Embeddings
from gnnrec.graph.bipartite import BipartiteGraph
from gnnrec.graph.sample import some_neighbours
from gnnrec.learner import Learner
from gnnrec.objectives.base import Objective


@dataclass(frozen=True, slots=True)
class Teacher:
    """Embeddings, objective and absorbed pairs of the model before an increment; nothing of it moves.

    Attributes:
        z: embeddings, [u, d] and [i, d], and input rows.
        objective: a copy.
        seen: the pairs absorbed by then.
    """

    z: Embeddings
    objective: Objective
    seen: BipartiteGraph

    @staticmethod
    def of(learner: Learner) -> Teacher:
        """Return what serves now. It needs no state: before the next increment the same model serves."""
        objective = copy.deepcopy(learner.objective).requires_grad_(False)
        return Teacher(learner.snapshot(), objective.to(learner.embed().user.device), learner.seen)

    @property
    def rows(self) -> dict[str, Tensor]:
        """Input rows by table."""
        return {"user": self.z.input_user, "item": self.z.input_item}

    def users(self, user: Tensor) -> Tensor:
        """Return the distinct users among these that the teacher knows, ascending."""
        return distinct(user, len(self.z.user))

    def items(self, item: Tensor) -> Tensor:
        """Return the distinct items among these that the teacher knows, ascending."""
        return distinct(item, len(self.z.item))

    def shares(self, now: BipartiteGraph) -> tuple[Tensor, Tensor]:
        """Return d(t−1) / d(t) of the teacher's nodes, how much of what is known was known then, [u], [i]; 0 of 0: 1."""
        then = self.seen.degree_user, self.seen.degree_item
        after = now.degree_user[: len(then[0])], now.degree_item[: len(then[1])]
        found = [
            (a.double().clamp(min=1) / b.double().clamp(min=1)).clamp(max=1) for a, b in zip(then, after, strict=True)
        ]
        device = self.z.user.device
        return found[0].float().to(device), found[1].float().to(device)


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Some old neighbours of every old node of one kind.

    Attributes:
        begin: [n + 1] where each node's neighbours begin.
        target: [m] their numbers.
    """

    begin: Tensor
    target: Tensor

    @staticmethod
    def of(teacher: Teacher, now: BipartiteGraph, of_users: bool, most: int) -> Neighbours:
        """Return the same `most` neighbours at most of each node, out of the teacher's pairs that are still among `now`'s."""
        count, others = len(teacher.z.user), len(teacher.z.item)
        if not of_users:
            count, others = others, count
        position, target = some_neighbours(teacher.seen, np.arange(count), of_users, max(others, 1), most)
        kept = now.has(
            *((position, target) if of_users else (target, position))
        )  # what is to be forgotten teaches no more
        position, target = position[kept], target[kept]
        begin = np.concatenate([[0], np.cumsum(np.bincount(position, minlength=count))])
        device = teacher.z.user.device
        return Neighbours(torch.from_numpy(begin).to(device), torch.from_numpy(target).to(device))

    @staticmethod
    def of_events(events: Interactions, count: int, most: int, device: torch.device) -> Neighbours:
        """Return the newest `most` distinct items at most of each user below `count` among these events."""
        pairs = np.stack([events.user, events.item])[:, ::-1]
        first = np.unique(pairs, axis=1, return_index=True)[1] if len(events) else np.empty(0, np.int64)
        pairs = pairs[:, np.sort(first)]
        pairs = pairs[:, pairs[0] < count]
        order = np.argsort(pairs[0], kind="stable")
        user, item = pairs[0][order], pairs[1][order]
        rank = np.arange(len(user)) - np.searchsorted(user, user)
        user, item = user[rank < most], item[rank < most]
        begin = np.concatenate([[0], np.cumsum(np.bincount(user, minlength=count))])
        return Neighbours(torch.from_numpy(begin).to(device), torch.from_numpy(item).to(device))

    def of_nodes(self, node: Tensor) -> tuple[Tensor, Tensor]:
        """Return (position, neighbour): every kept neighbour of node[position], [m'] twice."""
        size = self.begin[node + 1] - self.begin[node]
        position = torch.repeat_interleave(torch.arange(len(node), device=node.device), size)
        first = torch.repeat_interleave(self.begin[node] - (size.cumsum(0) - size), size)
        return position, self.target[first + torch.arange(len(position), device=node.device)]


def distinct(node: Tensor, below: int) -> Tensor:
    """Return the distinct numbers below `below`, ascending."""
    found: Tensor = torch.unique(node)
    return found[: int((found < below).sum())]


def mean_by(position: Tensor, rows: Tensor, count: int) -> Tensor:
    """Return the mean of the rows [m, d] at each position, [count, d]; 0 where there is none."""
    total = rows.new_zeros(count, rows.shape[1]).index_add(0, position, rows)
    size = torch.bincount(position, minlength=count).clamp(min=1).to(rows)
    return total / size.unsqueeze(1)
