"""Which edges carry messages, chosen apart from which edges are trained on.

A view decides how the message-passing graph of one increment becomes that of the next (METHODS: slot "view").
"""

from __future__ import annotations

from gnnrec.graph.bipartite import BipartiteGraph


class Accumulated:
    """Messages flow over every edge absorbed so far."""

    def begin(self, graph: BipartiteGraph) -> BipartiteGraph:
        """Return the graph that the next increment extends."""
        return graph


class Block:
    """Messages flow over the newest increment's edges only; nodes without one keep their own row."""

    def begin(self, graph: BipartiteGraph) -> BipartiteGraph:
        """Return the graph that the next increment extends."""
        return BipartiteGraph.empty(graph.num_users, graph.num_items).to(graph.device)


View = Accumulated | Block
