"""Some neighbours of nodes that may have very many, in time that does not depend on how many they have.

Letters: n nodes, m drawn neighbours.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gnnrec.data.types import Ints
from gnnrec.graph.bipartite import BipartiteGraph

_ODD = tuple(map(np.uint64, (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)))
_HALF, _ONE = np.uint64(32), np.uint64(1)


def some_neighbours(graph: BipartiteGraph, node: Ints, of_users: bool, below: int, most: int) -> tuple[Ints, Ints]:
    """Return (position, neighbour): at most `most` neighbours of each node[position] with a number below `below`.

    A node that has no more gets them all. Of others, every (number / most)-th is drawn from a place on that is a hash of the
    node (systematic sampling), in the order of the graph's segments and of numbers within one: none twice, each with the same
    chance, and the same from the same graph.

    Args:
        graph: with or without removed edges.
        node: [n] distinct users where `of_users`, else items.
        of_users: whether they are users.
        below: neighbours with this number or a higher one do not count.
        most: at least 1.

    Returns:
        [m], [m], by ascending position.
    """
    parts = [(s.left.by_user if of_users else s.left.by_item) for s in graph.segments]
    begin, count = np.empty((len(parts), len(node)), np.int64), np.empty((len(parts), len(node)), np.int64)
    for n, part in enumerate(parts):
        begin[n], end = part.slices(node)
        count[n] = part.below(begin[n], end, below)
    position, rank = _ranks(node, count.sum(axis=0), most)
    # The rank among all neighbours is a rank among those of one segment, once those of the segments before are taken off.
    neighbour = np.empty(len(rank), np.int64)
    for part, first, size in zip(parts, begin, count, strict=True):
        here = (rank >= 0) & (rank < size[position])
        neighbour[here] = part.target[first[position[here]] + rank[here]]
        rank = np.where(here, -1, rank - size[position])
    return position, neighbour


def _ranks(node: Ints, total: Ints, most: int) -> tuple[Ints, Ints]:
    """Return (position, rank): the ranks, below total[position], of the neighbours to take."""
    taken = np.minimum(total, most)
    position = np.repeat(np.arange(len(node)), taken)
    nth = np.arange(len(position)) - np.repeat(np.cumsum(taken) - taken, taken)
    # nth · total + place meets every number below taken · total once, over all places: so each rank has taken of total.
    rank = (nth * total[position] + _places(node, total)[position]) // taken[position]
    return position, rank


def _places(node: Ints, total: Ints) -> Ints:
    """Return a number in [0, total) for each node, [n], by 32 well mixed bits of its number."""
    mixed: NDArray[np.uint64] = (node.astype(np.uint64) + _ONE) * _ODD[0]
    for odd in _ODD[1:]:
        mixed = (mixed ^ (mixed >> _HALF)) * odd
    return ((mixed >> _HALF) * total.astype(np.uint64) >> _HALF).astype(np.int64)
