"""How many directed edges messages have gone along in this process, counted where products are taken.

A formula of layers and steps would know nothing of penalties, teachers, second views and passes over some edges only. Who
wants to know what something cost takes the difference of two readings; runs that share a process at one time count each
other's edges.
"""

from __future__ import annotations

from torch import Tensor

_edges = 0


def taken() -> int:
    """Return the edges so far, forward and backward."""
    return _edges


def count(edges: int) -> None:
    """Count a product over so many directed edges."""
    global _edges
    _edges += edges


def count_backward(x: Tensor, edges: int) -> Tensor:
    """Count a product over so many edges now and, where `x`, its result, gets a gradient, once more then; return `x`."""
    count(edges)
    if x.requires_grad:
        x.register_hook(lambda _: count(edges))  # type: ignore[no-untyped-call]
    return x
