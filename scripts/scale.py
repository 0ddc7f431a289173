"""What one model costs over several machines, modelled from measured constants: `python scripts/scale.py`.

A training step of LightGCN propagates the whole graph forward and backward, so its gradient is of every row: whoever copies the
model has to exchange all of it. Split by column, ranks exchange the scores of the batch. Letters as in docs/scale.md.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

GIB, FLOAT = 2**30, 4
COPIES = 4
"""A table, its gradient and two moments of Adam."""
PASSES_KEPT = 3
"""Tables of the pass in progress, its result and the sum of layers."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is trained, and on what.

    Attributes:
        nodes, edges: users and items, and edges between them, counted once.
        width, layers: d, L.
        batch, shared: events of a step, and the negatives that they share.
        machines: how many.
        edge_column: seconds that a machine takes for a directed edge and a column of a pass.
        wire: bytes a second between machines, each way.
        edge_bytes: kept for an edge, matrices both ways and its key.
    """

    nodes: float
    edges: float
    width: int
    layers: int
    batch: int
    shared: int
    machines: int
    edge_column: float
    wire: float
    edge_bytes: float

    @property
    def table(self) -> float:
        """Bytes of all rows."""
        return self.nodes * self.width * FLOAT

    @property
    def graph(self) -> float:
        """Bytes of the graph, which every machine holds."""
        return self.edges * self.edge_bytes

    @property
    def compute(self) -> float:
        """Seconds of a step's propagation on one machine that has all columns."""
        return 2 * self.layers * 2 * self.edges * self.width * self.edge_column


def all_reduced(size: float, machines: int, wire: float) -> float:
    """Return the seconds of a ring's all-reduce of so many bytes."""
    return 2 * (machines - 1) / machines * size / wire


def rows(job: Job) -> list[tuple[str, float, float, float, float]]:
    """Return name, bytes a machine holds in training, seconds of propagation, bytes exchanged and their seconds, of a step."""
    whole = job.graph + (COPIES + PASSES_KEPT) * job.table
    share = job.graph + (COPIES + PASSES_KEPT) * job.table / job.machines
    scores = job.batch * (job.shared + 1) * FLOAT
    return [
        ("one machine", whole, job.compute, 0.0, 0.0),
        ("data-parallel", whole, job.compute, job.table, all_reduced(job.table, job.machines, job.wire)),
        (
            "dimension-parallel", share, job.compute / job.machines, scores,
            all_reduced(scores, job.machines, job.wire),
        ),
    ]  # fmt: skip


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=float, default=110e6, help="users and items: 100 and 10 million")
    parser.add_argument("--edges", type=float, default=1e9)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--batch", type=int, default=2048, help="events of a step")
    parser.add_argument("--shared", type=int, default=1024, help="negatives that they share")
    parser.add_argument("--machines", type=int, default=8)
    parser.add_argument("--cores", type=int, default=16, help="of a machine")
    parser.add_argument("--nanoseconds", type=float, default=0.86, help="of a core, for a directed edge and column")
    parser.add_argument("--wire", type=float, default=1.25e9, help="bytes a second between machines: 10 Gbit/s")
    parser.add_argument("--edge-bytes", type=float, default=32.0)
    g = parser.parse_args()
    each = 1e-9 * g.nanoseconds / g.cores
    job = Job(g.nodes, g.edges, g.width, g.layers, g.batch, g.shared, g.machines, each, g.wire, g.edge_bytes)
    print(
        f"{job.machines} machines of {g.cores} cores, {job.nodes:,.0f} nodes, {job.edges:,.0f} edges, d = {job.width}\n"
    )
    print(
        "| | GiB a machine, in training | s of propagation, a step | exchanged, a step | s of exchange |\n|---|---|---|---|---|"
    )
    for name, held, compute, sent, wait in rows(job):
        size = "nothing" if not sent else f"{sent / GIB:.3g} GiB" if sent > GIB else f"{sent / 2**20:.3g} MiB"
        print(f"| {name} | {held / GIB:,.0f} | {compute:,.1f} | {size} | {wait:.3g} |")


if __name__ == "__main__":
    main()
