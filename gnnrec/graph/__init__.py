"""The growing graph and message passing over it."""

from gnnrec.graph.bipartite import BipartiteGraph as BipartiteGraph
